"""What an account is told about itself means what RBAC means by it."""

import pytest

from kubegate.model.grant import Rule
from kubegate.model.rules_review import ReviewedRule, RulesReview, read_review, withheld

BODY = {
    "status": {
        "resourceRules": [
            {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "pods/log"]},
            {"verbs": ["create"], "apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectrulesreviews"]},
        ],
        "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/api/*"]}],
        "incomplete": False,
    }
}


def test_what_was_asked_is_held_and_more_is_not() -> None:
    review = read_review("dev", BODY)
    assert review.allows(Rule(("get", "list"), "", ("pods", "pods/log")))
    assert not review.allows(Rule(("get", "watch"), "", ("pods",)))
    assert not review.allows(Rule(("get",), "apps", ("pods",)))
    assert not review.allows(Rule(("get",), "", ("pods/exec",)))
    assert review.allows(Rule(("get",), urls=("/healthz", "/api/v1")))
    assert not review.allows(Rule(("get",), urls=("/metrics",)))
    assert not review.allows(Rule(("post",), urls=("/healthz",)))


def test_what_it_may_besides() -> None:
    review = read_review("dev", BODY)
    assert review.besides([Rule(("get", "list"), "", ("pods", "pods/log"))]) == [
        "create selfsubjectrulesreviews.authorization.k8s.io",
        "get /healthz,/api/*",
    ]
    assert review.besides([])[0] == "get,list pods,pods/log"


@pytest.mark.parametrize(
    ("rule", "verb", "group", "resource", "held"),
    [
        (ReviewedRule(("*",), ("*",), ("*",)), "delete", "apps", "deployments/scale", True),
        (ReviewedRule(("get",), ("",), ("*",)), "get", "", "pods/log", True),
        (ReviewedRule(("get",), ("",), ("*/log",)), "get", "", "pods/log", True),
        (ReviewedRule(("get",), ("",), ("*/log",)), "get", "", "pods", False),
        (ReviewedRule(("get",), ("",), ("pods",)), "get", "", "pods/log", False),
        (ReviewedRule(("get",), ("",), ("pods",), names=("one",)), "get", "", "pods", False),
        (ReviewedRule(("list",), ("",), ("pods",)), "get", "", "pods", False),
    ],
)
def test_stars_subresources_and_names(rule: ReviewedRule, verb: str, group: str, resource: str, held: bool) -> None:
    assert rule.allows(verb, group, resource) is held


def test_what_is_withheld() -> None:
    assert "read secrets" in withheld(read_review("dev", BODY))
    assert withheld(RulesReview("dev", (ReviewedRule(("*",), ("*",), ("*",)),))) == []


@pytest.mark.parametrize("body", [{}, {"status": None}, {"status": {"resourceRules": [3, {"verbs": None}]}}])
def test_an_answer_that_says_nothing_gives_no_rights(body: dict[str, object]) -> None:
    review = read_review("dev", body)
    assert not any(rule.allows("get", "", "pods") for rule in review.rules)


def test_foreign_text_is_escaped() -> None:
    review = read_review("dev", {"status": {"resourceRules": [{"verbs": ["\x1b"], "apiGroups": [""], "resources": ["x"]}]}})
    assert review.rules[0].shown == "\\x1b x"
