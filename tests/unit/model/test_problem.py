"""Problems are values, and an invalid input carries them all."""

from kubegate.model.problem import InvalidInput, Problem


def test_an_invalid_input_carries_every_problem() -> None:
    problems = [Problem("--listen", "flag.listen", "is wrong", "mend it"), Problem("--host", "flag.host", "is wrong too")]
    error = InvalidInput(iter(problems))
    assert error.problems == tuple(problems)
    assert str(error) == "--listen: is wrong; --host: is wrong too"
    assert error.hint == ""
