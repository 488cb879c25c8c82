"""What was typed becomes rules of RBAC, or problems, all at once."""

import pytest

from kubegate.model.grant import ApiResource, Can, Rule, name_flaw, parse_can, rules_of, strong_rights

ALL = frozenset({"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"})
KNOWN = (
    ApiResource("", "pods", True, ALL, ("pod", "po")),
    ApiResource("", "pods/log", True, frozenset({"get"})),
    ApiResource("", "events", True, ALL),
    ApiResource("", "nodes", False, ALL, ("node", "no")),
    ApiResource("apps", "deployments", True, ALL, ("deployment", "deploy")),
    ApiResource("apps", "deployments/scale", True, frozenset({"get", "patch", "update"})),
    ApiResource("events.k8s.io", "events", True, ALL),
)


def rules(*texts: str, everywhere: bool = False) -> tuple[Rule, ...]:
    found, problems = rules_of([_can(text) for text in texts], KNOWN, everywhere=everywhere)
    assert problems == []
    return found


def problems(*texts: str, everywhere: bool = False) -> list[tuple[str, str]]:
    _, found = rules_of([_can(text) for text in texts], KNOWN, everywhere=everywhere)
    return [(one.message, one.hint) for one in found]


def _can(text: str) -> Can:
    can, flaws = parse_can(text)
    assert can is not None, flaws
    return can


def test_the_example_of_the_documentation() -> None:
    assert rules("get,list,watch pods,pods/log") == (Rule(("get", "list", "watch"), "", ("pods", "pods/log")),)


def test_groups_are_found_and_kept_apart() -> None:
    assert rules("get pods,deployments") == (Rule(("get",), "", ("pods",)), Rule(("get",), "apps", ("deployments",)))
    assert rules("patch deployments.apps/scale") == (Rule(("patch",), "apps", ("deployments/scale",)),)


def test_a_name_in_two_groups_means_the_first_unless_its_group_is_said() -> None:
    assert rules("get events") == (Rule(("get",), "", ("events",)),)
    assert rules("get events.events.k8s.io") == (Rule(("get",), "events.k8s.io", ("events",)),)


def test_paths_and_what_is_in_no_namespace_need_the_whole_cluster() -> None:
    assert rules("get nodes,/metrics", everywhere=True) == (
        Rule(("get",), "", ("nodes",)),
        Rule(("get",), urls=("/metrics",)),
    )
    assert [message for message, _ in problems("get nodes,/metrics")] == [
        "nodes are in no namespace",
        "/metrics are paths of the API server, which are in no namespace",
    ]


def test_everything_that_is_unknown_is_told_at_once_with_what_was_meant() -> None:
    assert problems("get po,deploymnts,flowers") == [
        ("the API server has no resource po", "is pods meant?"),
        ("the API server has no resource deploymnts", "is deployments.apps meant?"),
        ("the API server has no resource flowers", "kubectl api-resources lists them"),
    ]


def test_verbs_that_do_nothing_are_told() -> None:
    assert problems("delete pods/log") == [("delete does nothing on pods/log", "it knows get")]
    assert problems("use pods") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pods", "has 1 parts"),
        ("get pods now", "has 3 parts"),
        ("gte pods", "'gte' is no verb"),
        ("* pods", "every verb that there will ever be"),
        ("get *", "secrets among them"),
        ("get pods/*", "secrets among them"),
        ("get Pods", "'Pods' is no resource"),
        ("get pods,", "'' is no resource"),
        (",get pods", "'' is no verb"),
        ("get /a*b", "'/a*b' is no path"),
        ("get \x1b[31m", "'\\x1b[31m' is no resource"),
    ],
)
def test_what_cannot_be_read(text: str, said: str) -> None:
    can, flaws = parse_can(text)
    assert can is None
    assert said in flaws[0].message
    assert "\x1b" not in flaws[0].where


@pytest.mark.parametrize("name", ["a", "ci-reader", "x" * 40, "0-9"])
def test_names(name: str) -> None:
    assert name_flaw(name) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("system:masters", "belong to Kubernetes itself"),
        ("System:node:a", "belong to Kubernetes itself"),
        ("", "is no name"),
        ("-a", "is no name"),
        ("A", "is no name"),
        ("a.b", "is no name"),
        ("a/b", "is no name"),
        ("a b", "is no name"),
        ("x" * 41, "40 is the most"),
    ],
)
def test_names_that_are_refused(name: str, said: str) -> None:
    flaw = name_flaw(name)
    assert flaw is not None
    assert said in flaw[0]


def test_what_leads_to_more_than_it_says() -> None:
    strong = [Rule(("get", "list"), "", ("secrets", "pods")), Rule(("create",), "", ("pods/exec",))]
    assert [one.partition(":")[0] for one in strong_rights(strong)] == ["get,list secrets", "create pods/exec"]
    makers = [Rule(("create",), "apps", ("replicasets",)), Rule(("patch",), "", ("replicationcontrollers",))]
    assert len(strong_rights(makers)) == 2
    assert strong_rights([Rule(("get", "list", "watch"), "", ("pods", "pods/log"))]) == []
    assert strong_rights([Rule(("get",), "example.com", ("secrets",))]) == []
