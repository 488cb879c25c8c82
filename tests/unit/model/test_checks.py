"""What is wrong with values of a declaration together: each refusal beside its honest twin."""

from typing import Any

import pytest

from tests.unit.model.declared import gate, problems, read, told

A, B = {"hosts": ["a.example.com"]}, {"hosts": ["b.example.com"]}
PASSED = {"mode": "passthrough"}


def listener(address: str = "127.0.0.1:6443", **keys: Any) -> dict[str, Any]:
    """A listener of a file."""
    return {"name": f"l{address.rpartition(':')[2]}", "address": address} | keys


GOOD: dict[str, str] = {
    "one cluster without a name to ask for": gate({}),
    "one passed through": gate(PASSED),
    "two clusters with names": gate(A, B),
    "the default needs no name": gate(A, {}, listeners=[listener(defaultCluster="c1")]),
    "each alone behind a listener": gate(
        {}, PASSED, listeners=[listener("[::1]:1", clusters=["c0"]), listener("[::1]:2", clusters=["c1"])]
    ),
    "a default passed through, alone": gate(
        A, B | PASSED, listeners=[listener("[::1]:1"), listener(clusters=["c1"], defaultCluster="c1")]
    ),
    "reached by one listener of two": gate(A, {}, listeners=[listener("[::1]:1"), listener(clusters=["c1"])]),
    "an address as Host": gate(A, {"hosts": ["10.0.0.1"]}),
    "passed through by name, with an address too": gate(A, {"hosts": ["10.0.0.1", "b.example.com"]} | PASSED),
    "other ports": gate(A, listeners=[listener("127.0.0.1:1"), listener("127.0.0.1:2")], metrics={"address": "127.0.0.1:3"}),
    "free ports": gate(A, listeners=[listener("127.0.0.1:0"), listener("127.0.0.1:0", name="other")]),
    "an address beside every address": gate(
        A, listeners=[listener("0.0.0.0:1"), listener("127.0.0.1:1", name="b"), listener("[::]:1", name="c")]
    ),
    "the metrics beside every address": gate(A, listeners=[listener("0.0.0.0:1")], metrics={"address": "127.0.0.1:1"}),
    "a listener as a cluster is called": gate(A, listeners=[listener(name="c0")]),
}


@pytest.mark.parametrize("name", GOOD)
def test_good(name: str) -> None:
    assert read(GOOD[name]).config.clusters


def one(text: str) -> tuple[str, str, str]:
    """Keys, message and hint of the one problem of a file."""
    (problem,) = problems(text)
    return problem.where.partition(": ")[2], problem.message, problem.hint


def test_two_of_one_name() -> None:
    assert told(gate(A | {"name": "x"}, B | {"name": "x"})) == [
        ("FILE:9: clusters[x].name", "is x, as is the name of another cluster (FILE:4: clusters[x].name)")
    ]
    where, message, _ = one(gate(A, listeners=[listener("[::1]:1", name="x"), listener("[::1]:2", name="x")]))
    assert where == "listeners[x].name"
    assert message.startswith("is x, as is the name of another listener")


def test_two_without_a_name_have_the_same() -> None:
    text = "apiVersion: kubegate.dev/v1alpha1\nkind: Gate\nclusters:\n" + "".join(
        f"- hosts: [{host}.example.com]\n  upstream: {{kubeconfig: x}}\n" for host in "ab"
    )
    assert told(text) == [
        ("FILE:6: clusters[1].name", "is cluster, as is the name of another cluster (FILE:4: clusters[0].name)")
    ]


@pytest.mark.parametrize("other", ["0.0.0.0:1", "[::1]:1", "127.0.0.1:1"])
def test_one_address_twice(other: str) -> None:
    where, message, _ = one(gate(A, listeners=[listener(other), listener(other, name="b")]))
    assert where == "listeners[b].address"
    assert message.startswith(f"is {other}, on which a listener has been declared already (FILE:")
    where, _, _ = one(gate(A, listeners=[listener(other)], metrics={"address": other}))
    assert where == "metrics.address"


def test_addresses_are_the_same_however_they_are_written() -> None:
    assert one(gate(A, listeners=[listener("localhost:1"), listener("127.0.0.1:1", name="b")]))[0] == "listeners[b].address"
    assert one(gate(A, listeners=[listener("[0:0::1]:1"), listener("[::1]:1", name="b")]))[0] == "listeners[b].address"


def test_a_name_leads_to_one_cluster() -> None:
    where, message, _ = one(gate(A, {"hosts": ["b", "A.Example.com."]}))
    assert where == "clusters[c1].hosts[1]"
    assert message.startswith("is a.example.com, which stands already with another cluster, and a name leads to one (FILE:")
    where, message, _ = one(gate({"hosts": ["a", "b", "a"]}))
    assert where == "clusters[c0].hosts[2]"
    assert "with this cluster (FILE:" in message


def test_clusters_that_are_not_declared() -> None:
    named = {"name": "production"}
    assert one(gate(A | named, listeners=[listener(clusters=["productoin"])])) == (
        "listeners[l6443].clusters[0]",
        "is productoin, and no cluster has this name",
        "did you mean production?",
    )
    found = problems(gate(A | named, listeners=[listener(clusters=["other", "production"], defaultCluster="nobody")]))
    assert [(p.code, p.hint) for p in found] == [("config.unknown-cluster", "declare it under clusters, or leave it out")] * 2


def test_a_cluster_named_twice_by_a_listener() -> None:
    assert one(gate(A, listeners=[listener(clusters=["c0", "c0"])]))[:2] == (
        "listeners[l6443].clusters[1]",
        "names c0 a second time",
    )


def test_a_default_must_be_behind_the_listener() -> None:
    where, message, hint = one(gate(A, B, listeners=[listener("[::1]:1"), listener(clusters=["c0"], defaultCluster="c1")]))
    assert where == "listeners[l6443].defaultCluster"
    assert "not among the clusters of this listener" in message
    assert hint == "add c1 to its clusters"


def test_no_host_leads_to_a_default_that_is_passed_through_beside_others() -> None:
    where, message, hint = one(gate(A, B | PASSED, listeners=[listener(defaultCluster="c1")]))
    assert where == "listeners[l6443].defaultCluster"
    assert "whose TLS is not opened" in message
    assert "mode: terminate" in hint


def test_a_cluster_that_no_listener_has() -> None:
    assert one(gate(A, B, listeners=[listener(clusters=["c0"])])) == (
        "clusters[c1]",
        "is behind no listener",
        "add it to the clusters of a listener",
    )


def test_a_cluster_that_no_name_leads_to() -> None:
    where, message, hint = one(gate(A, {}))
    assert where == "clusters[c1].hosts"
    assert "nobody would be led here" in message
    assert "defaultCluster" in hint
    # Nobody comes to a default without opened TLS, so none is proposed.
    where, message, hint = one(gate(A, PASSED))
    assert where == "clusters[c1].hosts"
    assert "defaultCluster" not in hint


def test_no_client_asks_for_an_address_where_tls_is_not_opened() -> None:
    where, message, hint = one(gate(A, PASSED | {"hosts": ["10.0.0.1", "::1"]}))
    assert where == "clusters[c1].hosts"
    assert message.startswith("are addresses")
    assert "tls-server-name" in hint


def test_many_clusters_behind_many_listeners() -> None:
    clusters = [{"hosts": [f"h{n}.example.com"]} for n in range(300)]
    listeners = [listener(f"127.0.0.1:{n + 1}", clusters=[f"c{n}"]) for n in range(300)]
    assert len(read(gate(*clusters, listeners=listeners)).config.listeners) == 300
