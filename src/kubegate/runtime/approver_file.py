"""The files of an approver: what it is declared to do, and the inventory of nodes. Every problem at once, with its line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kubegate.bootstrap.holders import plain
from kubegate.cluster.files import read_file
from kubegate.model.address import normal_name
from kubegate.model.approver_config import ApproverConfig
from kubegate.model.document import Document, read_document
from kubegate.model.names import kind_of, printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.model.values import BASE_FOLDER, BadValue
from kubegate.system.files import state_of

_ENVELOPE = ("apiVersion", "kind")


def read_approver(path: Path) -> ApproverConfig:
    """The declaration in a file. Raises InvalidInput."""
    document = _document(path)
    value = document.value
    if not isinstance(value, dict):
        message = f"is {kind_of(value)}, and the declaration of an approver is a mapping"
        hint = "it begins with apiVersion and kind, as examples/approver/approver.yaml does"
        raise InvalidInput([Problem(document.places.at(), "approver.value", message, hint)])
    problems = [flaw.problem(document.places) for flaw in document.flaws]
    missing = [key for key in _ENVELOPE if key not in value]
    problems += [Problem(document.places.at(), "approver.missing", f"{key} is missing", f"add {key}") for key in missing]
    try:
        folder = path.absolute().parent
        found = ApproverConfig.model_validate(value, context={BASE_FOLDER: folder}, by_alias=True, by_name=False)
    except ValidationError as error:
        # A list counts as too short, too, when one of its entries is wrong.
        errors = error.errors(include_url=False)
        wrong = {one["loc"][:-1] for one in errors}
        problems += [_worded(one, document) for one in errors if one["type"] != "too_short" or one["loc"] not in wrong]
    if problems:
        raise InvalidInput(problems)
    return found


def _worded(error: Any, document: Document) -> Problem:
    where = document.places.at(*error["loc"])
    cause = (error.get("ctx") or {}).get("error")
    if isinstance(cause, BadValue):
        return Problem(where, "approver.value", str(cause), cause.hint)
    if error["type"] == "extra_forbidden":
        known = ", ".join(field.alias or name for name, field in ApproverConfig.model_fields.items())
        return Problem(where, "approver.unknown-key", "is no key that stands here", f"known here: {known}")
    return Problem(where, "approver.value", f"cannot be used: {error['msg'].lower()}", "see docs/bootstrap.md")


def _document(path: Path) -> Document:
    shown = printable(str(path))
    return read_document(read_file(path, "FILE", "approver.unreadable"), shown)


class Inventory:
    """Names and addresses of nodes by a file that is read again when it changed; what was good last goes on."""

    def __init__(self, path: Path | None, say: Any) -> None:
        self._path = path
        self._say = say
        self._state = (0, 0, 0)
        self._nodes: Mapping[str, frozenset[str]] = {}
        self.trouble = ""

    def load(self) -> None:
        """Read it for the first time. Raises InvalidInput."""
        if self._path is not None:
            self._state = state_of(self._path)
            self._nodes = read_inventory(self._path)

    def __call__(self) -> Mapping[str, frozenset[str]]:
        """The nodes, as the file says now."""
        if self._path is not None and (state := state_of(self._path)) != self._state:
            self._state = state
            try:
                self._nodes = read_inventory(self._path)
                self.trouble = ""
                self._say(f"the inventory was read again: {len(self._nodes)} nodes")
            except InvalidInput as error:
                self.trouble = str(error)
                self._say(f"the inventory cannot be used, and the one before goes on: {error}")
        return self._nodes


def read_inventory(path: Path) -> Mapping[str, frozenset[str]]:
    """`nodes: {NAME: [NAMES AND ADDRESSES]}` of a file. Raises InvalidInput, also where two nodes have the same name."""
    document = _document(path)
    value = document.value
    problems = [flaw.problem(document.places) for flaw in document.flaws]
    nodes = value.get("nodes") if isinstance(value, dict) and set(value) == {"nodes"} else None
    if not isinstance(nodes, dict):
        message = "an inventory is a mapping `nodes` of names to lists of names and addresses, and nothing else"
        raise InvalidInput([*problems, Problem(document.places.at(), "inventory.form", message, "nodes: {worker-1: [10.0.0.7]}")])
    found: dict[str, frozenset[str]] = {}
    owners: dict[str, str] = {}
    for node, listed in nodes.items():
        where = document.places.at("nodes", node)
        names, wrong = _names(listed)
        problems += [
            Problem(where, "inventory.name", f"{printable(str(one))} is neither a DNS name nor an address") for one in wrong
        ]
        for name in names:
            if owners.setdefault(name, node) != node:
                problems.append(Problem(where, "inventory.twice", f"{name} is that of {owners[name]} already", "give it to one"))
        found[node] = names
    if problems:
        raise InvalidInput(problems)
    return found


def _names(listed: object) -> tuple[frozenset[str], list[object]]:
    if not isinstance(listed, list):
        return frozenset(), [listed]
    good, wrong = set(), []
    for one in listed:
        try:
            good.add(plain(normal_name(one)))
        except (ValueError, TypeError, AttributeError):
            wrong.append(one)
    return frozenset(good), wrong
