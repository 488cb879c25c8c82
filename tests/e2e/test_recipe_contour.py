"""The recipe for Contour, its commands run as they stand: one name and one file of the cluster's are put in its place."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.cluster.cluster import Cluster
from tests.support.contour import CRDS, contour, custom_resources
from tests.support.expose import Home
from tests.support.host_names import host_names

PAGE = (Path(__file__).parents[2] / "docs" / "recipes" / "contour.md").read_text()
NAME, ADDRESS = "prod.example.com", "127.0.0.77"


def blocks(kind: str) -> list[str]:
    """The blocks of code of a kind, in their order."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_recipe_ends_in_nodes(cluster: Cluster, person: Home, tmp_path: Path) -> None:
    [declared] = blocks("yaml")
    (tmp_path / "kubegate.yaml").write_text(declared)
    (tmp_path / "admin.conf").write_bytes(cluster.kubeconfig.read_bytes())
    (tmp_path / "token").touch(mode=0o600)
    (tmp_path / "token").write_text(cluster.admin_token.token or "")
    commands = f"{Path(sys.executable).parent}{os.pathsep}{cluster.binaries}{os.pathsep}{os.environ['PATH']}"
    environ = person.environ({"PATH": commands, "KUBECONFIG": str(cluster.kubeconfig)})
    run = tmp_path / "run"
    run.mkdir()
    try:
        custom_resources(cluster, *CRDS)
        with (
            contour(cluster, run, address=ADDRESS, port=443),
            host_names(NAME, address=ADDRESS),
        ):
            script = "set -eu\n" + "".join(blocks("sh"))
            done = subprocess.run(
                ["sh", "-c", script],
                cwd=tmp_path,
                env=environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=110,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            last = done.stdout.rstrip().splitlines()
            assert last[-2].startswith("NAME")
            assert last[-1].startswith(cluster.node_name)
    finally:
        cluster.kubectl("delete", "namespace", "gates", "--ignore-not-found", "--wait=true")
