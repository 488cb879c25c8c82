"""Places in a file: the line of a key, and elements by their names."""

import pytest

from kubegate.model.document import read_document
from kubegate.model.places import Flaw, Loc

TEXT = b"""# a comment
clusters:
- name: prod
  hosts:
  - a
  - b
  upstream: {ca: x,
    context: y}
-
  hosts: [c]
  name: "st\xe2\x80\xaeage"
- *nobody
- name: [x]
more: {k: v}
"""


@pytest.mark.parametrize(
    ("loc", "place"),
    [
        ((), "FILE:2"),
        (("clusters",), "FILE:2: clusters"),
        (("clusters", 0), "FILE:3: clusters[prod]"),
        (("clusters", 0, "name"), "FILE:3: clusters[prod].name"),
        (("clusters", 0, "hosts", 1), "FILE:6: clusters[prod].hosts[1]"),
        (("clusters", 0, "upstream", "ca"), "FILE:7: clusters[prod].upstream.ca"),
        (("clusters", 0, "upstream", "context"), "FILE:8: clusters[prod].upstream.context"),
        (("clusters", 0, "upstream", "servers", 3), "FILE:7: clusters[prod].upstream.servers[3]"),
        (("clusters", 0, "health", "rise"), "FILE:3: clusters[prod].health.rise"),
        (("clusters", 0, "hosts", 1, "deeper"), "FILE:6: clusters[prod].hosts[1].deeper"),
        (("clusters", 1, "hosts"), "FILE:10: clusters[st\\u202eage].hosts"),
        (("clusters", 2, "name"), "FILE:12: clusters[2].name"),
        (("clusters", 3, "name"), "FILE:13: clusters[3].name"),
        (("clusters", 9), "FILE:2: clusters[9]"),
        (("metrics", "address"), "FILE:2: metrics.address"),
        (("more", 0), "FILE:14: more[0]"),
    ],
)
def test_places(loc: Loc, place: str) -> None:
    assert read_document(TEXT, "FILE").places.at(*loc) == place


def test_below_an_alias_the_lines_are_those_of_the_value() -> None:
    places = read_document(b"a: &a\n  x: 1\nb: *a\nc:\n- *a\n", "FILE").places
    assert places.at("b") == "FILE:3: b"
    assert places.at("b", "x") == "FILE:2: b.x"
    assert places.at("c", 0) == "FILE:5: c[0]"
    assert places.at("c", 0, "x") == "FILE:2: c[0].x"


def test_what_is_long_or_not_printable_is_cut_and_escaped() -> None:
    document = read_document(f"{'k' * 500}: 1\n".encode(), "gate\x1b[31m.yaml")
    assert document.places.at("k" * 500) == f"gate\\x1b[31m.yaml:1: {'k' * 60}..."


def test_a_flaw_in_words() -> None:
    places = read_document(TEXT, "FILE").places
    flaw = Flaw(("clusters", 0, "name"), "duplicate", "is x\x1b", "choose", other=("more",))
    problem = flaw.problem(places)
    assert problem.where == "FILE:3: clusters[prod].name"
    assert (problem.code, problem.hint) == ("config.duplicate", "choose")
    assert problem.message == "is x\\x1b (FILE:14: more)"
    assert Flaw(("more",), "x", "y", line=99).problem(places).where == "FILE:99: more"
