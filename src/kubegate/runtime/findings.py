"""Problems collected so that one does not hide another."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace

from kubegate.errors import KubegateError
from kubegate.model.problem import InvalidInput, Problem
from kubegate.system.files import reason

# What to do where those who found a problem do not say; of the beginnings of its code the longest counts.
_REMEDIES = {
    "kubeconfig": "mend it there, or name another kubeconfig",
    "kubeconfig.unreadable": "check the path and who may read it, or name another kubeconfig",
    "kubeconfig.ca": "let it name the cluster's CA certificate in PEM form",
    "credential": "log in again, or choose a context with another user",
    "file": "check the path, and that this user may read it",
    "certificate": "give a certificate in PEM form, the server's own first",
    "key": "give the private key of the certificate in PEM form",
    "front.key.mismatch": "give the key for which the certificate was issued",
    "front.state": "see that there is space, and that this user may write there",
}


class Findings:
    """Every problem that was found so far."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems

    @contextlib.contextmanager
    def also(self, where: str = "", code: str = "", hint: str = "") -> Iterator[None]:
        """Note what is raised on purpose, or by the operating system, and go on after the block."""
        try:
            yield
        except InvalidInput as error:
            self.problems.extend(error.problems)
        except KubegateError as error:
            self.problems.append(Problem(where, code, error.message, error.hint or hint))
        except OSError as error:
            self.problems.append(Problem(where, code, reason(error), hint))

    @contextlib.contextmanager
    def within(self, place: str, code: str, files: Mapping[str, str]) -> Iterator[None]:
        """Note, too, where in a declaration the thing is named that a problem is about: `files` has the places of file names."""
        inner = Findings([])
        with inner.also(place, code):
            yield
        for problem in inner.problems:
            at = next((at for file, at in files.items() if problem.where.startswith(file)), place)
            self.problems.append(_placed(problem, at, place))

    def raise_if_any(self) -> None:
        """Raises InvalidInput with all of them."""
        if self.problems:
            raise InvalidInput(with_remedy(problem) for problem in self.problems)


def _placed(problem: Problem, at: str, place: str) -> Problem:
    if problem.where.startswith((at, place)):
        return problem
    # What the message says itself need not be said before it.
    said = f" {problem.message}".find(f" {problem.where} ") >= 0
    return replace(problem, where=at if said else f"{at}: {problem.where}")


def with_remedy(problem: Problem) -> Problem:
    """The same problem with something to do about it."""
    fitting = [code for code in _REMEDIES if f"{problem.code}.".startswith(f"{code}.")]
    if problem.hint or not fitting:
        return problem
    return replace(problem, hint=_REMEDIES[max(fitting, key=len)])
