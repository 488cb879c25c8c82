"""`kubegate schema` prints the schema, and nothing else."""

import json

from typer.testing import CliRunner

from kubegate.cli.app import app
from kubegate.model.schema import json_schema


def test_it_is_printed_as_it_is() -> None:
    result = CliRunner().invoke(app, ["schema"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json_schema()
    assert result.stdout.isascii()
    assert result.stderr == ""


def test_it_takes_no_words() -> None:
    result = CliRunner().invoke(app, ["schema", "more"])
    assert result.exit_code == 2
    assert result.stdout == ""
