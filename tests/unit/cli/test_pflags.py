"""Flags as kubectl reads them."""

import pytest

from kubegate.cli.pflags import Flag, parse

FLAGS = (
    Flag("port", short="p", check=lambda text: "" if text.isdigit() else "is no port"),
    Flag("disable-filter", kind="bool"),
    Flag("as-group", kind="list"),
    Flag("log", bare="-"),
    Flag("verbose", kind="bool", short="v"),
    Flag("help", kind="bool", short="h"),
)


@pytest.mark.parametrize("words", [["--port=1"], ["--port", "1"], ["-p1"], ["-p", "1"], ["-p=1"], ["-vp1"], ["--port=9", "-p1"]])
def test_a_value(words: list[str]) -> None:
    found = parse(words, FLAGS)
    assert (found.text("port"), found.problems) == ("1", [])


@pytest.mark.parametrize(
    ("words", "on"),
    [
        (["--disable-filter"], True),
        (["--disable-filter=false"], False),
        (["--disable-filter=0"], False),
        (["--disable-filter=T"], True),
        ([], False),
        (["--disable-filter", "--disable-filter=false"], False),
    ],
)
def test_a_switch(words: list[str], on: bool) -> None:
    assert parse(words, FLAGS).flag("disable-filter") == on


def test_a_switch_takes_no_word_after_it() -> None:
    found = parse(["--disable-filter", "false"], FLAGS)
    assert found.flag("disable-filter")
    assert found.arguments == ["false"]


def test_lists_keep_every_value_and_commas() -> None:
    assert parse(["--as-group=a,b", "--as-group", "c"], FLAGS).all("as-group") == ("a,b", "c")


def test_what_may_stand_without_a_value() -> None:
    found = parse(["--log", "file", "--log=other"], FLAGS)
    assert (found.all("log"), found.arguments) == (("-", "other"), ["file"])


def test_everything_after_the_dashes_is_a_command() -> None:
    found = parse(["-hv", "--", "kubectl", "--port=x", "--"], FLAGS)
    assert found.command == ["kubectl", "--port=x", "--"]
    assert found.flag("help") and found.flag("verbose")
    assert parse([], FLAGS).command is None
    assert parse(["--"], FLAGS).command == []


def test_all_that_is_wrong_is_told() -> None:
    found = parse(["--nope", "--port=x", "--disable-filter=maybe", "-x", "-p"], FLAGS)
    assert [problem.where for problem in found.problems] == ["--nope", "--port", "--disable-filter", "-x", "-p"]
    assert found.given == {}


def test_a_value_may_look_like_a_flag() -> None:
    assert parse(["--as-group", "--port"], FLAGS).all("as-group") == ("--port",)
