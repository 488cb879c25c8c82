"""Golden cases: in `CASE/plan.yaml` a plan, in `CASE/expected/` every file that comes of it, byte for byte.

After a change that is meant, write the expected files anew with `python -m tests.golden` and read the difference.
Certificates in a plan are placeholders; where HAProxy reads the files, real ones stand in for them.
"""

from pathlib import Path

import yaml
from pydantic import TypeAdapter

from kubegate.model.plan import Plan
from kubegate.render.haproxy import render

FOLDER = Path(__file__).parent
NAMES = sorted(path.parent.name for path in FOLDER.glob("*/plan.yaml"))


def plan(name: str) -> Plan:
    """The plan of a case."""
    return TypeAdapter(Plan).validate_python(yaml.safe_load((FOLDER / name / "plan.yaml").read_text()))


def rendered(name: str) -> dict[str, bytes]:
    """The files that come of it."""
    return dict(render(plan(name)).files)


def expected(name: str) -> dict[str, bytes]:
    """The files that are to come of it."""
    folder = FOLDER / name / "expected"
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def rewrite(name: str) -> None:
    """Take what is rendered now for what is expected from now on."""
    folder = FOLDER / name / "expected"
    folder.mkdir(exist_ok=True)
    files = rendered(name)
    for path in folder.iterdir():
        if path.name not in files:
            path.unlink()
    for file, content in files.items():
        (folder / file).write_bytes(content)
