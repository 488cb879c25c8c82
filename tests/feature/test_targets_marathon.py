"""The Marathon target: an application that Marathon's published schema takes, and the HAProxy that its line starts."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import pytest
import yaml

from tests.support.engines import program
from tests.support.expose import Home, home, kubegate
from tests.support.marathon import SCHEMA, started
from tests.support.rawhttp import Client, request
from tests.support.run import client, cluster, gate_file
from tests.support.upstream import Upstream, eventually

pytestmark = pytest.mark.haproxy

# Of the kind that is written by hand for DC/OS: an image, a mounted configuration, the host's network.
BY_HAND: dict[str, Any] = {
    "id": "/kubernetes-api",
    "container": {
        "type": "DOCKER",
        "docker": {"image": "haproxy:1.9"},
        "volumes": [{"containerPath": "/usr/local/etc/haproxy", "hostPath": "/srv/haproxy", "mode": "RO"}],
    },
    "networks": [{"mode": "host"}],
    "acceptedResourceRoles": ["slave_public"],
    "constraints": [["hostname", "UNIQUE"]],
    "portDefinitions": [{"port": 6443, "protocol": "tcp"}],
    "requirePorts": True,
    "instances": 1,
    "cpus": 1,
    "mem": 128,
}


@pytest.fixture
def person() -> Iterator[Home]:
    with home() as place:
        yield place


def app(person: Home, document: dict[str, Any], *flags: str) -> tuple[Path, dict[str, Any]]:
    """The set and its application."""
    file = person.path / "kubegate.yaml"
    file.write_text(yaml.safe_dump(document))
    folder = person.path / "set"
    done = kubegate("render", "marathon", "-c", str(file), "--out", str(folder), *flags, home=person)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((folder / "app.json").read_text())
    return folder, found


def test_it_is_an_application_by_the_schema_and_so_is_one_by_hand(person: Home) -> None:
    # It names no draft; lists of item schemas and `additionalItems` are those of draft 4.
    validator = jsonschema.Draft4Validator(SCHEMA)
    validator.check_schema(SCHEMA)
    with Upstream() as upstream:
        document = gate_file(person.path, cluster(person.path, "one", upstream), dataPlane={"drain": "90s", "threads": 2})
        _, found = app(person, document, "--name", "k8s-gate", "--image", "haproxy:2.8-alpine", "--prefix", "/srv/k8s")
    for one in (BY_HAND, found):
        assert not list(validator.iter_errors(one))
    assert list(validator.iter_errors({**found, "acceptedRoles": []})), "the schema refuses what it does not know"
    assert found["id"] == "/k8s-gate"
    assert found["container"]["docker"]["image"] == "haproxy:2.8-alpine"
    assert found["container"]["volumes"] == [{"hostPath": "/srv/k8s", "containerPath": "/usr/local/etc/haproxy", "mode": "RO"}]
    assert (found["acceptedResourceRoles"], found["constraints"]) == (["slave_public"], [["hostname", "UNIQUE"]])
    assert (found["networks"], found["requirePorts"]) == ([{"mode": "host"}], True)
    assert [one["port"] for one in found["portDefinitions"]] == [int(document["listeners"][0]["address"].rpartition(":")[2])]
    assert (found["taskKillGracePeriodSeconds"], found["cpus"]) == (90, 2)


def test_what_only_an_operator_can_do_is_printed_and_not_done(person: Home) -> None:
    with Upstream() as upstream:
        file = person.path / "kubegate.yaml"
        file.write_text(yaml.safe_dump(gate_file(person.path, cluster(person.path, "one", upstream))))
        done = kubegate("render", "marathon", "-c", str(file), "--out", str(person.path / "set"), home=person)
    assert "next: dcos marathon app add app.json" in done.stdout
    assert "next: an A record for one.test with the addresses of the public agents" in done.stdout
    assert "note: Marathon itself was not run" in done.stdout


@pytest.mark.parametrize("engine", ["haproxy-debian", "haproxy-wheel"])
def test_the_line_of_the_application_serves_from_the_mounted_folder_as_nobody(person: Home, engine: str) -> None:
    assert os.geteuid() == 0, "run it as root, as the container does"
    assert shutil.which("unshare")
    with Upstream() as upstream:
        document = gate_file(person.path, cluster(person.path, "one", upstream))
        folder, found = app(person, document)
        port = found["portDefinitions"][0]["port"]
        with started(found, folder, program(engine)) as process:
            eventually(lambda: answers(port), "it serves")
            assert psutil.Process(process.pid).uids().real == 65534


def test_a_listener_that_passes_tls_through_too_serves_as_nobody(person: Home) -> None:
    with Upstream() as upstream:
        sealed = cluster(person.path, "sealed", upstream, mode="passthrough")
        folder, found = app(person, gate_file(person.path, cluster(person.path, "one", upstream), sealed))
        with started(found, folder, program("haproxy-wheel")) as process:
            eventually(lambda: answers(found["portDefinitions"][0]["port"]), "what is opened is reached over the hop")
            assert psutil.Process(process.pid).uids().real == 65534


def answers(port: int) -> bool:
    """Whether the gate answers for its API server."""
    try:
        with Client.connect("127.0.0.1", port, client(), "one.test") as connection:
            return connection.ask(request("GET", "/", host="one.test")).status == 200
    except OSError:
        return False
