"""What is said about wrong values: sentences of our own, whatever is wrong, and never the value of a secret."""

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kubegate.model import wording
from kubegate.model.problem import InvalidInput, Problem
from tests.unit.model.declared import read
from tests.unit.model.mutations import FULL, SECRET, mutated

# What pydantic would say, and what is said where nobody has thought of an error.
FOREIGN = ("Input should", "Value error", "valid ", "pydantic", "validation", "permitted", "Path", "that cannot be used here")


def told(text: str) -> list[Problem]:
    """What is wrong with a file, if anything is; whatever else is raised is not expected."""
    try:
        read(text)
    except InvalidInput as error:
        assert error.problems
        return list(error.problems)
    return []


@settings(deadline=None)
@given(mutated())
def test_every_wrong_value_has_a_sentence_and_a_hint(value: object) -> None:
    found = told(yaml.dump(value, Dumper=yaml.CSafeDumper, sort_keys=False))
    for problem in found:
        assert problem.where.startswith("FILE:")
        assert problem.code.startswith("config.")
        assert problem.message
        assert problem.hint
        shown = f"{problem.where} {problem.message} {problem.hint}"
        assert shown.isprintable()
        assert SECRET not in shown
        assert not [word for word in FOREIGN if word in shown]
    assert len({(problem.where, problem.message) for problem in found}) == len(found)


@settings(deadline=None)
@given(st.data())
def test_any_damage_to_the_text_is_told(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(FULL)))
    end = data.draw(st.integers(start, min(len(FULL), start + 30)))
    put = data.draw(st.text(alphabet=" \t\n-:,[]{}&*!|>'\"#%@`?ax1\x00é", max_size=8))
    for problem in told(FULL[:start] + put + FULL[end:]):
        assert problem.where.startswith("FILE:")
        assert not [word for word in FOREIGN if word in problem.message]


def test_what_was_meant_by_a_key() -> None:
    cluster = ("clusters", 0)
    assert wording.meant_keys((*cluster, "time-outs")) == [(*cluster, "timeouts")]
    assert wording.meant_keys((*cluster, "kubeConfig")) == [(*cluster, "upstream", "kubeconfig")]
    assert wording.meant_keys((*cluster, "health", "allow")) == [(*cluster, "allow")]
    assert wording.meant_keys((*cluster, "nothing like it")) == []


def test_meanings_end_a_hint() -> None:
    assert wording.meaning(("clusters", 0, "balance")) == "how requests are spread over its API servers"
    assert wording.meaning(("clusters", 0, "upstream", "ca")).startswith("CA bundle (PEM)")
    assert wording.meaning(("nowhere",)) == ""
