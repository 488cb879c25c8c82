"""Problems are values: a wrong input yields the list of everything that is wrong with it."""

from collections.abc import Iterable
from dataclasses import dataclass

from kubegate.errors import KubegateError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with an input, or, as a warning, one thing that is not secure about it.

    `where` is the flag or the file and key at fault, `code` a stable dotted word for scripts, `message` one sentence
    that says what is wrong, `hint` one sentence that says what to do.
    """

    where: str
    code: str
    message: str
    hint: str = ""


class InvalidInput(KubegateError):
    """The input cannot be used; carries every problem that was found. Ends a command with exit code 2."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{p.where}: {p.message}" for p in self.problems))
