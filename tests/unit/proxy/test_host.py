"""The host of a request, in kubectl's reading and in those that name the same host."""

import pytest

from kubegate.proxy.host import forms, without_port


@pytest.mark.parametrize(
    ("header", "host"),
    [
        (b"localhost:8085", b"localhost"),
        (b"marmalade", b"marmalade"),
        (b"localhost:abc", b"localhost"),
        (b"localhost:", b"localhost"),
        (b"[::1]:8001", b"::1"),
        (b"[::1]", b"[::1]"),
        (b"::1", b"::1"),
        (b"a:b:80", b"a:b:80"),
        (b"[::1]x:80", b"[::1]x:80"),
        (b"[::1", b"[::1"),
        (b"a[b:80", b"a[b:80"),
        (b"a]b:80", b"a]b:80"),
        (b"[[::1]:80", b"[[::1]:80"),
        (b"", b""),
        (b":80", b""),
    ],
)
def test_a_port_is_taken_off_as_go_does(header: bytes, host: bytes) -> None:
    assert without_port(header) == host


@pytest.mark.parametrize(
    ("header", "form"),
    [
        (b"[::1]:8001", b"[::1]"),
        (b"[::1]", b"::1"),
        (b"[0:0:0:0:0:0:0:1]:80", b"[::1]"),
        (b"LOCALHOST:80", b"localhost"),
        (b"localhost.", b"localhost"),
        (b"LocalHost.:8001", b"localhost"),
        (b"[FE80::A]:1", b"[fe80::a]"),
    ],
)
def test_the_same_host_is_found_in_another_form(header: bytes, form: bytes) -> None:
    assert form in forms(header)
    assert without_port(header) in forms(header)


@pytest.mark.parametrize("header", [b"evil.com", b"localhost.evil.com", b"localhost..", b"evil.com,localhost", b"[::1].evil.com"])
def test_no_other_host_becomes_a_local_one(header: bytes) -> None:
    assert not {b"localhost", b"127.0.0.1", b"::1", b"[::1]"} & set(forms(header))
