"""Declared files for tests: what a test says of them, and what is said about them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from kubegate.model.gatefile import Declaration, read_declaration
from kubegate.model.problem import InvalidInput, Problem

FOLDER = Path("/etc/kubegate")
HEAD = "apiVersion: kubegate.dev/v1alpha1\nkind: Gate\n"
UPSTREAM = "upstream: {kubeconfig: admin.conf}"
ONE = f"{HEAD}clusters:\n- name: prod\n  {UPSTREAM}\n"


def read(text: str | bytes) -> Declaration:
    """What a file declares."""
    return read_declaration(text if isinstance(text, bytes) else text.encode(), "FILE", FOLDER)


def problems(text: str | bytes) -> list[Problem]:
    """Everything that is wrong with a file."""
    with pytest.raises(InvalidInput) as caught:
        read(text)
    return list(caught.value.problems)


def told(text: str | bytes) -> list[tuple[str, str]]:
    """The same, without codes and hints."""
    return [(problem.where, problem.message) for problem in problems(text)]


def gate(*clusters: dict[str, Any], **keys: Any) -> str:
    """A file with these clusters, each with a name and an upstream where it has none, and with other keys at its top."""
    named = [{"name": f"c{number}", "upstream": {"kubeconfig": "c"}} | one for number, one in enumerate(clusters)]
    return HEAD + yaml.safe_dump(keys | {"clusters": named}, sort_keys=False)


def places(text: str | bytes) -> list[str]:
    """The keys that are told, without their lines."""
    return [problem.where.partition(": ")[2] for problem in problems(text)]
