"""`kubegate schema`: what a declared file may say, for editors and other programs."""

import json

from kubegate.cli.console import line, show

SUMMARY = "Print the JSON Schema of the file that `kubegate run` reads."
EXAMPLES = ("kubegate schema > gate.schema.json",)


def command() -> None:
    """Print the JSON Schema."""
    from kubegate.model.schema import json_schema

    show(line(text) for text in json.dumps(json_schema(), indent=2).splitlines())
