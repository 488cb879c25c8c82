"""The Kubernetes version: one line of `harness/go.mod`, and all that follows from it.

`k8s.io/kubernetes` replaces its staging modules by folders of its own tree, which Go ignores in a dependency; a main
module has to repeat that list with versions.  `set_version` takes the list, the etcd version and the Go version from
the go.mod of the wanted Kubernetes, so that no part of it is kept by hand.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cluster.errors import ClusterError
from tests.cluster.requirements import GO_WISH

HARNESS = Path(__file__).parent / "harness"

_ASKED = re.compile(r"^\s*k8s\.io/kubernetes v(1\.\d+\.\d+\S*)$", re.MULTILINE)
_STAGING = re.compile(r"^\s*k8s\.io/\S+ => k8s\.io/\S+ v0\.(\S+)$", re.MULTILINE)
_HEADER = """\
// The test cluster's programs as one Go binary.
//
// The Kubernetes version is the line `k8s.io/kubernetes v1.X.Y` below. After changing it run
// `python -m tests.cluster set-version`, which rewrites the rest of this file and go.sum.
"""


def version() -> str:
    """The version that go.mod asks for, without the v; raises where the rest of the file is for another one."""
    text = (HARNESS / "go.mod").read_text()
    asked = _ASKED.search(text)
    if not asked:
        raise ClusterError("harness/go.mod does not require k8s.io/kubernetes v1.X.Y.")
    if set(_STAGING.findall(text)) != {asked[1].removeprefix("1.")}:
        raise ClusterError(
            f"harness/go.mod asks for Kubernetes {asked[1]}, but its other lines are for another version: "
            "run `python -m tests.cluster set-version`."
        )
    return asked[1]


def set_version(wanted: str | None, progress: Callable[[str], None]) -> str:
    """Makes go.mod and go.sum those of the wanted version, or of the one in go.mod's line."""
    found = _ASKED.search((HARNESS / "go.mod").read_text())
    target = (wanted or (found[1] if found else "")).removeprefix("v")
    if not re.fullmatch(r"1\.\d+\.\d+\S*", target):
        raise ClusterError(f"{target or 'nothing'!r} is no Kubernetes version such as 1.37.2.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        progress(f"asking for the module list of Kubernetes {target}")
        module = json.loads(go("list", "-m", "-json", f"k8s.io/kubernetes@v{target}", folder=folder))
        upstream = json.loads(go("mod", "edit", "-json", module["GoMod"], folder=folder))
        (folder / "go.mod").write_text(_go_mod(target, upstream))
        for source in ("main.go", "go.sum"):
            shutil.copy(HARNESS / source, folder / source)
        progress("resolving the modules")
        go("mod", "tidy", folder=folder)
        for source in ("go.mod", "go.sum"):
            (HARNESS / source).write_bytes((folder / source).read_bytes())
    return version()


def go(*words: str, folder: Path) -> str:
    try:
        done = subprocess.run(["go", *words], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ClusterError(f"The test cluster needs {GO_WISH}.") from None
    if done.returncode:
        raise ClusterError(f"`go {' '.join(words)}` failed: {done.stderr.strip()[-2000:]}")
    return done.stdout


def _go_mod(target: str, upstream: dict[str, Any]) -> str:
    staging = [r["Old"]["Path"] for r in upstream["Replace"] if r["New"]["Path"].startswith("./staging/")]
    required = {r["Path"]: r["Version"] for r in upstream["Require"]}
    etcd = required.get("go.etcd.io/etcd/server/v3") or required["go.etcd.io/etcd/client/v3"]
    apart = f"v0.{target.removeprefix('1.')}"
    lines = [
        _HEADER + "module example.invalid/k8s-harness",
        "",
        f"go {upstream['Go']}",
        "",
        "// Kubernetes' own setting: Go applies those of the main module only.",
        *(f"godebug {entry['Key']}={entry['Value']}" for entry in upstream.get("GoDebug") or []),
        "",
        "require (",
        f"\tgo.etcd.io/etcd/server/v3 {etcd}",
        f"\tk8s.io/component-base {apart}",
        f"\tk8s.io/kubectl {apart}",
        f"\tk8s.io/kubernetes v{target}",
        ")",
        "",
        "replace (",
        *(f"\t{path} => {path} {apart}" for path in staging),
        ")",
    ]
    return "\n".join(lines) + "\n"
