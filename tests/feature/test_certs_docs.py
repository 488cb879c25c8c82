"""The commands of the page on certificates, run as they stand there, one after another in one folder."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.expose import Home
from tests.unit.model.declared import read

PAGE = (Path(__file__).parents[2] / "docs" / "certificates.md").read_text()
BLOCKS = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [line.removeprefix("$ ") for block in BLOCKS for line in block.splitlines()]


def test_every_command_does_what_it_says(person: Home) -> None:
    assert len(COMMANDS) >= 12
    printed = {}
    for command in COMMANDS:
        program, *words = shlex.split(command)
        assert program == "kubegate"
        done = subprocess.run(
            [sys.executable, "-m", "kubegate", *words],
            cwd=person.path,
            env=person.environ(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), command
        printed[command] = done.stdout
    made = {path.name for path in person.path.iterdir()}
    files = {
        "trial.crt",
        "trial.key",
        "ca",
        "gate.crt",
        "gate.key",
        "haproxy.pem",
        "secret.yaml",
        "bob.csr",
        "bob.key",
        "bob.crt",
    }
    assert files | {"alice.crt", "alice.key"} <= made
    assert "The key belongs to it." in printed["kubegate certs inspect gate.crt --key gate.key"]
    assert "was left as it is" in printed["kubegate certs renew gate.crt --ca ca --within 30d"]
    assert "checks no revocation list" in printed["kubegate certs revoke alice --ca ca"]
    assert len((person.path / "ca" / "revoked").read_text().splitlines()) == 1


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
def test_its_declaration_is_read(text: str) -> None:
    rest = {"apiVersion": "kubegate.dev/v1alpha1", "kind": "Gate", "clusters": [{"upstream": {"kubeconfig": "k"}}]}
    [listener] = read(yaml.safe_dump(rest | yaml.safe_load(text))).config.listeners
    assert listener.client_certificates is not None
