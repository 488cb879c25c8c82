"""What an account may do, as the API server tells the account itself (SelfSubjectRulesReview, authorization.k8s.io/v1)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kubegate.model.grant import Rule
from kubegate.model.names import printable


@dataclass(frozen=True, slots=True)
class ReviewedRule:
    """One rule as it is told. `names` limit it to these objects; `*` stands for all of its kind, as RBAC has it."""

    verbs: tuple[str, ...]
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()

    def allows(self, verb: str, group: str, resource: str) -> bool:
        """Whether it allows this on every object of the resource, `pods` or `pods/log`."""
        below = resource.partition("/")[2]
        fitting = ("*", resource, f"*/{below}") if below else ("*", resource)
        return (
            not self.names
            and any(one in ("*", verb) for one in self.verbs)
            and any(one in ("*", group) for one in self.groups)
            and any(one in fitting for one in self.resources)
        )

    def allows_url(self, verb: str, url: str) -> bool:
        """Whether it allows this on a path of the API server; `*` at the end of a rule stands for anything (RBAC)."""
        return any(one in ("*", verb) for one in self.verbs) and any(
            one == url or (one.endswith("*") and url.startswith(one[:-1])) for one in self.urls
        )

    @property
    def shown(self) -> str:
        """For people, escaped."""
        where = [one for group in self.groups for one in _qualified(self.resources, group)] if self.resources else self.urls
        only = f" named {','.join(self.names)}" if self.names else ""
        return printable(f"{','.join(self.verbs)} {','.join(where)}{only}")


@dataclass(frozen=True, slots=True)
class RulesReview:
    """The rules in one namespace. `incomplete` where an authorizer could not list all of its own."""

    namespace: str
    rules: tuple[ReviewedRule, ...]
    incomplete: bool = False

    def allows(self, rule: Rule) -> bool:
        """Whether all of a rule holds here."""
        pairs = [(verb, one) for verb in rule.verbs for one in rule.resources]
        held = all(any(mine.allows(verb, rule.group, one) for mine in self.rules) for verb, one in pairs)
        paths = [(verb, url) for verb in rule.verbs for url in rule.urls]
        return held and all(any(mine.allows_url(verb, url) for mine in self.rules) for verb, url in paths)

    def besides(self, rules: Iterable[Rule]) -> list[str]:
        """What it may do here besides these rules: what everybody may, and what others gave it."""
        asked = list(rules)
        return list(dict.fromkeys(mine.shown for mine in self.rules if not any(_covers(rule, mine) for rule in asked)))


# What people want to know that an account cannot do: the words, verb, group, resource.
_NOTABLE = (
    ("read secrets", "get", "", "secrets"),
    ("run commands in pods", "create", "", "pods/exec"),
    ("create pods", "create", "", "pods"),
    ("delete pods", "delete", "", "pods"),
    ("change deployments", "patch", "apps", "deployments"),
    ("make tokens of service accounts", "create", "", "serviceaccounts/token"),
    ("give rights to others", "create", "rbac.authorization.k8s.io", "rolebindings"),
)


def withheld(review: RulesReview) -> list[str]:
    """Which of the things that people worry about the account cannot do here."""
    return [words for words, *right in _NOTABLE if not any(rule.allows(*right) for rule in review.rules)]


def read_review(namespace: str, body: Mapping[str, object]) -> RulesReview:
    """The review out of the API server's answer."""
    status = body.get("status")
    found = status if isinstance(status, dict) else {}
    rules = [
        ReviewedRule(_texts(one, "verbs"), _texts(one, "apiGroups"), _texts(one, "resources"), _texts(one, "resourceNames"))
        for one in _entries(found, "resourceRules")
    ]
    rules += [
        ReviewedRule(_texts(one, "verbs"), urls=_texts(one, "nonResourceURLs")) for one in _entries(found, "nonResourceRules")
    ]
    return RulesReview(namespace, tuple(rules), found.get("incomplete") is True)


def _covers(rule: Rule, mine: ReviewedRule) -> bool:
    if mine.urls:
        return set(mine.urls) <= set(rule.urls) and set(mine.verbs) <= set(rule.verbs)
    return mine.groups == (rule.group,) and set(mine.resources) <= set(rule.resources) and set(mine.verbs) <= set(rule.verbs)


def _qualified(resources: Iterable[str], group: str) -> list[str]:
    suffix = f".{group}" if group and group != "*" else ""
    return [f"{plain}{suffix}{slash}{below}" for plain, slash, below in (one.partition("/") for one in resources)]


def _entries(found: Mapping[str, object], key: str) -> list[Mapping[str, object]]:
    value = found.get(key)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _texts(entry: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = entry.get(key)
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()
