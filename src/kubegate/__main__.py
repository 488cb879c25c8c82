"""`python -m kubegate`."""

from kubegate.cli.main import run

run()
