"""Whole files out, as expected to the byte (see `cases`), and HAProxy accepts them without a word."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from kubegate.runtime.binary import find
from tests.golden.cases import DESCRIPTORS, NAMES, expected, rendered
from tests.support.tls import cluster_authority, gate_pem


@pytest.mark.parametrize("name", NAMES)
def test_files_are_as_expected(name: str) -> None:
    assert {file: content.decode() for file, content in rendered(name).items()} == {
        file: content.decode() for file, content in expected(name).items()
    }


@pytest.mark.haproxy
@pytest.mark.parametrize("name", NAMES)
def test_haproxy_accepts_them_without_a_word(name: str, tmp_path: Path) -> None:
    for file, content in expected(name).items():
        real = gate_pem() if b"KEY AND CHAIN" in content else cluster_authority().pem
        (tmp_path / file).write_bytes(real if content.startswith(b"PLACEHOLDER") else content)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        for descriptor in DESCRIPTORS:
            os.dup2(listening.fileno(), descriptor)
        checked = subprocess.run(
            [find().path, "-c", "-C", tmp_path, "-f", "haproxy.cfg"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            pass_fds=DESCRIPTORS,
        )
        for descriptor in DESCRIPTORS:
            os.close(descriptor)
    assert (checked.returncode, checked.stderr) == (0, "")
