"""Which of several HAProxys runs."""

from pathlib import Path

import pytest

from kubegate.runtime.binary import Binary, newest
from kubegate.runtime.build import Build, library


def one(version: tuple[int, int, int], tls: str = "", *, embedded: bool = False) -> Binary:
    """An HAProxy of a version on a TLS library."""
    return Binary(Path("/bin/haproxy"), version, embedded, Build(tls=library(tls) if tls else None))


@pytest.mark.parametrize(
    ("version", "tls"),
    [
        ((2, 8, 26), ""),
        ((2, 8, 26), "OpenSSL 3.0.2"),
        ((2, 9, 0), "OpenSSL 3.0.15"),
        ((3, 0, 11), "LibreSSL 3.6.2"),
        ((2, 8, 25), "OpenSSL 3.0.16"),
        ((2, 8, 25), "OpenSSL 3.5.9"),
    ],
)
def test_the_newer_one(version: tuple[int, int, int], tls: str) -> None:
    system = one(version, tls)
    assert newest([one((2, 8, 25), "OpenSSL 3.0.15", embedded=True), system]) is system


@pytest.mark.parametrize(
    ("version", "tls"),
    [
        ((2, 8, 25), "OpenSSL 3.0.15"),
        ((2, 8, 25), "OpenSSL 3.0.2"),
        ((2, 8, 25), "LibreSSL 4.0.0"),
        ((2, 8, 25), "AWS-LC 5.11.0"),
        ((2, 8, 25), ""),
        ((2, 8, 24), "OpenSSL 3.5.9"),
    ],
)
def test_the_embedded_one_where_the_other_is_not_newer(version: tuple[int, int, int], tls: str) -> None:
    embedded = one((2, 8, 25), "OpenSSL 3.0.15", embedded=True)
    assert newest([embedded, one(version, tls)]) is embedded


def test_the_only_one() -> None:
    alone = one((2, 8, 3))
    assert newest([alone]) is alone


def test_one_that_says_less_is_what_it_was() -> None:
    assert str(Binary(Path("/bin/haproxy"), (2, 8, 25), True)) == "HAProxy 2.8.25 (embedded)"
    assert str(Binary(Path("/bin/haproxy"), (2, 8, 25), False)) == "HAProxy 2.8.25 (/bin/haproxy)"
