"""`kubegate test-connection`: each point at which a way can end, with a peer that ends it exactly there."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.between import between, swallowing
from tests.support.commands import said
from tests.support.expose import Home, kubeconfig, kubegate, problems
from tests.support.forge import CLIENT, Forged, forge
from tests.support.listening import closed_port
from tests.support.nodes import NODES, PODS, api_server, says, status, watched
from tests.support.tls import API_NAME, api_leaf, authority, cluster_authority
from tests.support.upstream import Script, Upstream

TEST = "test-connection"
TOKEN = b"token-of-the-person"


@pytest.fixture
def api() -> Iterator[Upstream]:
    with api_server() as api:
        yield api


def tried(person: Home, server: str, *words: str, code: int = 1, **options: Any) -> Any:
    """What comes of the kubeconfig's own way."""
    config = kubeconfig(person.path / "config", server, **options)
    done = kubegate(TEST, "--kubeconfig", str(config), *words, "--output", "json", home=person)
    assert (done.returncode, done.stderr) == (code, ""), done.stdout
    found = json.loads(done.stdout)
    assert found["ok"] is (code == 0)
    return found["ways"][0]


def ended(person: Home, server: str, *words: str, **options: Any) -> tuple[str, str, str]:
    """Where it ended, why, and what to do; there is always something to do."""
    failure = tried(person, server, *words, **options)["failure"]
    assert failure["hint"]
    return failure["point"], failure["message"], failure["hint"]


def local(port: int) -> str:
    return f"https://127.0.0.1:{port}"


def test_everything_works(person: Home, api: Upstream) -> None:
    way = tried(person, f"https://localhost:{api.port}", code=0, cluster={"tls-server-name": API_NAME})
    assert [(step["what"], step["passed"]) for step in way["steps"]] == [
        ("dns", True),
        ("tcp", True),
        ("tls", True),
        ("request", True),
        ("upgrade", True),
    ]
    assert way["steps"][3]["detail"] == "GET /api/v1/nodes: 3 items"
    assert api.seen(NODES)[0].values("authorization") == ["Bearer token-of-the-person"]


def test_as_text(person: Home, api: Upstream) -> None:
    config = kubeconfig(person.path / "config", local(api.port))
    text = said(TEST, "--kubeconfig", str(config), home=person)
    assert "context dev, as bearer token" in text
    assert "  ok      tls      verified as 127.0.0.1, until " in text
    assert TOKEN.decode() not in text


def test_the_name_does_not_resolve(person: Home) -> None:
    point, message, hint = ended(person, "https://none.invalid:6443")
    assert (point, hint) == ("dns", "check its spelling, and DNS")
    assert "none.invalid has no address" in message


def test_nothing_listens(person: Home) -> None:
    port = closed_port()
    assert ended(person, local(port))[:2] == ("tcp-refused", f"nothing listens on 127.0.0.1:{port}")


def test_nobody_answers(person: Home) -> None:
    with swallowing() as port:
        assert ended(person, local(port))[:2] == ("tcp-timeout", f"127.0.0.1:{port} did not answer in time")


def test_it_speaks_no_tls(person: Home) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as plain:
        serving = threading.Thread(target=plain.serve_forever)
        serving.start()
        point, message, _ = ended(person, local(plain.server_port))
        plain.shutdown()
        serving.join()
    assert (point, "does not speak TLS" in message) == ("tls", True), message


