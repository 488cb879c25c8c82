"""`kubegate grant` at an API server that notes what it is asked: what it made is taken away if it does not get to its end."""

import json
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.expose import Home, command, grants, kubeconfig, kubegate, problems
from tests.support.upstream import Exchange, Upstream

ACCOUNTS = "/api/v1/namespaces/dev/serviceaccounts"
ROLES = "/apis/rbac.authorization.k8s.io/v1/namespaces/dev/roles"
ROLE = f"{ROLES}/kubegate-grant-ci"
WORDS = ("grant", "ci", "-n", "dev", "--can", "get pods")
PODS = {"resources": [{"name": "pods", "namespaced": True, "verbs": ["get", "list"]}]}
Script = Callable[[Exchange], None]


def says(status: int, body: Any) -> Script:
    return lambda exchange: exchange.reply(status, "Content-Type: application/json", body=json.dumps(body).encode())


class Api:
    """An API server that keeps objects by their path, and does something else where it is told to."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.objects: dict[str, dict[str, Any]] = {}
        self.options: list[dict[str, Any]] = []
        upstream.at("/api/v1", says(200, PODS))
        upstream.at("/apis", says(200, {"groups": []}))
        upstream.at(ACCOUNTS, self.keep)
        upstream.at(f"{ACCOUNTS}/ci/token", grants("granted-token", "2036-01-01T00:00:00Z"))
        upstream.at(ROLES, self.keep)

    def keep(self, exchange: Exchange) -> None:
        path, method = exchange.request.path, exchange.request.method
        if method == "POST":
            body = json.loads(exchange.body())
            body["metadata"]["uid"] = f"uid-of-{body['metadata']['name']}"
            self.objects[f"{path}/{body['metadata']['name']}"] = body
            says(201, body)(exchange)
        elif method == "DELETE":
            self.options.append(json.loads(exchange.body()))
            found = self.objects.pop(path, None)
            says(200 if found else 404, {"kind": "Status"})(exchange)
        else:
            found = self.objects.get(path)
            says(200 if found else 404, found or {"kind": "Status"})(exchange)


@pytest.fixture
def api() -> Any:
    with Upstream() as upstream:
        yield Api(upstream)


def words(person: Home, api: Api) -> tuple[str, ...]:
    config = kubeconfig(person.path / "config", f"https://127.0.0.1:{api.upstream.port}")
    return (*WORDS, "--kubeconfig", str(config), "--out", str(person.path / "ci.kubeconfig"))


def test_a_refusal_in_the_middle(person: Home, api: Api) -> None:
    api.upstream.at(ROLES, says(403, {"kind": "Status", "message": "roles is forbidden"}))
    done = kubegate(*words(person, api), home=person)
    assert done.returncode == 1
    assert "refused to make the Role dev/kubegate-grant-ci: roles is forbidden" in done.stderr
    assert api.objects == {}
    assert [one["preconditions"] for one in api.options] == [{"uid": "uid-of-ci"}]
    assert not (person.path / "ci.kubeconfig").exists()
    assert "granted-token" not in done.stdout + done.stderr


def test_an_answer_that_was_lost(person: Home, api: Api) -> None:
    """The role was made, and the connection broke before that was told: it is looked for, and known by its mark."""

    def lost(exchange: Exchange) -> None:
        if exchange.request.method != "POST":
            return api.keep(exchange)
        body = json.loads(exchange.body())
        body["metadata"]["uid"] = "uid-of-role"
        api.objects[ROLE] = body
        return exchange.leave()

    api.upstream.at(ROLES, lost)
    done = kubegate(*words(person, api), home=person)
    assert done.returncode == 1
    assert f"127.0.0.1:{api.upstream.port} does not answer" in done.stderr
    assert api.objects == {}
    assert {"uid": "uid-of-role"} in [one["preconditions"] for one in api.options]


def test_a_role_of_somebody_else_is_left(person: Home, api: Api) -> None:
    """The connection breaks, and there is a role of that name which this command did not make."""
    api.objects[ROLE] = {"kind": "Role", "metadata": {"name": "kubegate-grant-ci", "uid": "uid-of-another"}}
    api.upstream.at(ROLES, lambda exchange: exchange.leave() if exchange.request.method == "POST" else api.keep(exchange))
    assert kubegate(*words(person, api), home=person).returncode == 1
    assert list(api.objects) == [ROLE]


def test_what_cannot_be_taken_away_is_named(person: Home, api: Api) -> None:
    def no_more(exchange: Exchange) -> None:
        if exchange.request.method == "DELETE":
            says(403, {"message": "serviceaccounts is forbidden"})(exchange)
        else:
            api.keep(exchange)

    api.upstream.at(ACCOUNTS, no_more)
    api.upstream.at(ROLES, says(403, {"message": "roles is forbidden"}))
    done = kubegate(*words(person, api), home=person)
    assert done.returncode == 1
    assert "and this is left, for it could not be taken away again: ServiceAccount dev/ci" in done.stderr
    assert "kubegate revoke ci" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_somebody_stops_it(person: Home, api: Api, number: signal.Signals) -> None:
    api.upstream.at(ROLES, lambda exchange: None if exchange.request.method == "POST" else api.keep(exchange))
    process = subprocess.Popen(
        command(*words(person, api)), env=person.environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    api.upstream.wait_for(ROLES)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "stopped; nothing of it is left" in said
    assert api.objects == {}
    assert not (person.path / "ci.kubeconfig").exists()


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ({"insecure-skip-tls-verify": True}, "nobody would verify the API server"),
        ({"server": "http://127.0.0.1:1"}, "has no TLS"),
    ],
)
def test_no_account_is_made_where_nobody_is_verified(person: Home, api: Api, way: dict[str, Any], said: str) -> None:
    server = f"https://127.0.0.1:{api.upstream.port}"
    config = kubeconfig(person.path / "config", server, ca=None, cluster=way)
    done = kubegate(*WORDS, "--kubeconfig", str(config), "--out", str(person.path / "out"), home=person)
    assert done.returncode == 2
    assert said in done.stderr
    assert api.upstream.wires == []


def test_flags_that_do_not_go_together_and_files_of_others(person: Home, api: Api) -> None:
    theirs = person.path / "ci.kubeconfig"
    theirs.write_text("precious")
    more = ("--certificate", "--print", "--all-namespaces", "--server", "http://gate")
    done = kubegate(*words(person, api), *more, "--output", "json", home=person)
    assert done.returncode == 2
    assert [one["where"] for one in problems(done)] == ["--namespace", "--print", "--server"]
    done = kubegate(*words(person, api), "--output", "json", home=person)
    assert [one["code"] for one in problems(done)] == ["out.foreign"]
    assert theirs.read_text() == "precious"
    assert api.upstream.requests == []


def test_a_token_of_another_lifetime_is_told(person: Home, api: Api) -> None:
    """The rules are what the account is told about itself, and the end is the one that was given."""
    rules = {"status": {"resourceRules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]}}
    api.upstream.at("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", says(201, rules))
    api.upstream.at("/apis/rbac.authorization.k8s.io/v1/namespaces/dev/rolebindings", api.keep)
    done = kubegate(*words(person, api), "--for", "8h", "--output", "json", home=person)
    assert done.returncode == 0, done.stdout
    found = json.loads(done.stdout)
    assert found["expires"] == "2036-01-01T00:00:00+00:00"
    assert "8h was asked for, and the API server gave" in found["remarks"][0]
    reviews = api.upstream.seen("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews")
    assert {one.values("authorization")[0] for one in reviews} == {"Bearer granted-token"}
    assert not any(one.values("impersonate-user") for one in reviews)
    assert "granted-token" not in done.stdout
    assert "granted-token" in (person.path / "ci.kubeconfig").read_text()


def test_a_revocation_in_one_namespace_does_not_claim_more(person: Home, api: Api) -> None:
    """The account lives in another namespace, where it may do things, too; and a second one has the same name."""
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    subjects = [
        {"kind": "ServiceAccount", "name": "ci", "namespace": "dev"},
        {"kind": "User", "name": "kubegate:ci:0123456789ab"},
    ]
    labels = {"app.kubernetes.io/managed-by": "kubegate", "kubegate.dev/grant": "ci"}

    def binding(number: int, name: str, **more: Any) -> dict[str, Any]:
        return {"metadata": {"name": name, "namespace": "stage", "uid": name, **more}, "subjects": [subjects[number]]}

    own = [binding(0, "one", labels=labels), binding(1, "two", labels=labels)]
    foreign = [binding(0, "theirs"), binding(1, "theirs-too")]
    for kind in ("clusterrolebindings", "clusterroles"):
        api.upstream.at(f"{rbac}/{kind}", says(200, {"items": []}))
    api.upstream.at("/apis/certificates.k8s.io/v1/certificatesigningrequests", says(200, {"items": []}))
    api.upstream.at("/api/v1/namespaces/stage/serviceaccounts", says(200, {"items": []}))
    api.upstream.at(f"{rbac}/namespaces/stage/roles", says(200, {"items": []}))

    def bindings(exchange: Exchange) -> None:
        says(200, {"items": own if "labelSelector" in exchange.request.target else own + foreign})(exchange)

    api.upstream.at(f"{rbac}/namespaces/stage/rolebindings", bindings)
    for one in own:
        api.upstream.at(f"{rbac}/namespaces/stage/rolebindings/{one['metadata']['name']}", says(200, {}))
    config = kubeconfig(person.path / "config", f"https://127.0.0.1:{api.upstream.port}")
    done = kubegate("revoke", "ci", "-n", "stage", "--kubeconfig", str(config), "--output", "json", home=person)
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert found["removed"] == ["RoleBinding stage/one", "RoleBinding stage/two"]
    assert found["boundByOthers"] == ["RoleBinding stage/theirs", "RoleBinding stage/theirs-too"]
    assert "logs in as kubegate:ci:0123456789ab" in found["remains"][0]
    assert "those in other namespaces" in found["remains"][0]
    assert "system:serviceaccount:dev:ci was not found where it was looked for" in found["remains"][1]
    assert "of no use" not in done.stdout
    assert "other namespaces than stage were not looked for" in found["unknown"][0]
