"""The file of `--token-auth-file`: what the API server takes from it, and what it passes over in silence."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubegate.bootstrap.token_file import TokenFile, new_record, read_token_file, record_problems, without

GOOD = "0123456789abcdef0123456789abcdef"
EMPTY = TokenFile((), (), ())


def read(text: str) -> TokenFile:
    return read_token_file(text.encode(), "tokens.csv")


def codes(found: TokenFile) -> list[tuple[str, str]]:
    return [(one.where.removeprefix("tokens.csv:"), one.code.removeprefix("token-file.")) for one in found.fatal + found.faults]


def test_several_groups_are_one_quoted_column() -> None:
    found = read(f'{GOOD},kubelet-bootstrap,10001,"system:bootstrappers,system:bootstrappers:extra"\n')
    assert codes(found) == []
    (one,) = found.tokens
    assert (one.user, one.uid, one.groups) == (
        "kubelet-bootstrap",
        "10001",
        ("system:bootstrappers", "system:bootstrappers:extra"),
    )
    assert GOOD not in repr(found)
    assert one.masked == "0123..."


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (f"{GOOD},u,1,a,b", [("1", "unquoted")]),
        (f"{GOOD},u,1\n{GOOD},v,2", [("1", "duplicate")]),
        (f"\n{GOOD},u,1\n\n,v,2", [("4", "empty")]),
        ("short,u,1", [("1", "short")]),
        (f"{GOOD} ,u,1", [("1", "characters")]),
        (f'{GOOD},u,1,"a, b"', [("1", "spaces")]),
        (f"{GOOD},u ,1", [("1", "spaces")]),
        (f"{GOOD},u,1,system:masters", [("1", "masters")]),
        (f"\ufeff{GOOD},u,1", [("1", "mark"), ("1", "characters")]),
        (f"{GOOD},u", [("1", "columns")]),
        (f'{GOOD},u"v,1', [("1", "quote")]),
        (f'{GOOD},"u"v,1', [("1", "csv")]),
        (f'{GOOD},"u,1', [("1", "csv")]),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, wrong: list[tuple[str, str]]) -> None:
    assert codes(read(text)) == wrong


def test_bytes_that_are_no_text_are_named_with_their_line() -> None:
    found = read_token_file(f"{GOOD},u,1\n".encode() + b"\xff,v,2\n", "tokens.csv")
    assert [(one.where, one.code) for one in found.fatal] == [("tokens.csv:2", "token-file.bytes")]


def test_of_a_token_that_is_there_twice_the_last_line_wins() -> None:
    assert [one.user for one in read(f"{GOOD},u,1\n{GOOD},v,2").tokens] == ["v"]


def test_a_new_record_has_128_bits_and_is_read_as_it_was_meant() -> None:
    record = new_record("u", "1", ["a", "b"])
    (one,) = read(record).tokens
    assert (one.user, one.uid, one.groups) == ("u", "1", ("a", "b"))
    assert len(bytes.fromhex(one.token)) == 16
    assert new_record("u", "1", []) != new_record("u", "1", [])


def test_a_new_record_that_would_not_be_what_it_says_is_refused() -> None:
    existing = read(f"{GOOD},u,1\n")
    found = record_problems(" v", "1", ["a,b", "system:masters", ""], existing)
    assert sorted(one.where for one in found) == ["--group", "--group", "--group", "--uid", "--user"]
    assert record_problems("u", "1", ["system:bootstrappers"], existing) == []


def test_records_are_removed_and_everything_else_stays() -> None:
    text = f'{GOOD}1,u,1\r\n\n{GOOD}2,"a\nb",2\n{GOOD}3,w,3'
    second = read(text).tokens[1]
    assert without(text.encode(), [second]) == f"{GOOD}1,u,1\r\n\n{GOOD}3,w,3".encode()


@given(st.lists(st.lists(st.text(st.characters(exclude_characters="\r\x00", codec="utf-8")), min_size=1, max_size=6), max_size=5))
def test_whatever_a_library_writes_is_read_as_it_was_or_something_is_said(rows: list[list[str]]) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    found = read(buffer.getvalue())
    if not found.fatal:
        written = {row[0]: row for row in rows if row[0] and len(row) > 2}
        assert {one.token: (one.user, one.uid) for one in found.tokens} == {key: (row[1], row[2]) for key, row in written.items()}


@given(st.binary())
def test_no_bytes_stop_it(content: bytes) -> None:
    found = read_token_file(content, "f")
    assert all(one.token for one in found.tokens)
