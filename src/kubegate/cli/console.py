"""What people see: facts on standard output, everything else on standard error; colour on a terminal only."""

import sys
from datetime import datetime
from enum import StrEnum
from typing import Any, NoReturn

import orjson
from rich.console import Console
from rich.text import Text

from kubegate.errors import KubegateError
from kubegate.model.problem import InvalidInput, Problem

BAD_INPUT = 2
FAILURE = 1


class Output(StrEnum):
    """How facts are printed."""

    TEXT = "text"
    JSON = "json"


def console(*, stderr: bool = False) -> Console:
    """A console that neither wraps what is piped nor reads markup out of foreign text."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else 10_000
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False, soft_wrap=True)


def print_json(facts: dict[str, Any]) -> None:
    """One line for scripts."""
    sys.stdout.write(orjson.dumps(facts).decode() + "\n")
    sys.stdout.flush()


def rows(pairs: list[tuple[str, str]]) -> Text:
    """Names on the left, facts on the right."""
    width = max(len(name) for name, _ in pairs)
    lines = [Text.assemble("  ", (name.ljust(width), "cyan"), "  ", fact) for name, fact in pairs]
    return Text("\n").join(lines)


def end(error: KubegateError, output: Output) -> NoReturn:
    """Say what went wrong and leave: 2 for input that a person can mend, 1 for everything else."""
    problems = error.problems if isinstance(error, InvalidInput) else (Problem("", "failure", error.message, error.hint),)
    if output is Output.JSON:
        print_json({"problems": [{"where": p.where, "code": p.code, "message": p.message, "hint": p.hint} for p in problems]})
    else:
        _print_problems(problems)
    sys.stdout.flush()
    sys.exit(BAD_INPUT if isinstance(error, InvalidInput) else FAILURE)


def _print_problems(problems: tuple[Problem, ...]) -> None:
    screen = console(stderr=True)
    if len(problems) > 1:
        screen.print(Text(f"{len(problems)} problems; nothing was started:", style="bold"))
    for problem in problems:
        line = Text("error: ", style="bold red")
        if problem.where:
            line.append(f"{problem.where}: ", style="bold")
        line.append(problem.message)
        screen.print(line)
        if problem.hint:
            screen.print(Text(f"       {problem.hint}", style="dim"))


def say(message: str) -> None:
    """One event, at the time when it happened."""
    console(stderr=True).print(Text(f"{datetime.now().astimezone():%H:%M:%S} {message}"))
