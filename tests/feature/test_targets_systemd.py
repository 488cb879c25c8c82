"""`kubegate render systemd`, judged by systemd itself."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.commands import said
from tests.support.expose import Home, kubegate
from tests.support.run import cluster, gate_file
from tests.support.upstream import Upstream

pytestmark = pytest.mark.haproxy

# A program that is there on every machine; the unit is not started here.
PROGRAM = "/usr/bin/env"


@pytest.fixture
def place() -> Iterator[Home]:
    """A home that a unit sees: not below /tmp."""
    folder = Path(tempfile.mkdtemp(prefix="kg-", dir="/dev/shm"))
    (folder / "run").mkdir(mode=0o700)
    try:
        yield Home(folder)
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def unit(place: Home) -> Path:
    """The rendered unit in a folder of its own."""
    with Upstream() as upstream:
        document = gate_file(place.path, cluster(place.path, "one", upstream), accessLog="/var/log/kubegate/access.json")
        file = place.path / "kubegate.yaml"
        file.write_text(yaml.safe_dump(document))
        out = place.path / "set"
        said("render", "systemd", "-c", str(file), "--program", PROGRAM, "--name", "lab-gate", "--out", str(out), home=place)
    return out / "lab-gate.service"


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    """systemd-analyze."""
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, timeout=60, check=False)


def test_systemd_takes_it_without_a_word(unit: Path) -> None:
    done = analyze("verify", "--man=no", str(unit))
    assert (done.returncode, done.stderr) == (0, "")
    broken = unit.with_name("broken-gate.service")
    broken.write_text(unit.read_text().replace("KillMode=process", "KillMode=sometimes"))
    assert "kill mode" in analyze("verify", "--man=no", str(broken)).stderr


def test_systemd_finds_little_exposed(unit: Path) -> None:
    done = analyze("security", "--offline=yes", "--no-pager", str(unit))
    found = re.search(r"Overall exposure level for lab-gate.service: ([0-9.]+) (\w+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert found[2] == "OK", done.stdout


def test_an_api_server_that_does_not_answer_is_no_reason_to_have_no_unit(place: Home) -> None:
    upstream = Upstream()
    document = gate_file(place.path, cluster(place.path, "one", upstream))
    upstream.close()
    file = place.path / "kubegate.yaml"
    file.write_text(yaml.safe_dump(document))
    done = kubegate("render", "systemd", "-c", str(file), home=place)
    assert done.returncode == 0, done.stderr
    assert f"ExecStart=/opt/kubegate/bin/kubegate run -c {file}" in done.stdout
    assert "warning: " in done.stderr


def test_a_file_below_tmp_is_refused(person: Home) -> None:
    with Upstream() as upstream:
        file = person.path / "kubegate.yaml"
        file.write_text(yaml.safe_dump(gate_file(person.path, cluster(person.path, "one", upstream))))
        text = said("render", "systemd", "-c", str(file), home=person, code=2)
    assert "does not see /tmp" in text
    assert str(person.path / "one.key") in text, "what the file names is looked at, too"
