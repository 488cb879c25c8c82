"""Every key of the declared file is expressed by every target, or refused by its name: none is silently left out."""

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from docs.generate import leaf_keys
from kubegate.model.address import Endpoint
from kubegate.model.config import Config
from kubegate.model.facts import ClientFacts, ClusterFacts, Facts, FrontCertificate, PeerCertificate, ServerFact, UpstreamFacts
from kubegate.model.gatefile import Declaration
from kubegate.render.keys import ONLY_READ, refused
from kubegate.render.registry import TARGETS
from kubegate.render.targets import Rendered
from kubegate.runtime.rendering import Wanted, rendered_from
from tests.unit.model.declared import FOLDER, read

ENGINES = [name for name, target in TARGETS.items() if not target.runs_kubegate]
BASE: dict[str, Any] = {
    "apiVersion": "kubegate.dev/v1alpha1",
    "kind": "Gate",
    "listeners": [
        {"name": "main", "address": "127.0.0.1:6443"},
        {"name": "other", "address": "127.0.0.1:7443", "clusters": ["b"]},
    ],
    "clusters": [
        {
            "name": "a",
            "hosts": ["a.test"],
            "certificate": {"cert": "a.crt", "key": "a.key"},
            "upstream": {"servers": ["10.0.0.1:6443"], "ca": "ca.crt", "serverName": "api.test"},
        },
        {
            "name": "b",
            "hosts": ["b.test"],
            "certificate": {"cert": "b.crt", "key": "b.key"},
            "upstream": {"servers": ["10.0.0.2:6443"], "ca": "ca.crt", "serverName": "api.test"},
        },
    ],
}
# Another value than that of BASE, or than the default; keys below lists are those of their first entry.
VALUES: dict[str, Any] = {
    "apiVersion": "kubegate.dev/v1alpha1",
    "kind": "Gate",
    "listeners[].name": "public",
    "listeners[].address": "127.0.0.1:8443",
    "listeners[].clusters": ["a"],
    "listeners[].defaultCluster": "b",
    "listeners[].proxyProtocol.from": ["10.0.0.0/8"],
    "listeners[].clientCertificates.ca": "clients-ca.crt",
    "listeners[].clientCertificates.revoked": "revoked",
    "listeners[].clientCertificates.mode": "optional",
    "clusters[].name": "c",
    "clusters[].hosts": ["c.test"],
    "clusters[].mode": "passthrough",
    "clusters[].certificate.cert": "c.crt",
    "clusters[].certificate.key": "c.key",
    "clusters[].certificate.chain": "chain.crt",
    "clusters[].certificate.ca": "front-ca.crt",
    "clusters[].upstream.kubeconfig": "c.kubeconfig",
    "clusters[].upstream.context": "c",
    "clusters[].upstream.servers": ["10.0.0.3:6443"],
    "clusters[].upstream.ca": "other-ca.crt",
    "clusters[].upstream.serverName": "other.test",
    "clusters[].upstream.discover": True,
    "clusters[].upstream.verification": "none",
    "clusters[].balance": "roundrobin",
    "clusters[].health.interval": "7s",
    "clusters[].health.rise": 5,
    "clusters[].health.fall": 5,
    "clusters[].allow": ["10.0.0.0/8"],
    "clusters[].timeouts.connect": "3s",
    "clusters[].timeouts.request": "33s",
    "clusters[].timeouts.stream": "3d",
    "clusters[].limits.connections": 77,
    "clusters[].limits.requestsPerSecond": 77,
    "metrics.address": "127.0.0.1:9100",
    "dataPlane.haproxy": "/usr/sbin/haproxy",
    "dataPlane.threads": 3,
    "dataPlane.maxConnections": 777,
    "dataPlane.maxOldWorkers": 3,
    "dataPlane.oldWorkerWait": "3s",
    "dataPlane.spareClusters": 7,
    "dataPlane.drain": "77s",
    "accessLog": "/var/log/gate.json",
}


# A key that cannot stand alone, and the one that it needs.
NEEDED = {f"listeners[].clientCertificates.{key}": "listeners[].clientCertificates.ca" for key in ("revoked", "mode")}


def with_value(*keys: str) -> Declaration:
    """BASE with the other values of some keys."""
    document = copy.deepcopy(BASE)
    for key in (*(NEEDED[key] for key in keys if key in NEEDED), *keys):
        here: Any = document
        *way, last = key.split(".")
        for step in way:
            here = here.setdefault(step.removesuffix("[]"), {})
            here = here[0] if step.endswith("[]") else here
        here[last] = VALUES[key]
        if key.startswith("clusters[].upstream.") and last in ("kubeconfig", "context", "discover"):
            # It excludes listed servers.
            document["clusters"][0]["upstream"] = {"kubeconfig": "k", last: VALUES[key]}
        if last == "verification":
            document["clusters"][0]["upstream"] = {"servers": ["10.0.0.1:6443"], "verification": "none"}
        if last == "mode":
            document["clusters"][0].pop("certificate")
    return read(yaml.safe_dump(document))


