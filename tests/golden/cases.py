"""Golden cases: in `CASE/plan.yaml` a plan, or in `CASE/proxy.yaml` one of the local proxy with its usual filters; in
`CASE/expected/` every file that comes of it, byte for byte.

After a change that is meant, write the expected files anew with `python -m tests.golden` and read the difference.
Certificates in a plan are placeholders; where HAProxy reads the files, real ones stand in for them.
"""

from pathlib import Path

import yaml
from pydantic import TypeAdapter

from kubegate.model.filters import default_filters
from kubegate.model.plan import Plan
from kubegate.model.proxy_plan import ProxyPlan
from kubegate.render.haproxy import render
from kubegate.render.haproxy.local import shape

FOLDER = Path(__file__).parent
NAMES = sorted(path.parent.name for kind in ("plan", "proxy") for path in FOLDER.glob(f"*/{kind}.yaml"))
# Where the local proxy's listeners are in the plans.
DESCRIPTORS = (50, 51)


def plan(name: str) -> Plan:
    """The plan of a case."""
    return TypeAdapter(Plan).validate_python(yaml.safe_load((FOLDER / name / "plan.yaml").read_text()))


def proxy_plan(name: str) -> ProxyPlan:
    """The plan of a case of the local proxy."""
    document = yaml.safe_load((FOLDER / name / "proxy.yaml").read_text())
    return TypeAdapter(ProxyPlan).validate_python({**document, "filters": default_filters()})


def rendered(name: str) -> dict[str, bytes]:
    """The files that come of it."""
    if (FOLDER / name / "proxy.yaml").exists():
        return dict(shape(proxy_plan(name), "/run/proxy/").bundle().files)
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