WRONG: dict[str, tuple[Forged, str, str]] = {
    "another name": (forge("x", cluster_authority(), names=["other.test"]), "tls-name", "is for other.test; not for 127.0.0.1"),
    "no name": (forge("127.0.0.1", cluster_authority()), "tls-name", "no name at all"),
    "another CA": (forge("x", authority("foreign CA"), names=["127.0.0.1"]), "tls-ca", "issuer CN=foreign CA"),
    "the same CA made anew": (forge("x", authority("cluster test CA"), names=["127.0.0.1"]), "tls-ca", "with another key"),
    "self-signed": (forge("x", names=["127.0.0.1"]), "tls-ca", "is self-signed"),
    "no server's": (forge("x", cluster_authority(), names=["127.0.0.1"], usages=[CLIENT]), "tls-ca", "is not for TLS servers"),
    "expired": (
        forge("x", cluster_authority(), names=["127.0.0.1"], since=timedelta(days=9), until=timedelta(days=-2)),
        "tls-expired",
        "expired on",
    ),
    "not valid yet": (
        forge("x", cluster_authority(), names=["127.0.0.1"], since=timedelta(days=-2)),
        "tls-expired",
        "is not valid before",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_it_does_not_prove_itself_and_gets_nothing(person: Home, wrong: str) -> None:
    leaf, point, words = WRONG[wrong]
    with api_server(leaf) as api:
        found, message, _ = ended(person, local(api.port))
        assert (found, words in message) == (point, True), message
        assert api.received() == b"", "no request, so no credential"


def test_a_kubeconfig_that_verifies_nothing_is_no_way_around(person: Home) -> None:
    with api_server(forge("x", names=["127.0.0.1"])) as api:
        point, _, hint = ended(person, local(api.port), ca=None, cluster={"insecure-skip-tls-verify": True})
        assert (point, "insecure-skip-tls-verify" in hint) == ("tls-ca", True)
        assert api.received() == b""


@pytest.mark.parametrize(
    ("script", "point", "message"),
    [
        (status(401, "Unauthorized"), "unauthorized", "401: the API server does not know who is asking"),
        (status(403, 'nodes is forbidden: User "me" cannot list'), "forbidden", '403: nodes is forbidden: User "me" cannot list'),
        (lambda exchange: exchange.reply(403, body=b"<html>no</html>"), "http", "GET /api/v1/nodes is answered with 403"),
        (status(503, "no server"), "http", "GET /api/v1/nodes is answered with 503: no server"),
        (lambda exchange: exchange.leave(), "http", "does not answer as an HTTP server"),
        (lambda exchange: exchange.reply(302, "Location: https://login.test/"), "http", "is answered with 302"),
    ],
)
def test_what_the_answer_says(person: Home, api: Upstream, script: Script, point: str, message: str) -> None:
    api.at(NODES, script)
    found, words, _ = ended(person, local(api.port))
    assert (found, message in words) == (point, True), words


def test_a_credential_that_does_not_arrive(person: Home, api: Upstream) -> None:
    api.at(NODES, status(403, 'nodes is forbidden: User "system:anonymous" cannot list'))
    assert "a credential was sent and did not arrive" in ended(person, local(api.port))[2]
    assert ended(person, local(api.port), user={})[2] == "there is no credential: log in"


def test_another_list_for_those_who_may_not_list_nodes(person: Home, api: Upstream) -> None:
    api.at(NODES, status(403, "no"))
    api.at("/api/v1/namespaces/dev/pods", says({"items": []}))
    assert tried(person, local(api.port), "--get", "/api/v1/namespaces/dev/pods", code=0)["failure"] is None
    assert "--get PATH" in ended(person, local(api.port))[2]


@pytest.mark.parametrize("path", ["nodes", "/a b", "/a#b", "/a\nb", ""])
def test_what_is_no_path(person: Home, path: str) -> None:
    done = kubegate(TEST, "--get", path, "--output", "json", home=person)
    assert (done.returncode, problems(done)[0]["code"]) == (2, "flag.path")


# Upgrades.


@pytest.mark.haproxy
@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (["http-request deny if { req.hdr(upgrade) -m found }"], "refused with 403"),
        (["http-request deny deny_status 400 if { req.hdr(upgrade) -m found }"], "refused with 400"),
        (["http-request del-header upgrade", "http-request del-header connection"], "takes the upgrade away"),
        (["http-request reject if { req.hdr(upgrade) -m found }"], "it ends the conversation"),
    ],
)
def test_something_in_between_lets_no_upgrade_pass(person: Home, api: Upstream, rules: list[str], words: str) -> None:
    with between(api.port, api_leaf(), *rules) as port:
        way = tried(person, local(port))
        assert (way["failure"]["point"], words in way["failure"]["message"]) == ("upgrade", True), way
        assert [step["passed"] for step in way["steps"]] == [True, True, True, False]


@pytest.mark.haproxy
def test_something_in_between_that_lets_upgrades_pass(person: Home, api: Upstream) -> None:
    with between(api.port, api_leaf()) as port:
        assert tried(person, local(port), code=0)["steps"][-1]["passed"] is True


def test_who_may_not_watch_is_told_that_it_was_not_tried(person: Home, api: Upstream) -> None:
    api.at(PODS, status(403, 'pods is forbidden: User "me" cannot watch resource "pods"'))

    def nodes(exchange: Any) -> None:
        if "watch=" in exchange.request.target:
            status(403, 'nodes is forbidden: User "me" cannot watch resource "nodes"')(exchange)
        else:
            says({"items": []})(exchange)

    api.at(NODES, nodes)
    step = tried(person, local(api.port), code=0)["steps"][-1]
    assert (step["what"], step["passed"]) == ("upgrade", None)
    api.at(NODES, lambda exchange: watched(exchange) if "watch=" in exchange.request.target else says({"items": []})(exchange))
    assert tried(person, local(api.port), code=0)["steps"][-1]["passed"] is True, "another list will do"


# The credential.


def test_a_plugin_that_gives_nothing(person: Home, api: Upstream) -> None:
    plugin = {"command": "/bin/false", "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}
    point, message, _ = ended(person, local(api.port), user={"exec": plugin})
    assert (point, "false" in message) == ("login", True)
    assert api.received() == b""


def test_a_token_file_that_is_gone(person: Home, api: Upstream) -> None:
    failure = tried(person, local(api.port), user={"tokenFile": "none"})["failure"]
    assert (failure["point"], "no such file" in failure["message"]) == ("login", True)


def test_a_kubeconfig_that_is_wrong_is_bad_input(person: Home) -> None:
    config = kubeconfig(person.path / "config", "ftp://x", user={"token": 5})
    done = kubegate(TEST, "--kubeconfig", str(config), "--output", "json", home=person)
    assert done.returncode == 2
    assert {one["code"] for one in problems(done)} == {"kubeconfig.server", "kubeconfig.type"}


def test_without_a_kubeconfig(person: Home) -> None:
    assert "there is no kubeconfig" in said(TEST, home=person, code=2)


def test_no_proxy_of_the_environment_for_loopback(person: Home, api: Upstream) -> None:
    config = kubeconfig(person.path / "config", local(api.port))
    extra = {"HTTPS_PROXY": "http://127.0.0.1:1"}
    assert kubegate(TEST, "--kubeconfig", str(config), home=person, extra=extra).returncode == 0


def test_a_proxy_on_the_way_that_fails(person: Home) -> None:
    config = kubeconfig(
        Path(person.path / "config"), "https://api.test:6443", cluster={"proxy-url": f"http://127.0.0.1:{closed_port()}"}
    )
    done = kubegate(TEST, "--kubeconfig", str(config), "--output", "json", home=person)
    assert json.loads(done.stdout)["ways"][0]["failure"]["point"] == "proxy"
