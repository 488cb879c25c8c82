"""The list of commands."""

import typer.main

from kubegate.cli.app import ROWS, app


def test_the_help_names_every_command_once() -> None:
    group = typer.main.get_command(app)
    listed = [name for names, _ in ROWS for name in names.split(", ")]
    assert sorted(listed) == sorted(group.commands)  # type: ignore[attr-defined]
