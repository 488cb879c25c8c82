"""The page on credentials lists every difference from kubectl that the tests allow, and no other."""

import re
from pathlib import Path

from tests.feature.test_kubectl_parity import DIFFERENT

PAGE = (Path(__file__).parents[3] / "docs" / "credentials.md").read_text()


def test_differences() -> None:
    table = PAGE.partition("## Another way than kubectl\n")[2]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", table, re.MULTILINE)
    assert dict(row for row in rows if row[0] not in ("row of the tests", "---")) == DIFFERENT
