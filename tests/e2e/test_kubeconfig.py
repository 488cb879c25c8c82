"""Kubeconfigs that are made for a gate, merged and taken apart, with the real kubectl and the real API server."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.declared import FIRST_HOST, upstream, write_front
from tests.e2e.pages import follow
from tests.support.commands import facts, said
from tests.support.expose import Home, home
from tests.support.run import Running, gate_file, run


@pytest.fixture(scope="module")
def place() -> Iterator[Home]:
    """A home of these tests."""
    with home() as folder:
        yield folder


@pytest.fixture(scope="module")
def gate(cluster: Cluster, place: Home) -> Iterator[Running]:
    """A gate that opens TLS for the cluster under one name, and passes it through under another."""
    (place.path / f"{cluster.name}-ca.crt").write_bytes(cluster.ca.certificate.read_bytes())
    opened = {"name": "opened", "hosts": [FIRST_HOST], "certificate": write_front(place.path)}
    passed = {"name": "passed", "hosts": [cluster.api_name], "mode": "passthrough"}
    clusters = [one | {"upstream": upstream(cluster), "health": {"interval": "1s"}} for one in (opened, passed)]
    with run(gate_file(place.path, *clusters), place) as running:
        running.until_up("opened", len(cluster.servers))
        yield running


def kubectl(cluster: Cluster, place: Home, *words: str | Path) -> str:
    """kubectl with the person's own kubeconfig."""
    done = subprocess.run(
        [cluster.kubectl_path, *words], env=place.environ(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def made(gate: Running, place: Home, name: str, *words: str) -> Path:
    out = place.path / name
    said("kubeconfig", "make", "-c", str(gate.file), "--address", "127.0.0.1", *words, "--out", str(out), home=place)
    return out


def test_a_token_through_both_ways(cluster: Cluster, gate: Running, place: Home) -> None:
    token = place.path / "viewer-token"
    token.write_text(cluster.admin_token.token or "")
    out = made(gate, place, "both", "--token-file", str(token))
    view = json.loads(kubectl(cluster, place, "--kubeconfig", out, "config", "view", "-o", "json"))
    assert [one["name"] for one in view["contexts"]] == ["opened", "passed"]
    for context in ("opened", "passed"):
        assert cluster.node_name in kubectl(cluster, place, "--kubeconfig", out, "--context", context, "get", "nodes")
        review = kubectl(cluster, place, "--kubeconfig", out, "--context", context, "auth", "whoami", "-o", "json")
        assert json.loads(review)["status"]["userInfo"]["username"] == "admin-token"


def test_a_client_certificate_where_tls_is_passed_through(cluster: Cluster, gate: Running, place: Home) -> None:
    assert cluster.admin.client is not None
    pair = ("--client-cert", str(cluster.admin.client.certificate), "--client-key", str(cluster.admin.client.key))
    out = made(gate, place, "certificate", "--cluster", "passed", *pair)
    assert cluster.node_name in kubectl(cluster, place, "--kubeconfig", out, "get", "nodes")


def test_a_plugin(cluster: Cluster, gate: Running, place: Home) -> None:
    script = place.path / "login"
    status = {"token": cluster.admin_token.token}
    answer = {"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": status}
    script.touch(mode=0o700)
    script.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    out = made(gate, place, "plugin", "--cluster", "opened", "--exec", str(script))
    assert cluster.node_name in kubectl(cluster, place, "--kubeconfig", out, "get", "nodes")


def test_without_verification_it_goes_on(cluster: Cluster, gate: Running, place: Home) -> None:
    token = place.path / "other-token"
    token.write_text(cluster.admin_token.token or "")
    out = place.path / "insecure"
    words = ("--server", f"https://127.0.0.1:{gate.port}", "--tls-server-name", FIRST_HOST, "--insecure")
    found = facts("kubeconfig", "make", *words, "--token-file", str(token), "--out", str(out), home=place)
    assert [one["code"] for one in found["warnings"]] == ["kubeconfig.insecure"]
    assert cluster.node_name in kubectl(cluster, place, "--kubeconfig", out, "get", "nodes")


def test_what_is_extracted_is_accepted(cluster: Cluster, place: Home) -> None:
    words = ("--kubeconfig", str(cluster.kubeconfig), "--out", str(place.path / "extracted"))
    found: Any = facts("kubeconfig", "extract", *words, home=place)
    answers = [
        subprocess.run(["sh", "-c", one["command"]], capture_output=True, text=True, timeout=30, check=False)
        for one in found["commands"]
    ]
    assert [one.returncode for one in answers] == [0] * len(answers), [one.stderr for one in answers]
    assert "system:masters" in json.loads(answers[0].stdout)["status"]["userInfo"]["groups"]
    assert json.loads(answers[1].stdout)["items"][0]["metadata"]["name"] == cluster.node_name


def test_the_page_can_be_followed(cluster: Cluster, gate: Running, place: Home) -> None:
    folder = gate.file.parent
    (folder / "token").write_text(cluster.admin_token.token or "")
    (folder / "admin.conf").write_bytes(cluster.kubeconfig.read_bytes())
    said = follow("kubeconfig.md", cluster, place, folder)
    assert cluster.node_name in said[0]
    assert "lab.example.com" in said[1]
    assert cluster.node_name in said[2]
    assert "subject=" in said[3]
    # The admin's own context is the current one now, beside those of the gate.
    names = kubectl(cluster, place, "config", "get-contexts", "-o", "name").split()
    assert {"opened", "passed"} < set(names)
    assert kubectl(cluster, place, "config", "current-context").startswith("lab-")
