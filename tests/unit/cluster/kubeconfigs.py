"""Kubeconfig files for tests: one that is right, to be changed in one place."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubegate.cluster.context import Context
from kubegate.cluster.kubeconfig import load
from kubegate.model.problem import InvalidInput, Problem

GOOD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "prod",
    "clusters": [{"name": "east", "cluster": {"server": "https://api.test:6443"}}],
    "contexts": [{"name": "prod", "context": {"cluster": "east", "user": "jane"}}],
    "users": [{"name": "jane", "user": {"token": "very-secret"}}],
}


class Workbench:
    """Writes kubeconfigs into a folder and loads them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "config"

    def write(self, text: str | bytes, name: str = "config") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def good(self, *, cluster: object = None, user: object = None, context: object = None, **top: object) -> Path:
        """The right one, with some of its parts updated."""
        document = copy.deepcopy(GOOD) | top
        for key, kind, change in (("clusters", "cluster", cluster), ("users", "user", user), ("contexts", "context", context)):
            if isinstance(change, dict):
                document[key][0][kind] |= change
            elif change is not None:
                document[key][0][kind] = change
        return self.write(yaml.safe_dump(document))

    def load(self, chosen: str | None = None, **changes: Any) -> Context:
        if changes or not self.file.exists():
            self.good(**changes)
        return load(self.file, chosen, {})

    def problems(self, chosen: str | None = None, **changes: Any) -> list[Problem]:
        """What is wrong, with places without the folder; nothing secret is in any of it."""
        with pytest.raises(InvalidInput) as caught:
            self.load(chosen, **changes)
        assert "very-secret" not in str(caught.value)
        shorten = str(self.folder) + "/"
        return [Problem(p.where.replace(shorten, ""), p.code, p.message, p.hint) for p in caught.value.problems]

    def codes(self, chosen: str | None = None, **changes: Any) -> list[tuple[str, str]]:
        """Place and code of each problem."""
        return [(problem.where, problem.code) for problem in self.problems(chosen, **changes)]
