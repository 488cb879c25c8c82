"""What people see: facts on standard output, everything else on standard error; colour on a terminal only.

All text comes from elsewhere, so everything that a terminal would act on is escaped, and nothing is read as markup.
"""

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NoReturn, TextIO

from rich.console import Console
from rich.text import Text

from kubegate.errors import KubegateError
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.system.files import reason

BAD_INPUT = 2
FAILURE = 1
NOTHING_STARTED = "nothing was started"


class Output(StrEnum):
    """How facts are printed."""

    TEXT = "text"
    JSON = "json"


def line(*parts: str | tuple[str, str]) -> Text:
    """A line out of texts, or pairs of text and style; what a terminal would act on is escaped."""
    pairs = [(part, "") if isinstance(part, str) else part for part in parts]
    return Text.assemble(*((printable(text), style) for text, style in pairs))


def rows(pairs: list[tuple[str, str]]) -> list[Text]:
    """Names on the left, facts on the right."""
    width = max(len(name) for name, _ in pairs)
    return [line("  ", (name.ljust(width), "cyan"), "  ", fact) for name, fact in pairs]


def columns(table: Sequence[Sequence[str | tuple[str, str]]], indent: str = "  ") -> list[Text]:
    """Rows whose cells, texts or pairs of text and style, stand below one another; the last ones are as long as they are."""
    widths = [max(len(_plain(cell)) for cell in column) for column in zip(*(row[:-1] for row in table), strict=True)]
    found = []
    for row in table:
        padded = [_padded(cell, width) for cell, width in zip(row[:-1], widths, strict=True)]
        found.append(line(indent, *(part for cell in padded for part in (cell, "  ")), row[-1]))
    return found


def _plain(cell: str | tuple[str, str]) -> str:
    return printable(cell if isinstance(cell, str) else cell[0])


def _padded(cell: str | tuple[str, str], width: int) -> str | tuple[str, str]:
    padding = " " * (width - len(_plain(cell)))
    return f"{cell}{padding}" if isinstance(cell, str) else (f"{cell[0]}{padding}", cell[1])


def show(lines: Iterable[Text], *, stderr: bool = False) -> None:
    """Print lines; they are not wrapped, and styled only where a terminal reads them and NO_COLOR is not set."""
    stream = sys.stderr if stderr else sys.stdout
    terminal = stream is not None and not stream.closed and stream.isatty()
    if not terminal:
        _write(stream, "".join(f"{text.plain}\n" for text in lines))
        return
    buffer = io.StringIO()
    screen = Console(
        file=buffer,
        force_terminal=True,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        highlight=False,
        soft_wrap=True,
    )
    for text in lines:
        screen.print(text)
    _write(stream, buffer.getvalue())


def show_json(facts: dict[str, Any]) -> None:
    """One line for scripts, in ASCII."""
    _write(sys.stdout, json.dumps(facts, separators=(",", ":")) + "\n")


def say(message: str) -> None:
    """One event, at the time when it happened."""
    show([line(f"{datetime.now().astimezone():%H:%M:%S} {message}")], stderr=True)


@contextlib.contextmanager
def errors_reported(output: Output, consequence: str = "") -> Iterator[None]:
    """The one place where errors become words and exit codes; `consequence` is what came of several, as in `nothing started`."""
    try:
        yield
    except KubegateError as error:
        _end(error, output, consequence)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _end(KubegateError(f"the operating system refused something: {where}{reason(error)}"), output, consequence)


def _end(error: KubegateError, output: Output, consequence: str) -> NoReturn:
    """Say what went wrong and leave: 2 for input that a person can mend, 1 for everything else."""
    problems = error.problems if isinstance(error, InvalidInput) else (Problem("", "failure", error.message, error.hint),)
    if output is Output.JSON:
        show_json({"problems": [{"where": p.where, "code": p.code, "message": p.message, "hint": p.hint} for p in problems]})
    else:
        show(_described(problems, consequence), stderr=True)
    sys.exit(BAD_INPUT if isinstance(error, InvalidInput) else FAILURE)


def _described(problems: tuple[Problem, ...], consequence: str) -> Iterator[Text]:
    if len(problems) > 1:
        yield line((f"{len(problems)} problems{f'; {consequence}' if consequence else ''}:", "bold"))
    for problem in problems:
        where = f"{problem.where}: " if problem.where else ""
        yield line(("error: ", "bold red"), (where, "bold"), problem.message)
        for hint in problem.hint.splitlines():
            yield line((f"       {hint}", "dim"))


def _write(stream: TextIO | None, text: str) -> None:
    """Write all of it, or, where nobody reads any more, go on: a gate does not end because its output did."""
    if stream is None:
        return
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):
        # What is left in the buffer goes nowhere, else the interpreter would stumble over it at its end.
        with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), stream.fileno())
