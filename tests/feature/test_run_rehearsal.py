"""What a file would change in a gate that runs, and what it is rendered to: `kubegate diff` and `kubegate render`."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from kubegate.model.problem import InvalidInput
from kubegate.runtime import control_client
from tests.support.commands import WATCHED, facts, said, watch, watching
from tests.support.expose import Home, home
from tests.support.run import Document, Running, cluster, gate_file, run
from tests.support.upstream import Upstream, eventually

pytestmark = pytest.mark.haproxy


@pytest.fixture(scope="module")
def upstreams() -> Iterator[tuple[Upstream, Upstream]]:
    """API servers of two clusters."""
    with Upstream() as one, Upstream() as two:
        for upstream in (one, two):
            upstream.at(WATCHED, watch)
        yield one, two


@pytest.fixture(scope="module")
def gate(upstreams: tuple[Upstream, Upstream]) -> Iterator[Running]:
    """A gate of two clusters that no test changes for good."""
    with home() as person:
        clusters = [cluster(person.path, name, upstream) for name, upstream in zip(("one", "two"), upstreams, strict=True)]
        with run(gate_file(person.path, *clusters), person) as gate:
            for name in ("one", "two"):
                gate.until_up(name)
            yield gate


def candidate(gate: Running, name: str = "kubegate.new.yaml") -> tuple[Path, Document]:
    """Another file beside that of a gate, and what the gate's own declares."""
    return gate.file.with_name(name), gate.document


# diff


def test_diff_of_what_runs_is_nothing(gate: Running) -> None:
    assert said("diff", "-c", str(gate.file), home=gate.home) == "nothing would change\n"
    found = facts("diff", "-c", str(gate.file), home=gate.home)
    assert found == {
        "changes": [],
        "reload": False,
        "streams_ended": 0,
        "streams_at_bound": 0,
        "warnings": [],
        "gate": str(gate.file),
    }


def test_diff_says_what_is_different_whether_it_needs_a_reload_and_what_it_ends(gate: Running) -> None:
    file, document = candidate(gate)
    one, _ = document["clusters"]
    one["allow"] = ["10.0.0.0/8"]
    file.write_text(yaml.safe_dump(document))
    with watching(gate, "one.test", 3), watching(gate, "two.test"):
        eventually(lambda: gate.cluster("one").streams == 3, "all watch")
        text = said("diff", "-c", str(file), home=gate.home)
        assert text == (
            f"compared with the gate of {gate.file}:\n"
            "  - cluster one: reached from 10.0.0.0/8\n"
            "no reload is needed; 3 open requests and streams would be ended\n"
        )
        document["clusters"] = [one | {"timeouts": {"connect": "3s"}}]
        file.write_text(yaml.safe_dump(document))
        found = facts("diff", "-c", str(file), "--gate", str(gate.file), home=gate.home)
        assert (found["reload"], found["streams_ended"], found["streams_at_bound"]) == (True, 4, 0)
        assert "cluster two is gone" in found["changes"]
        assert "cluster one: other timeouts" in found["changes"]
        assert "HAProxy would be reloaded, which cuts nothing; 4 open" in said("diff", "-c", str(file), home=gate.home)
        # Nothing of it has happened.
        assert gate.status().generation == 1
        assert gate.cluster("one").streams == 3


def test_diff_refuses_as_the_gate_would(gate: Running) -> None:
    file, document = candidate(gate)
    document["clusters"][0]["upstream"]["ca"] = "no.crt"
    del document["clusters"][1]["upstream"]
    file.write_text(yaml.safe_dump(document))
    text = said("diff", "-c", str(file), home=gate.home, code=2)
    assert f"{file}:" in text
    assert "clusters[two]" in text
    assert gate.status().refused == ()
    assert "name the declared file by -c FILE" in said("diff", "-c", f"{file}x", home=gate.home, code=2)


def test_diff_says_what_too_many_old_workers_cost(person: Home, upstreams: tuple[Upstream, Upstream]) -> None:
    document = gate_file(person.path, cluster(person.path, "one", upstreams[0]), dataPlane={"maxOldWorkers": 1})
    with run(document, person) as gate, watching(gate, "one.test", 2):
        gate.edit(lambda document: document["clusters"][0].update(timeouts={"connect": "4s"}))
        eventually(lambda: [one.carried for one in gate.status().old_workers] == [2], "the old worker carries them")
        file, document = candidate(gate)
        document["clusters"][0]["timeouts"] = {"connect": "5s"}
        file.write_text(yaml.safe_dump(document))
        text = said("diff", "-c", str(file), home=person)
        assert "HAProxy would be reloaded, which cuts nothing; nothing would be ended\n" in text
        assert "if none ends in time, the oldest does, with 2 requests and streams" in text
        assert facts("diff", "-c", str(file), home=person)["streams_at_bound"] == 2


