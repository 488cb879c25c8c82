"""The page on `kubegate proxy` says what the tests say."""

import re
from pathlib import Path

from kubegate.cli.proxy_flags import ALL, OWN
from tests.support.proxy_differences import rows

PAGE = (Path(__file__).parents[3] / "docs" / "kubectl-proxy.md").read_text()


def test_the_table_of_differences_is_that_of_the_tests() -> None:
    assert PAGE.partition("| --- | --- | --- |\n")[2].splitlines() == rows()


def test_flags_that_are_named_are_there_and_the_other_way_round() -> None:
    named = set(re.findall(r"`--([a-z-]+)", PAGE)) | set(re.findall(r"`kubegate proxy --([a-z-]+)", PAGE))
    named -= {"help"}
    assert named <= {flag.name for flag in ALL}
    assert {flag.name for flag in OWN} - named <= {"help", "tls-cert-file", "tls-private-key-file", "haproxy"}
