"""`kubegate proxy`: what a script knows as `kubectl proxy`. Its start line is all that it writes to standard output.

It is called without the other commands being loaded, for scripts wait for that line.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, NoReturn

from kubegate.cli.pflags import parse
from kubegate.cli.proxy_flags import ALL, help_text
from kubegate.cli.proxy_settings import read_settings
from kubegate.errors import KubegateError
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.system.files import reason

if TYPE_CHECKING:
    from kubegate.runtime.local_settings import Settings

SUMMARY = "Serve the API to this machine's programs, as kubectl proxy does."
EXAMPLES = ("kubegate proxy --port=0", "kubegate proxy --read-only --deny secrets -- my-agent")

_BAD_INPUT, _FAILURE = 2, 1


def main(words: Sequence[str]) -> NoReturn:
    """Run the command with these arguments, and exit."""
    parsed = parse(words, ALL)
    if parsed.flag("help"):
        print(help_text())  # noqa: T201 - asked for
        sys.exit(0)
    if "version" in parsed.given:
        from kubegate import __version__

        print(f"kubegate {__version__}")  # noqa: T201 - asked for
        sys.exit(0)
    notes: list[str] = []
    settings, problems = read_settings(parsed, notes.append)
    if parsed.command is not None:
        if settings.place.socket is not None:
            problems.append(Problem("--unix-socket", "flag.both", "a command finds the proxy by a URL, which a socket has not"))
        elif "port" not in parsed.given:
            settings = replace(settings, place=replace(settings.place, port=0))
    try:
        for note in notes:
            say(note)
        if problems:
            raise InvalidInput(problems)
        if "explain" in parsed.given:
            from kubegate.cli.proxy_explain import explain

            sys.exit(explain(parsed.text("explain"), settings))
        sys.exit(asyncio.run(_serve(settings, parsed.command)))
    except KubegateError as error:
        _end(error)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _end(KubegateError(f"the operating system refused something: {where}{reason(error)}"))


async def _serve(settings: "Settings", command: list[str] | None) -> int:
    from kubegate.runtime.local_proxy import LocalProxy
    from kubegate.runtime.signals import Stop

    async with Stop() as stop:
        proxy = await stop.unless_asked(LocalProxy.open(settings, os.environ, say))
        if proxy is None:
            say("stopped before anything was served")
            return 0
        async with proxy:
            if command is not None:
                from kubegate.cli.proxy_command import run_command

                return await run_command(command, proxy, stop)
            for where in proxy.shown:
                _print(f"Starting to serve on {where}")
            drained = await proxy.serve(stop)
    say("stopped" if drained else "stopped; what was still open was ended")
    return 0


def say(message: str) -> None:
    """One event, on standard error, at the time when it happened."""
    _write_error(f"{datetime.now().astimezone():%H:%M:%S} {printable(message)}")


def _print(line: str) -> None:
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except (OSError, ValueError):
        # Nobody reads it; the proxy serves all the same.
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115


def _write_error(line: str) -> None:
    try:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115


def _end(error: KubegateError) -> NoReturn:
    """Say what went wrong and leave: 2 for input that a person can mend, 1 for everything else."""
    bad = isinstance(error, InvalidInput)
    problems = error.problems if isinstance(error, InvalidInput) else (Problem("", "failure", error.message, error.hint),)
    if len(problems) > 1:
        _write_error(f"{len(problems)} problems; nothing was started:")
    for problem in problems:
        where = f"{printable(problem.where)}: " if problem.where else ""
        _write_error(f"error: {where}{printable(problem.message)}")
        for hint in problem.hint.splitlines():
            _write_error(f"       {printable(hint)}")
    sys.exit(_BAD_INPUT if bad else _FAILURE)
