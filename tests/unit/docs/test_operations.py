"""The page on operations names every code, and nothing that there is not."""

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "operations.md").read_text()
SOURCE = ROOT / "src" / "kubegate"
# Of `kubegate expose`, whose codes have pages of their own.
EXPOSE = [SOURCE / "runtime" / name for name in ("advice.py", "declare.py", "expose.py", "outfile.py", "prepare.py")]
ONLY_EXPOSE = {"listen.taken", "front.cert.no-name"}
MAKERS = {"Problem": 1, "Remark": 1, "also": 1, "within": 1}


def codes() -> set[str]:
    """Every code in the source; `.*` stands for the part that is only known when it runs."""
    return {code for path in SOURCE.rglob("*.py") if path not in EXPOSE for code in _codes(ast.parse(path.read_text()))}


def _codes(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = node.args[MAKERS[name]] if name in MAKERS and len(node.args) > MAKERS[name] else None
        if isinstance(given, ast.Constant) and isinstance(given.value, str):
            yield given.value
        elif isinstance(given, ast.JoinedStr) and isinstance(given.values[0], ast.Constant):
            yield f"{given.values[0].value!s}*"


def documented() -> list[str]:
    """The codes in the first cells of the tables of codes."""
    part = PAGE.partition("\n## Codes\n")[2].partition("\n## ")[0]
    return [code for line in part.splitlines() if line.startswith("| `") for code in re.findall("`([^`]+)`", line.split("|")[1])]


def test_every_code_is_explained() -> None:
    found = codes()
    assert {"upstream.dead", "gate.refused", "config.*"} <= found
    known = documented()
    assert len(known) == len(set(known))
    unknown = {code for code in found - ONLY_EXPOSE if not any(fnmatchcase(code, pattern) for pattern in known)}
    assert not unknown, "docs/operations.md explains each"


def test_every_explained_code_can_come() -> None:
    found = codes()
    assert not {code for code in documented() if not any(fnmatchcase(one, code) for one in found)}


@pytest.mark.parametrize("metric", sorted(set(re.findall(r"`kubegate_([a-z_]+)", PAGE))))
def test_metrics_that_are_named_are_there(metric: str) -> None:
    assert f'"{metric}"' in (SOURCE / "runtime" / "gate_metrics.py").read_text()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\bpackaging/[\w./]+", PAGE))))
def test_files_that_are_to_be_installed_are_there(path: str) -> None:
    assert (ROOT / path).is_file()


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", PAGE))))
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).exists()
