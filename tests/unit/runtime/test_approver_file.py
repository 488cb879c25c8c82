"""The declaration of an approver and its inventory: every problem at once, with its line."""

from pathlib import Path

import pytest

from kubegate.model.problem import InvalidInput
from kubegate.runtime.approver_file import Inventory, read_approver, read_inventory

GOOD = """apiVersion: kubegate.dev/v1alpha1
kind: Approver
groups: [system:bootstrappers:workers]
names: ["worker-[0-9]+"]
inventory: nodes.yaml
"""


def problems(path: Path, text: str, read: object = read_approver) -> list[tuple[str, str]]:
    path.write_text(text)
    with pytest.raises(InvalidInput) as caught:
        read(path)  # type: ignore[operator]
    return [(one.where.removeprefix(f"{path}:"), one.code) for one in caught.value.problems]


def test_a_declaration(tmp_path: Path) -> None:
    file = tmp_path / "approver.yaml"
    file.write_text(GOOD)
    found = read_approver(file)
    assert (found.groups, found.names) == (("system:bootstrappers:workers",), ("worker-[0-9]+",))
    assert (found.namespace, found.inventory, found.max_days) == ("kubegate-approver", tmp_path / "nodes.yaml", None)


def test_everything_wrong_at_once(tmp_path: Path) -> None:
    text = GOOD.replace('"worker-[0-9]+"', '"("') + "maxDays: 0\ncolour: red\ndryRun: 1\n"
    assert sorted(problems(tmp_path / "a.yaml", text)) == [
        ("4: names[0]", "approver.value"),
        ("6: maxDays", "approver.value"),
        ("7: colour", "approver.unknown-key"),
        ("8: dryRun", "approver.value"),
    ]
    assert ("1", "approver.missing") in problems(tmp_path / "a.yaml", GOOD.replace("kind: Approver\n", ""))


def test_what_is_no_declaration_at_all(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("text")
    with pytest.raises(InvalidInput, match="is text, and the declaration of an approver is a mapping"):
        read_approver(file)
    with pytest.raises(InvalidInput) as caught:
        read_approver(tmp_path / "none.yaml")
    assert [(one.where, "none.yaml cannot be read" in one.message) for one in caught.value.problems] == [("FILE", True)]


def test_an_inventory_has_one_form_of_each_name(tmp_path: Path) -> None:
    file = tmp_path / "nodes.yaml"
    file.write_text("nodes:\n  a: [10.0.0.1, 2001:DB8::0:1, A.Example.com]\n  b: []\n")
    assert read_inventory(file) == {"a": {"10.0.0.1", "2001:db8::1", "a.example.com"}, "b": frozenset()}


def test_what_is_wrong_with_an_inventory(tmp_path: Path) -> None:
    file = tmp_path / "nodes.yaml"
    assert problems(file, "nodes:\n  a: [10.0.0.1, 'x y']\n  b: [10.0.0.1]\n  c: text\n", read_inventory) == [
        ("2: nodes.a", "inventory.name"),
        ("3: nodes.b", "inventory.twice"),
        ("4: nodes.c", "inventory.name"),
    ]
    assert problems(file, "a: [10.0.0.1]\n", read_inventory) == [("1", "inventory.form")]


def test_an_inventory_that_was_good_goes_on(tmp_path: Path) -> None:
    file, said = tmp_path / "nodes.yaml", list[str]()
    file.write_text("nodes: {a: [10.0.0.1]}\n")
    inventory = Inventory(file, said.append)
    inventory.load()
    file.write_text("nodes: {a: [10.0.0.1], b: [10.0.0.1]}\n")
    assert inventory() == {"a": {"10.0.0.1"}}
    assert "10.0.0.1 is that of a already" in inventory.trouble
    assert "goes on" in said[0]
    file.write_text("nodes: {a: [10.0.0.2], b: [10.0.0.1]}\n")
    assert inventory()["b"] == {"10.0.0.1"}
    assert inventory.trouble == ""


def test_the_example() -> None:
    folder = Path(__file__).parent.parent.parent.parent / "examples" / "approver"
    found = read_approver(folder / "approver.yaml")
    assert found.inventory == folder / "nodes.yaml"
    assert set(read_inventory(folder / "nodes.yaml")) == {"worker-1", "worker-2"}
