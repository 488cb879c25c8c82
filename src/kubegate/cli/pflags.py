"""Flags as kubectl reads them (spf13/pflag), for a command that scripts call by kubectl's own words.

`--name=value`, `--name value`, `--flag`, `--flag=false`, `-p8001`, `-p 8001`, `-p=8001`; arguments may stand anywhere, `--` ends
flags. Of a flag that is given twice the last one counts, unless it is a list.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from kubegate.model.problem import Problem

_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag. `kind` is `text`, `bool`, or `list`; `bare` is the value of one that is given without, None if it needs one.

    `note` says why one that means nothing here is accepted. `check` returns what is wrong with a value, empty if nothing is.
    """

    name: str
    help: str = ""
    default: str = ""
    kind: str = "text"
    short: str = ""
    value: str = "VALUE"
    bare: str | None = None
    note: str = ""
    check: Callable[[str], str] | None = None


@dataclass(slots=True)
class Parsed:
    """What was given: values by flag, in order; arguments that are no flags; and all after `--`, None without that."""

    given: dict[str, list[str]] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)
    command: list[str] | None = None
    problems: list[Problem] = field(default_factory=list)

    def text(self, name: str, default: str = "") -> str:
        """The last value."""
        return self.given[name][-1] if name in self.given else default

    def all(self, name: str) -> tuple[str, ...]:
        """Every value."""
        return tuple(self.given.get(name, ()))

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Whether it is switched on."""
        return self.text(name) in _TRUE if name in self.given else default


def parse(words: Sequence[str], flags: Iterable[Flag]) -> Parsed:
    """Read a command line. What is wrong with it is in `problems`, all of it."""
    reader = _Reader(list(words), {one.name: one for one in flags})
    while reader.words:
        reader.step()
    return reader.found


class _Reader:
    def __init__(self, words: list[str], flags: dict[str, Flag]) -> None:
        self.words = words
        self.found = Parsed()
        self._flags = flags
        self._short = {one.short: one for one in flags.values() if one.short}

    def step(self) -> None:
        word = self.words.pop(0)
        if word == "--":
            self.found.command, self.words = self.words, []
        elif word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            self._long(name, value if equals else None)
        elif word.startswith("-") and len(word) > 1:
            self._shorts(word[1:])
        else:
            self.found.arguments.append(word)

    def _long(self, name: str, value: str | None) -> None:
        flag = self._flags.get(name)
        if flag is None:
            self._wrong(f"--{name}", "flag.unknown", "there is no such flag", "see kubegate proxy --help")
        else:
            self._take(flag, f"--{name}", value)

    def _shorts(self, letters: str) -> None:
        """`-p8001`, or several without values: `-hv`."""
        while letters:
            letter, letters = letters[0], letters[1:]
            flag = self._short.get(letter)
            if flag is None:
                self._wrong(f"-{letter}", "flag.unknown", "there is no such flag", "see kubegate proxy --help")
                return
            if letters.startswith("="):
                self._take(flag, f"-{letter}", letters[1:])
                return
            if _bare(flag) is not None:
                self._take(flag, f"-{letter}", None)
            elif letters:
                self._take(flag, f"-{letter}", letters)
                return
            else:
                self._take(flag, f"-{letter}", None)

    def _take(self, flag: Flag, written: str, value: str | None) -> None:
        if value is None:
            value = _bare(flag)
        if value is None:
            if not self.words:
                self._wrong(written, "flag.value", "needs a value", f"write {written}={flag.value}")
                return
            value = self.words.pop(0)
        if flag.kind == "bool" and value not in (*_TRUE, *_FALSE):
            self._wrong(written, "flag.bool", f"{value!r} is neither true nor false")
            return
        if flag.check is not None and (why := flag.check(value)):
            self._wrong(written, "flag.value", why)
            return
        self.found.given.setdefault(flag.name, []).append(value)

    def _wrong(self, where: str, code: str, message: str, hint: str = "") -> None:
        self.found.problems.append(Problem(where, code, message, hint))


def _bare(flag: Flag) -> str | None:
    return "true" if flag.kind == "bool" else flag.bare
