"""Verdicts are put into HAProxy's map once, within a bound, and a map that cannot be written costs only time."""

import asyncio
import json

import pytest

from kubegate.proxy import verdict_memo
from kubegate.proxy.judge import Verdict
from kubegate.proxy.verdict_memo import VerdictMemo, key_of, value_of


class Map:
    """HAProxy's map, as far as a memo minds."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.said: list[str] = []
        self.cleared = 0
        self.trouble: Exception | None = None
        self.memo = VerdictMemo(self._remember, self._forget, self.said.append)

    async def _remember(self, key: str, value: str) -> None:
        if self.trouble:
            raise self.trouble
        self.lines.append((key, value))

    async def _forget(self) -> None:
        self.cleared += 1
        self.lines.clear()

    def keep(self, *keys: str) -> None:
        async def all_of_them() -> None:
            await asyncio.gather(*(self.memo.keep(key, "allow") for key in keys))

        asyncio.run(all_of_them())


def test_a_verdict_that_is_asked_for_by_several_at_once_is_put_there_once() -> None:
    found = Map()
    found.keep("A", "A", "B", "A")
    assert found.lines == [("A", "allow"), ("B", "allow")]


def test_what_the_map_has_lost_is_put_there_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict_memo, "_SECONDS", 0.0)
    found = Map()
    found.keep("A")
    found.keep("A")
    assert found.lines == [("A", "allow"), ("A", "allow")]


def test_the_map_is_emptied_at_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict_memo, "MOST", 3)
    found = Map()
    found.keep("A", "B", "C", "D")
    assert found.cleared == 1
    assert [key for key, _ in found.lines] == ["D"]
    found.keep("A")
    assert [key for key, _ in found.lines] == ["D", "A"]


def test_a_new_map_is_empty() -> None:
    found = Map()
    found.keep("A")
    found.memo.clear()
    found.keep("A")
    assert found.lines == [("A", "allow"), ("A", "allow")]


@pytest.mark.parametrize("trouble", [OSError("broken"), TimeoutError()])
def test_a_map_that_cannot_be_written_is_told_once_and_left_alone_for_a_while(trouble: Exception) -> None:
    found = Map()
    found.trouble = trouble
    found.keep("A", "B", "C")
    assert len(found.said) == 1
    assert "cannot be remembered" in found.said[0]
    found.trouble = None
    found.keep("A")
    assert found.lines == []


def test_a_value_is_one_line_of_ascii() -> None:
    assert value_of(Verdict(True, "x", "y", 200)) == "allow"
    status, _, message = value_of(Verdict(False, "x", 'a "b"\n\u00e9\udcff\\', 403)).partition(" ")
    assert status == "403"
    assert message.isascii() and message.isprintable()
    assert json.loads(message) == 'a "b"\n\u00e9\udcff\\'


def test_a_key_is_what_haproxy_makes_of_the_question() -> None:
    assert key_of(b"abc") == "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"
