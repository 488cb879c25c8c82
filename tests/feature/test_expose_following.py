"""What a gate was made of may change while it runs: it follows, without losing anything, and refuses what cannot be."""

import base64
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.expose import Exposed, Home, expose, kubeconfig
from tests.support.forge import Forged, forge
from tests.support.rawhttp import Client, request
from tests.support.tls import api_leaf, authority, client_context, cluster_authority, front_authority
from tests.support.upstream import Exchange, Upstream, eventually
from tests.support.wire import Wire

pytestmark = pytest.mark.haproxy


def put(folder: Path, leaf: Forged) -> None:
    """A certificate and its key as somebody renews them: the key first, for a moment not fitting."""
    (folder / "gate.key").write_bytes(leaf.key_pem)
    (folder / "gate.crt").write_bytes(leaf.pem + front_authority().pem)


def shown(gate: Exposed) -> bytes:
    """The certificate that a new connection is shown."""
    with Wire.connect("127.0.0.1", gate.port, client_context(front_authority()), "gate.test") as wire:
        assert wire.tls is not None
        found = wire.tls.getpeercert(binary_form=True)
        assert found is not None
        return found


def dial(gate: Exposed) -> Client:
    """A connection to the gate under its name, which leads nowhere here."""
    return Client.connect("127.0.0.1", gate.port, client_context(front_authority()), "gate.test")


def leaf() -> Forged:
    return forge("gate", front_authority(), names=["gate.test", "127.0.0.1"])


@pytest.fixture
def gate(person: Home) -> Iterator[tuple[Exposed, Upstream, Path]]:
    """A gate with a given certificate, its API server, and the kubeconfig."""
    with Upstream() as api:
        config = kubeconfig(person.path / "config.yaml", f"https://127.0.0.1:{api.port}")
        put(person.path, leaf())
        flags = ["--kubeconfig", str(config), "--listen", "127.0.0.1:0", "--host", "gate.test"]
        flags += ["--cert", str(person.path / "gate.crt"), "--key", str(person.path / "gate.key")]
        flags += ["--out", str(person.path / "out.yaml")]
        with expose(*flags, home=person) as running:
            yield running, api, config


class Watch:
    """A watch through a gate that goes on until `finish`."""

    def __init__(self, gate: Exposed, api: Upstream) -> None:
        self._may_end = threading.Event()
        api.at("/watched", self._write)
        self._client = dial(gate)
        self._client.wire.send(request("GET", "/watched?watch=1"))
        api.wait_for("/watched")

    def _write(self, exchange: Exchange) -> None:
        exchange.begin()
        exchange.chunk(b"first")
        self._may_end.wait(60)
        exchange.chunk(b"last")
        exchange.chunk(b"")

    def finish(self) -> None:
        """Let it end, and see that nothing of it was lost."""
        self._may_end.set()
        with self._client:
            assert self._client.answer().body == b"firstlast"


def test_a_renewed_certificate_is_shown_and_a_bad_one_is_refused(gate: tuple[Exposed, Upstream, Path], person: Home) -> None:
    running, api, _ = gate
    watch = Watch(running, api)
    new = leaf()
    put(person.path, new)
    eventually(lambda: shown(running) == new.der, "the new certificate is shown")
    (person.path / "gate.key").write_bytes(leaf().key_pem)
    running.wait_for("does not belong")
    assert shown(running) == new.der
    watch.finish()


def test_another_ca_in_the_kubeconfig_is_what_counts_from_then_on(gate: tuple[Exposed, Upstream, Path]) -> None:
    running, api, config = gate
    document = yaml.safe_load(config.read_text())
    entry = document["clusters"][0]["cluster"]
    both = authority("an older CA").pem + cluster_authority().pem
    entry["certificate-authority-data"] = base64.b64encode(both).decode()
    config.write_text(yaml.safe_dump(document))
    running.wait_for("its CA is another one")
    with dial(running) as client:
        assert client.ask(request()).status == 200
    entry["certificate-authority-data"] = base64.b64encode(authority("a stranger").pem).decode()
    config.write_text(yaml.safe_dump(document))
    running.wait_for("refused, and what ran before goes on")
    with dial(running) as client:
        assert client.ask(request()).status == 200
    assert api.wires


def test_the_context_stays_the_one_that_was_exposed(gate: tuple[Exposed, Upstream, Path]) -> None:
    """Somebody who works with the same file chooses another context: the gate does not go elsewhere for that."""
    running, api, config = gate
    with Upstream(leaf=api_leaf()) as other:
        document = yaml.safe_load(config.read_text())
        second = yaml.safe_load(yaml.safe_dump(document))
        second["clusters"][0] |= {"name": "elsewhere"}
        second["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{other.port}"
        document["clusters"] += second["clusters"]
        document["contexts"].append({"name": "elsewhere", "context": {"cluster": "elsewhere", "user": "me"}})
        document["current-context"] = "elsewhere"
        # Something that is followed, so that the change is seen to have been looked at.
        document["clusters"][0]["cluster"]["certificate-authority-data"] = base64.b64encode(
            authority("an older CA").pem + cluster_authority().pem
        ).decode()
        config.write_text(yaml.safe_dump(document))
        running.wait_for("its CA is another one")
        with dial(running) as client:
            assert client.ask(request("GET", "/mine")).status == 200
        assert api.seen("/mine")
        assert not other.seen("/mine")
