"""One problem does not hide another, and each says what to do."""

import pytest

from kubegate.errors import KubegateError
from kubegate.model.problem import InvalidInput, Problem
from kubegate.runtime.findings import Findings, with_remedy


def test_everything_that_is_raised_is_noted() -> None:
    findings = Findings([Problem("--a", "flag.a", "is wrong")])
    with findings.also():
        raise InvalidInput([Problem("--b", "flag.b", "is wrong"), Problem("--c", "flag.c", "is wrong")])
    with findings.also("--d", "d", "unused"):
        raise KubegateError("is wrong", "mend it")
    with findings.also("--e", "e", "make space"):
        raise OSError(28, "No space left on device")
    with findings.also("--f"):
        pass
    with pytest.raises(InvalidInput) as caught:
        findings.raise_if_any()
    assert [problem.where for problem in caught.value.problems] == ["--a", "--b", "--c", "--d", "--e"]
    assert caught.value.problems[3:] == (
        Problem("--d", "d", "is wrong", "mend it"),
        Problem("--e", "e", "no space left on device", "make space"),
    )


def test_what_is_no_problem_of_the_input_is_not_caught() -> None:
    with pytest.raises(ZeroDivisionError), Findings([]).also():
        _ = 1 / 0


def test_nothing_found_nothing_raised() -> None:
    Findings([]).raise_if_any()


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("kubeconfig.yaml", "mend it there"),
        ("kubeconfig.unreadable", "who may read it"),
        ("kubeconfig.ca.empty", "CA certificate"),
        ("front.key.mismatch", "for which the certificate was issued"),
        ("kubeconfigs", ""),
        ("other", ""),
    ],
)
def test_the_most_special_remedy_counts(code: str, hint: str) -> None:
    found = with_remedy(Problem("somewhere", code, "is wrong")).hint
    assert hint in found
    assert bool(found) is bool(hint)


def test_a_remedy_that_was_given_stays() -> None:
    problem = Problem("somewhere", "kubeconfig.yaml", "is wrong", "do this")
    assert with_remedy(problem) is problem
