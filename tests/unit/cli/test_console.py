"""What is printed is escaped, and goes on when nobody reads."""

import json
import os
import sys
from pathlib import Path

import pytest
from rich.text import Text

from kubegate.cli.console import Output, errors_reported, line, rows, say, show, show_json
from kubegate.errors import KubegateError
from kubegate.model.problem import InvalidInput, Problem


def test_what_a_terminal_would_act_on_is_escaped() -> None:
    found = line("a\x1b[31m", ("b\u202e", "bold"), "[red]c[/red]\n")
    assert found.plain == r"a\x1b[31mb\u202e[red]c[/red]\x0a"
    assert isinstance(found, Text)


def test_rows_are_aligned() -> None:
    assert [row.plain for row in rows([("a", "1"), ("long", "2")])] == ["  a     1", "  long  2"]


def test_text_is_neither_wrapped_nor_coloured_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    show([line(("word " * 100, "bold red"))])
    out, err = capsys.readouterr()
    assert out == "word " * 100 + "\n"
    assert err == ""


def test_events_have_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    say("something")
    out, err = capsys.readouterr()
    assert out == ""
    assert err[2] == err[5] == ":"
    assert err.endswith(" something\n")


def test_json_is_one_line_of_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    facts = {"a": "\x1b\n\u202e\udcff\u00e4"}
    show_json(facts)
    out = capsys.readouterr().out
    assert out.isascii()
    assert out.count("\n") == 1
    assert json.loads(out) == facts


def ended(error: Exception, output: Output = Output.JSON) -> int:
    """The exit code of a command that raises this."""
    with pytest.raises(SystemExit) as caught, errors_reported(output):
        raise error
    return int(str(caught.value.code))


def test_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    problem = Problem("--listen", "flag.listen", "is wrong", "mend it")
    assert ended(InvalidInput([problem])) == 2
    assert json.loads(capsys.readouterr().out)["problems"][0]["where"] == "--listen"
    assert ended(KubegateError("broke", "mend it")) == 1
    assert json.loads(capsys.readouterr().out)["problems"] == [
        {"where": "", "code": "failure", "message": "broke", "hint": "mend it"}
    ]


def test_any_error_of_the_operating_system_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(OSError(28, "No space left on device", "/run/x"), Output.TEXT) == 1
    assert ended(BrokenPipeError(), Output.TEXT) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "error: the operating system refused something: /run/x: no space left on device",
        "error: the operating system refused something: brokenpipeerror",
    ]


def test_a_bug_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), errors_reported(Output.TEXT):
        _ = 1 / 0


@pytest.mark.parametrize("stream", ["none", "closed", "broken"])
def test_nobody_reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stream: str) -> None:
    closed = (tmp_path / "closed").open("w")
    closed.close()
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as broken:
        monkeypatch.setattr(sys, "stdout", {"none": None, "closed": closed, "broken": broken}[stream])
        show([line("text")])
        show_json({})
        if stream == "broken":
            broken.write("what comes later goes nowhere")