def facts(config: Config) -> Facts:
    """What would be found out about a declaration whose files are their own names."""
    peer = PeerCertificate(("kubernetes.default.svc",), (), datetime(2030, 1, 1, tzinfo=UTC))
    found = {}
    for cluster in config.clusters:
        upstream, given = cluster.upstream, cluster.certificate
        servers = upstream.servers or (Endpoint("10.0.0.9", 6443),)
        facts = UpstreamFacts(
            context=cluster.name,
            where="FILE",
            url="https://10.0.0.9:6443",
            tls=True,
            name=str(upstream.server_name or "10.0.0.9"),
            ca_pem=None if upstream.insecure else str(upstream.ca).encode(),
            servers=tuple(ServerFact(one.host, one.port, peer) for one in servers),
        )
        front = None
        if cluster.mode == "terminate":
            pem = f"{given.cert} {given.key} {given.chain}".encode() if given else b"own"
            front = FrontCertificate(pem, (), "", datetime(2030, 1, 1, tzinfo=UTC), False, None)
        found[cluster.name] = ClusterFacts(facts, front)
    clients = {
        listener.name: ClientFacts(str(declared.ca).encode(), (str(declared.revoked),) if declared.revoked else ())
        for listener in config.listeners
        if (declared := listener.client_certificates)
    }
    return Facts(found, 0, clients)


def rendered(target: str, declaration: Declaration) -> Rendered:
    """What comes of it, whatever is refused."""
    return rendered_from(TARGETS[target], Wanted(target), declaration, facts(declaration.config), FOLDER / "kubegate.yaml")


def test_there_is_another_value_for_every_key() -> None:
    assert set(VALUES) == set(leaf_keys())


@pytest.mark.parametrize("key", VALUES)
@pytest.mark.parametrize("target", ENGINES)
def test_a_key_is_expressed_or_refused(target: str, key: str) -> None:
    declaration = with_value(key)
    problems = refused(TARGETS[target].called, declaration.config, declaration.places, TARGETS[target].refused)
    if problems:
        assert {one.code for one in problems} == {"target.key"}
        wanted = key.replace("clusters[]", "clusters[a]").replace("listeners[]", "listeners[main]")
        # A mapping may be refused as a whole.
        assert any(wanted.startswith(one.where.partition(": ")[2]) for one in problems), problems
        assert all(one.hint and TARGETS[target].called in one.message for one in problems)
    elif key not in ONLY_READ:
        without = with_value(*(NEEDED[one] for one in (key,) if one in NEEDED))
        assert rendered(target, declaration).artefacts != rendered(target, without).artefacts


@pytest.mark.parametrize("target", [name for name in TARGETS if name not in ENGINES])
def test_what_runs_kubegate_by_the_file_expresses_every_key(target: str) -> None:
    found = rendered(target, with_value())
    assert not TARGETS[target].refused
    assert f"run -c {FOLDER}/kubegate.yaml" in found.artefacts[0].content.decode()


@given(st.sets(st.sampled_from(sorted(VALUES)), max_size=12), st.sampled_from(ENGINES))
def test_every_refused_key_is_told_at_once(keys: set[str], target: str) -> None:
    # Each of these excludes others.
    keys -= {
        key
        for key in keys
        if key.startswith(("clusters[].upstream", "clusters[].certificate", "clusters[].name", "clusters[].mode"))
    }
    keys -= {"listeners[].clusters", "listeners[].defaultCluster"}
    declaration = with_value(*keys)
    told = refused(TARGETS[target].called, declaration.config, declaration.places, TARGETS[target].refused)
    known = TARGETS[target].refused
    assert len(told) == len({name for key in keys for name in (key, key.rpartition(".")[0]) if name in known})


@pytest.mark.parametrize("target", TARGETS)
def test_equal_plans_give_equal_bytes_and_keys_are_for_their_owner_alone(target: str) -> None:
    one, two = rendered(target, with_value()), rendered(target, with_value())
    assert one == two
    for artefact in one.artefacts:
        assert artefact.mode == (0o600 if b".key" in artefact.content else 0o644)
    assert b"kubegate.yaml" in one.artefacts[0].content
