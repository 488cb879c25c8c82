"""`kubegate render TARGET` as someone meets it: what it prints, what it writes, and what it refuses, all at once."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubegate.cli.new_folder import write_folder
from tests.support.commands import facts, said
from tests.support.expose import Home, kubegate
from tests.support.run import Document, cluster, gate_file
from tests.support.upstream import Upstream

pytestmark = pytest.mark.haproxy

TARGETS = (["haproxy", "--standalone"], ["envoy"], ["marathon"])
FIRST = {"haproxy": "haproxy.cfg", "envoy": "envoy.yaml", "marathon": "app.json"}
each = pytest.mark.parametrize("words", TARGETS, ids=lambda words: words[0])


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


def declare(person: Home, *clusters: Document, **more: Any) -> str:
    """A declared file; its path."""
    file = person.path / "kubegate.yaml"
    file.write_text(yaml.safe_dump(gate_file(person.path, *clusters, **more), sort_keys=False))
    return str(file)


@each
def test_the_first_file_is_printed_without_keys_and_all_else_beside_it(
    person: Home, upstream: Upstream, words: list[str]
) -> None:
    file = declare(person, cluster(person.path, "one", upstream))
    done = kubegate("render", *words, "-c", file, home=person)
    assert done.returncode == 0, done.stderr
    assert "PRIVATE KEY" not in done.stdout + done.stderr
    assert "made by kubegate" in done.stdout or '"KUBEGATE_VERSION"' in done.stdout
    assert "kubegate.yaml" in done.stdout
    assert "next: " in done.stderr
    assert "--out writes all" in done.stderr
    found = facts("render", *words, "-c", file, home=person)
    assert found["files"][FIRST[words[0]]] == done.stdout
    assert "PRIVATE KEY" not in json.dumps(found)
    assert [path.name for path in person.path.iterdir() if path.name.startswith("set")] == []


@each
def test_a_folder_gets_all_of_it_with_keys_for_their_owner_alone(person: Home, upstream: Upstream, words: list[str]) -> None:
    file, out = declare(person, cluster(person.path, "one", upstream)), person.path / "set"
    text = said("render", *words, "-c", file, "--out", str(out), home=person)
    assert f"files are written to {out}; private keys are among them" in text
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    for path in out.iterdir():
        secret = b"PRIVATE KEY" in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == (0o600 if secret else 0o644), path.name
    assert FIRST[words[0]] in {path.name for path in out.iterdir()}
    [problem] = facts("render", *words, "-c", file, "--out", str(out), home=person, code=2)["problems"]
    assert problem["code"] == "out.folder"


@each
def test_equal_declarations_give_equal_sets(person: Home, upstream: Upstream, words: list[str]) -> None:
    """Also where the gate makes the certificate: it is kept for the next time."""
    declared = {key: value for key, value in cluster(person.path, "one", upstream).items() if key != "certificate"}
    file = declare(person, declared)
    outs = [person.path / name for name in ("first", "second")]
    for out in outs:
        said("render", *words, "-c", file, "--out", str(out), home=person)
    first, second = ({path.name: path.read_bytes() for path in out.iterdir()} for out in outs)
    assert first == second


def test_what_cannot_be_expressed_is_refused_with_every_line_and_nothing_is_written(person: Home, upstream: Upstream) -> None:
    declared = cluster(person.path, "one", upstream, limits={"requestsPerSecond": 5})
    more = {"metrics": {"address": "127.0.0.1:9100"}, "dataPlane": {"drain": "50s", "spareClusters": 9}}
    file, out = declare(person, declared, **more), person.path / "set"
    found = facts("render", "envoy", "-c", file, "--out", str(out), home=person, code=2)["problems"]
    lines = Path(file).read_text().splitlines()
    told = {one["where"].rpartition(": ")[2]: one for one in found}
    assert set(told) == {"clusters[one].limits.requestsPerSecond", "metrics", "dataPlane.drain", "dataPlane.spareClusters"}
    for key, one in told.items():
        assert (one["code"], one["message"].startswith("Envoy cannot express this: ")) == ("target.key", True)
        assert one["hint"]
        line = int(one["where"].split(":")[1])
        assert lines[line - 1].strip().startswith(key.rpartition(".")[2])
    assert not out.exists()
    # A stand-alone HAProxy can say all but one of them.
    [problem] = facts("render", "haproxy", "--standalone", "-c", file, home=person, code=2)["problems"]
    assert problem["where"].endswith(": dataPlane.spareClusters")


@each
def test_an_api_server_that_does_not_prove_itself_is_not_rendered(person: Home, words: list[str]) -> None:
    gone = Upstream()
    file = declare(person, cluster(person.path, "one", gone))
    gone.close()
    [problem] = facts("render", *words, "-c", file, home=person, code=2)["problems"]
    assert problem["code"] == "upstream.unusable"
    assert problem["hint"]


@each
def test_a_name_of_an_api_server_is_said_to_be_resolved(person: Home, upstream: Upstream, words: list[str]) -> None:
    declared = cluster(person.path, "one", upstream)
    declared["upstream"]["servers"] = [f"localhost:{upstream.port}"]
    found = facts("render", *words, "-c", declare(person, declared), home=person)
    text = "".join(found["files"].values())
    assert str(upstream.endpoint.port) in text
    assert "localhost" in text


def test_as_this_machine_would_run_it_has_its_own_meaning_and_flags(person: Home, upstream: Upstream) -> None:
    file = declare(person, cluster(person.path, "one", upstream))
    text = said("render", "haproxy", "-c", file, home=person)
    assert "stats socket" in text
    assert "stats socket" not in kubegate("render", "haproxy", "--standalone", "-c", file, home=person).stdout
    problems = facts("render", "haproxy", "-c", file, "--prefix", "/srv", "--push", "a@b:/c", home=person, code=2)["problems"]
    assert [one["code"] for one in problems] == ["render.standalone"] * 2


def test_flags_that_cannot_be_are_all_told(person: Home, upstream: Upstream) -> None:
    file = declare(person, cluster(person.path, "one", upstream))
    words = (
        "--name",
        "Not A Name",
        "--prefix",
        "srv/gate",
        "--gate",
        file,
        "--program",
        "/opt/kubegate",
        "--image",
        "haproxy:2.8",
    )
    problems = facts("render", "marathon", "-c", file, *words, home=person, code=2)["problems"]
    assert [one["code"] for one in problems] == ["render.flag", "render.name", "render.prefix", "render.gate"]
    assert problems[0]["where"] == "--program /opt/kubegate"
    assert all(one["hint"] for one in problems)


def test_whole_paths_begin_with_the_prefix(person: Home, upstream: Upstream) -> None:
    file = declare(person, cluster(person.path, "one", upstream))
    text = kubegate("render", "envoy", "-c", file, "--prefix", "/srv/gate/", home=person).stdout
    assert "filename: /srv/gate/one.pem" in text
    assert "filename: one.pem" in kubegate("render", "envoy", "-c", file, home=person).stdout


def test_a_list_of_files_by_the_stock_haproxys_own_check(person: Home, upstream: Upstream) -> None:
    file = declare(person, cluster(person.path, "one", upstream))
    assert facts("render", "haproxy", "--standalone", "-c", file, home=person)["checkedBy"].startswith("HAProxy 2.")


@each
def test_a_key_in_the_file_of_a_ca_is_shown_to_nobody(person: Home, upstream: Upstream, words: list[str]) -> None:
    declared = cluster(person.path, "one", upstream)
    ca = person.path / declared["upstream"]["ca"]
    key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
    ca.write_text(key + ca.read_text())
    file, out = declare(person, declared), person.path / "set"
    said("render", *words, "-c", file, "--out", str(out), home=person)
    assert any(path.name.startswith("ca-") for path in out.iterdir())
    assert not [path.name for path in out.iterdir() if "c2VjcmV0" in path.read_text()]


def test_a_flag_that_says_nothing_to_a_target_is_refused(person: Home, upstream: Upstream) -> None:
    file = declare(person, cluster(person.path, "one", upstream))
    for words, flags in (
        (["haproxy"], ["--image", "--program", "--gateway-class", "--gateway-namespace", "--namespace", "--name"]),
        (["haproxy", "--standalone"], ["--image", "--program", "--gateway-class", "--gateway-namespace", "--namespace"]),
        (["contour"], ["--image", "--gateway-class", "--gateway-namespace"]),
        (["kubernetes"], ["--gateway-class", "--gateway-namespace"]),
    ):
        given = [word for flag in flags for word in (flag, "one")]
        problems = facts("render", *words, "-c", file, *given, home=person, code=2)["problems"]
        assert {one["where"] for one in problems} == {f"{flag} one" for flag in flags}, words


def test_a_folder_that_cannot_be_filled_is_not_left_half_full(tmp_path: Path) -> None:
    out = tmp_path / "set"
    with pytest.raises(OSError, match="exists"):
        write_folder(out, {"one": (b"", 0o644), "two/three": (b"", 0o600), "two": (b"", 0o644)})
    assert not out.exists()
