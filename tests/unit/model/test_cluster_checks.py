"""What is wrong with values of one cluster together: each refusal beside its honest twin."""

from typing import Any

import pytest

from tests.unit.model.declared import gate, problems, read

FILES = {"cert": "a.pem", "key": "a.pem", "ca": "a.pem"}

GOOD: dict[str, dict[str, Any]] = {
    "a kubeconfig": {"upstream": {"kubeconfig": "k"}},
    "a context of the kubeconfig that kubectl finds": {"upstream": {"context": "c"}},
    "discovered by the kubeconfig that kubectl finds": {"upstream": {"discover": True}},
    "all three": {"upstream": {"kubeconfig": "k", "context": "c", "discover": True}},
    "a kubeconfig, unverified": {"upstream": {"kubeconfig": "k", "verification": "none"}},
    "addresses without a name": {"upstream": {"servers": ["10.0.0.1", "10.0.0.2:7443"], "ca": "ca.pem"}},
    "addresses without a CA": {"upstream": {"servers": ["10.0.0.1"]}},
    "one name on two ports": {"upstream": {"servers": ["api:1", "API.:2"]}},
    "names with a name in common": {"upstream": {"servers": ["a", "b"], "serverName": "api"}},
    "names and addresses with a name in common": {"upstream": {"servers": ["a", "10.0.0.1"], "serverName": "api"}},
    "names that nobody verifies": {"upstream": {"servers": ["a", "b"], "verification": "none"}},
    "verification spelled out": {"upstream": {"servers": ["a"], "ca": "x", "verification": "required"}},
    "passed through": {"mode": "passthrough", "limits": {"connections": 5}, "upstream": {"servers": ["a"], "ca": "x"}},
    "everything in one file": {"certificate": FILES, "limits": {"requestsPerSecond": 5}},
}


@pytest.mark.parametrize("name", GOOD)
def test_good(name: str) -> None:
    assert read(gate(GOOD[name])).config.clusters


SOURCE = "means the API server of a kubeconfig, and servers lists others"
BAD: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "no API server": ({"upstream": {}}, [("upstream", "says of no API server where it is")]),
    "a CA of no API server": ({"upstream": {"ca": "x"}}, [("upstream", "says of no API server where it is")]),
    "two sources": (
        {"upstream": {"servers": ["a"], "kubeconfig": "k", "context": "c", "discover": True}},
        [("upstream.kubeconfig", SOURCE), ("upstream.context", SOURCE), ("upstream.discover", SOURCE)],
    ),
    "what a kubeconfig says itself": (
        {"upstream": {"kubeconfig": "k", "ca": "x", "serverName": "y"}},
        [
            ("upstream.ca", "is for servers that are listed; the kubeconfig says it by its own certificate-authority"),
            ("upstream.serverName", "is for servers that are listed; the kubeconfig says it by its own tls-server-name"),
        ],
    ),
    "one server twice": ({"upstream": {"servers": ["a", "A.:6443"]}}, [("upstream.servers[1]", "is a:6443 a second time")]),
    "two names": ({"upstream": {"servers": ["b", "a"]}}, [("upstream.servers", "have different names (a, b), and one name")]),
    "a name and an address": (
        {"upstream": {"servers": ["10.0.0.1", "a"]}},
        [("upstream.servers", "are a and addresses, and one")],
    ),
    "what verifies nothing": (
        {"upstream": {"servers": ["a"], "verification": "none", "ca": "x", "serverName": "y"}},
        [("upstream.ca", "verifies nothing beside verification: none"), ("upstream.serverName", "verifies nothing beside")],
    ),
    "a credential for whoever answers": (
        {"upstream": {"kubeconfig": "k", "discover": True, "verification": "none"}},
        [("upstream.discover", "would send the kubeconfig's own credential to whoever answers")],
    ),
    "opened and passed through": (
        {
            "mode": "passthrough",
            "certificate": FILES,
            "limits": {"requestsPerSecond": 1},
            "upstream": {"kubeconfig": "k", "verification": "none"},
        },
        [
            ("upstream.verification", "switches nothing off"),
            ("certificate", "is never shown"),
            ("limits.requestsPerSecond", "limits nothing"),
        ],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad(name: str) -> None:
    cluster, expected = BAD[name]
    found = problems(gate(cluster))
    assert [problem.where.partition(": clusters[c0].")[2] for problem in found] == [key for key, _ in expected]
    for problem, (_, message) in zip(found, expected, strict=True):
        assert problem.message.startswith(message)
        assert problem.hint


def test_a_cluster_of_a_file_says_where_its_api_servers_are() -> None:
    (problem,) = problems("apiVersion: kubegate.dev/v1alpha1\nkind: Gate\nclusters:\n- name: prod\n")
    assert problem.where == "FILE:4: clusters[prod].upstream"
    assert "kubeconfig" in problem.hint
