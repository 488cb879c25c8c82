"""Paths and queries are read as Go reads them."""

import pytest

from kubegate.model.request_path import BadPath, clean_path, decode_path, parameters, segments


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"", b""),
        (b"/a%2Fb", b"/a/b"),
        (b"/%73ecrets", b"/secrets"),
        (b"/%ff%00%0a", b"/\xff\x00\n"),
        (b"/%252e", b"/%2e"),
        (b"/a+b", b"/a+b"),
        (b"/caf\xc3\xa9", b"/caf\xc3\xa9"),
    ],
)
def test_escapes_are_decoded_once(raw: bytes, path: bytes) -> None:
    assert decode_path(raw) == path


@pytest.mark.parametrize("raw", [b"/%", b"/%1", b"/%zz", b"/%%41", b"/a%2", b"/%4%411"])
def test_a_bad_escape_is_an_error(raw: bytes) -> None:
    with pytest.raises(BadPath):
        decode_path(raw)


@pytest.mark.parametrize(
    ("path", "clean"),
    [
        (b"/api/v1", b"/api/v1"),
        (b"/api/v1/", b"/api/v1/"),
        (b"//api//v1///pods", b"/api/v1/pods"),
        (b"/a/./b/../c", b"/a/c"),
        (b"/a/..", b"/"),
        (b"/a/b/..", b"/a/"),
        (b"/../../a", b"/a"),
        (b"//", b"/"),
        (b"/.hidden/..x", b"/.hidden/..x"),
        (b"", b""),
    ],
)
def test_a_path_is_cleaned_as_those_do_who_merge_slashes(path: bytes, clean: bytes) -> None:
    assert clean_path(path) == clean


def test_slashes_at_the_ends_separate_nothing() -> None:
    assert segments("//a//b/") == ["a", "", "b"]
    assert segments("/") == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (b"", []),
        (b"watch", [("watch", "")]),
        (b"a=1&b=x+y%20z&&a=2", [("a", "1"), ("b", "x y z"), ("a", "2")]),
        (b"dryRun=All;x=1&c=%zz&d=%41", [("d", "A")]),
        (b"dry%52un=All", [("dryRun", "All")]),
        (b"a=b=c", [("a", "b=c")]),
    ],
)
def test_parameters_with_a_semicolon_or_a_bad_escape_do_not_count(query: bytes, found: list[tuple[str, str]]) -> None:
    assert list(parameters(query)) == found
