"""`kubegate grant` that does not get to its end takes away what it made, and that alone."""

import json
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.expose import Home, command, grants, kubeconfig, kubegate
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