# render


def written(gate: Running) -> bytes:
    """The configuration of the generation that runs."""
    return (gate.folders.kept / "current" / "haproxy.cfg").read_bytes()


def rendered(gate: Running, file: Path | None = None, *words: str) -> bytes:
    """What `render` prints."""
    return said("render", "haproxy", "-c", str(file or gate.file), *words, home=gate.home).encode()


def test_render_prints_to_the_byte_what_runs_whatever_happened_before(person: Home, upstreams: tuple[Upstream, Upstream]) -> None:
    """Clusters keep their places: one that came while the gate ran stands in a spare one."""
    one, two = (cluster(person.path, name, upstream) for name, upstream in zip(("one", "two"), upstreams, strict=True))
    document = gate_file(person.path, one)
    file = person.path / "kubegate.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    afresh = said("render", "haproxy", "-c", str(file), home=person).encode()
    with run(document, person) as gate:
        assert written(gate) == afresh == rendered(gate)
        gate.edit(lambda document: document["clusters"].append(two))
        assert gate.status().reloads == 0
        assert written(gate) != afresh
        assert rendered(gate) == written(gate)
        gate.edit(lambda document: document["clusters"].pop(0))
        assert gate.status().reloads == 0
        assert rendered(gate) == written(gate)
        other, document = candidate(gate)
        document["clusters"][0]["upstream"]["servers"].append("127.0.0.1:1")
        other.write_text(yaml.safe_dump(document, sort_keys=False))
        live = rendered(gate, other, "--gate", str(gate.file))
        document["clusters"][0]["timeouts"] = {"connect": "3s"}
        other.write_text(yaml.safe_dump(document, sort_keys=False))
        reloaded = rendered(gate, other, "--gate", str(gate.file))
        assert (gate.status().generation, gate.status().reloads) == (3, 0)
        gate.edit(lambda document: document["clusters"][0]["upstream"]["servers"].append("127.0.0.1:1"))
        assert (written(gate), gate.status().reloads) == (live, 0)
        gate.edit(lambda document: document["clusters"][0].update(timeouts={"connect": "3s"}))
        assert (written(gate), gate.status().reloads) == (reloaded, 1)
        assert rendered(gate) == reloaded
        heir = killed_and_followed(gate)
        assert rendered(heir) == written(heir) == reloaded
        heir.end()


def killed_and_followed(gate: Running) -> Running:
    """The control plane is killed, and another one takes over."""
    gate.kill()
    return gate.again()


def test_render_writes_every_file_for_its_owner_alone(gate: Running) -> None:
    out = gate.home.path / "out"
    text = said("render", "haproxy", "-c", str(gate.file), "--out", str(out), home=gate.home)
    kept = {path.name: path.read_bytes() for path in (gate.folders.kept / "current").iterdir() if path.name != "plan.json"}
    assert {path.name: path.read_bytes() for path in out.iterdir()} == kept
    assert text == f"{len(kept)} files are written to {out}; private keys are among them\n"
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o600}
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    refused = said("render", "haproxy", "-c", str(gate.file), "--out", str(out), home=gate.home, code=2)
    assert f"--out {out}: the folder cannot be made: file exists" in refused
    again = facts("render", "haproxy", "-c", str(gate.file), "--out", f"{out}2", home=gate.home)
    assert again == {"folder": f"{out}2", "files": sorted(kept)}


def test_render_prints_no_key_unless_files_are_written(gate: Running) -> None:
    found = facts("render", "haproxy", "-c", str(gate.file), home=gate.home)["files"]
    assert found["haproxy.cfg"].encode() == written(gate)
    assert {"haproxy.cfg", "main-hosts.map", "one.ranges"} <= found.keys()
    assert not any("PRIVATE KEY" in content or "CERTIFICATE" in content for content in found.values())


def test_problems_of_a_file_come_back_from_a_gate_as_they_are(gate: Running) -> None:
    """Also where its name and its text are no text that everybody can read."""
    file = gate.file.with_name(os.fsdecode(b"odd-\xff\n.yaml"))
    file.write_bytes(b"a: \xff")
    asked = control_client.find(gate.file, gate.home.environ())
    with pytest.raises(InvalidInput) as caught:
        control_client.rehearse(asked, file)
    assert [(one.code, one.message) for one in caught.value.problems] == [("config.yaml", "is not UTF-8 text")]
    assert caught.value.problems[0].where.isprintable()
