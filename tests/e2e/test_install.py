"""`pip install .` alone gives a working `kubegate expose`."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.support.expose import home

PROJECT = Path(__file__).parents[2]


@pytest.mark.timeout(400)
def test_installed_from_the_source_tree_alone(cluster: Cluster, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True, timeout=120)
    commands = tmp_path / "venv" / "bin"
    install: list[str | Path] = [commands / "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", PROJECT]
    subprocess.run(install, check=True, timeout=300, capture_output=True)
    with home() as person:
        environ = person.environ({"PATH": os.defpath, "KUBECONFIG": str(cluster.accounts["viewer"].kubeconfig)})
        gate = subprocess.Popen(
            [commands / "kubegate", "expose", "--listen", "127.0.0.1:0", "--output", "json"],
            cwd=tmp_path,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert gate.stdout is not None
        facts = json.loads(gate.stdout.readline())
        assert facts["upstream"]["verified_name"].startswith("kubernetes.default.svc")
        assert facts["haproxy"].endswith("(embedded)")
        gate.send_signal(signal.SIGINT)
        gate.communicate(timeout=60)
        assert gate.returncode == 0
