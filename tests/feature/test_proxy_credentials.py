"""Credentials of `kubegate proxy` while it runs: a kubeconfig that changes, plugins, and a 401 that waits for a new token."""

import json
import threading
import time
from pathlib import Path

import pytest
import yaml

from tests.support.commands import watch
from tests.support.expose import Home, kubeconfig, kubegate
from tests.support.proxy import WEBSOCKET, Proxying, proxying
from tests.support.rawhttp import request
from tests.support.upstream import Exchange, Upstream, answer_ok, eventually, websocket

pytestmark = pytest.mark.haproxy
V1 = "client.authentication.k8s.io/v1"


def server(upstream: Upstream, good: set[str]) -> None:
    """It answers 401 to whoever does not show one of these tokens."""

    def script(exchange: Exchange) -> None:
        shown = exchange.request.values("authorization")
        if not shown or shown[0].removeprefix("Bearer ") not in good:
            exchange.reply(401, "Content-Type: application/json", body=b'{"kind":"Status","code":401}')
        elif exchange.request.values("upgrade"):
            websocket(exchange)
        else:
            answer_ok(exchange)

    upstream.at("/", script)
    upstream.at("/api/v1/watched", watch)


def plugin(folder: Path, body: str) -> dict[str, object]:
    """An exec plugin that writes down each run, and does what `body` says."""
    script = folder / "login"
    script.write_text(f"#!/bin/sh\necho run >> {folder}/runs\n{body}\n")
    script.chmod(0o755)
    return {"exec": {"command": str(script), "apiVersion": V1, "interactiveMode": "Never"}}


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text().splitlines())


def answer(token: str) -> str:
    return json.dumps({"kind": "ExecCredential", "apiVersion": V1, "status": {"token": token}})


def token_of(proxy: Proxying, upstream: Upstream) -> str:
    assert proxy.ask("/api/v1/asked").status == 200
    return upstream.seen("/api/v1/asked")[-1].values("authorization")[0].removeprefix("Bearer ")


def test_another_token_in_the_kubeconfig_is_live_within_a_second_and_streams_go_on(person: Home) -> None:
    with Upstream() as upstream:
        upstream.at("/api/v1/watched", watch)
        file, url = person.path / "config", f"https://127.0.0.1:{upstream.port}"
        config = str(kubeconfig(file, url, user={"token": "first"}))
        with proxying("--kubeconfig", config, "-p0", home=person) as proxy, proxy.dial() as client:
            client.wire.send(request("GET", "/api/v1/watched?watch=1", host="localhost"))
            assert client.head().status == 200
            assert client.chunk() == b"begun"
            assert token_of(proxy, upstream) == "first"
            kubeconfig(file, url, user={"token": "second"})
            began = time.monotonic()
            eventually(lambda: token_of(proxy, upstream) == "second")
            assert time.monotonic() - began < 2
            assert len(proxy.haproxy()) == 2
            client.wire.socket.settimeout(0.2)
            with pytest.raises(TimeoutError):
                client.wire.receive()


def test_a_later_use_context_is_ignored_and_a_changed_server_followed(person: Home) -> None:
    with Upstream() as one, Upstream() as two:
        file = person.path / "config"
        config = str(kubeconfig(file, f"https://127.0.0.1:{one.port}"))
        with proxying("--kubeconfig", config, "-p0", home=person) as proxy:
            document = yaml.safe_load(file.read_text())
            document["contexts"].append({"name": "other", "context": {"cluster": "other", "user": "me"}})
            document["clusters"].append({"name": "other", "cluster": {"server": f"https://127.0.0.1:{two.port}"}})
            document["current-context"] = "other"
            file.write_text(yaml.safe_dump(document))
            time.sleep(1.0)
            assert proxy.ask("/version").status == 200
            assert two.requests == []
            kubeconfig(file, f"https://127.0.0.1:{two.port}")
            proxy.wait_for(f"its server is https://127.0.0.1:{two.port} now")
            eventually(lambda: proxy.ask("/moved").status == 200 and two.seen("/moved"))


def test_a_context_that_is_removed_is_503_within_a_second_until_it_is_back(person: Home) -> None:
    with Upstream() as upstream:
        file, url = person.path / "config", f"https://127.0.0.1:{upstream.port}"
        config = str(kubeconfig(file, url))
        with proxying("--kubeconfig", config, "-p0", home=person) as proxy:
            assert proxy.ask("/version").status == 200
            kubeconfig(file, url, context="renamed")
            began = time.monotonic()
            eventually(lambda: proxy.ask("/version").status == 503)
            assert time.monotonic() - began < 2
            assert proxy.ask("/version").json["kind"] == "Status"
            kubeconfig(file, url)
            eventually(lambda: proxy.ask("/version").status == 200)


def test_a_401_waits_for_the_plugin_and_the_next_request_succeeds(person: Home) -> None:
    good = {"one"}
    with Upstream() as upstream:
        server(upstream, good)
        tokens = person.path / "token"
        tokens.write_text(answer("one"))
        user = plugin(person.path, f"[ -f {person.path}/slow ] && sleep 1\ncat {tokens}")
        config = str(kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}", user=user))
        with proxying("--kubeconfig", config, "-p0", home=person) as proxy:
            assert proxy.ask("/version").status == 200
            assert runs(person.path) == 1
            good.clear()
            good.add("two")
            tokens.write_text(answer("two"))
            (person.path / "slow").touch()
            began = time.monotonic()
            held = proxy.ask("/version")
            assert (held.status, held.json["code"]) == (401, 401)
            assert time.monotonic() - began > 0.9
            assert runs(person.path) == 2
            assert proxy.ask("/version").status == 200


def test_a_401_to_an_upgrade_renews_it_too(person: Home) -> None:
    good = {"one"}
    with Upstream() as upstream:
        server(upstream, good)
        tokens = person.path / "token"
        tokens.write_text(answer("one"))
        user = plugin(person.path, f"cat {tokens}")
        config = str(kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}", user=user))
        with proxying("--kubeconfig", config, "-p0", home=person) as proxy:
            good.clear()
            good.add("two")
            tokens.write_text(answer("two"))
            assert proxy.ask("/up", *WEBSOCKET).status == 401
            assert proxy.ask("/up", *WEBSOCKET).status == 101
            assert runs(person.path) == 2


def test_a_plugin_that_fails_leaves_the_answer_as_it_is(person: Home) -> None:
    good = {"one"}
    with Upstream() as upstream:
        server(upstream, good)
        user = plugin(person.path, f"[ -f {person.path}/broken ] && exit 3\ncat <<'END'\n{answer('one')}\nEND")
        config = str(kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}", user=user))
        with proxying("--kubeconfig", config, "-p0", home=person) as proxy:
            assert proxy.ask("/version").status == 200
            (person.path / "broken").touch()
            good.clear()
            assert proxy.ask("/version").status == 401
            proxy.wait_for("the credential that was good last goes on")
            good.add("one")
            assert proxy.ask("/version").status == 200


def test_401s_of_many_at_once_are_one_run(person: Home) -> None:
    good = {"one"}
    with Upstream() as upstream:
        server(upstream, good)
        user = plugin(person.path, f"sleep 0.3\ncat <<'END'\n{answer('one')}\nEND")
        config = str(kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}", user=user))
        with proxying("--kubeconfig", config, "-p0", home=person) as proxy:
            good.clear()
            clients = [proxy.dial() for _ in range(20)]
            for client in clients:
                client.wire.send(request("GET", "/version", host="localhost"))
            assert {client.answer().status for client in clients} == {401}
            for client in clients:
                client.wire.close()
            assert runs(person.path) == 2


def test_a_plugin_that_cannot_log_in_at_the_start_is_told_and_taken_when_it_can(person: Home) -> None:
    with Upstream() as upstream:
        server(upstream, {"one"})
        user = plugin(person.path, f"[ -f {person.path}/logged-in ] || exit 4\ncat <<'END'\n{answer('one')}\nEND")
        config = str(kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}", user=user))
        with proxying("--kubeconfig", config, "-p0", home=person) as proxy:
            refused = proxy.ask("/version")
            assert (refused.status, refused.json["kind"]) == (503, "Status")
            proxy.wait_for("has no credential")
            assert upstream.requests == []
            (person.path / "logged-in").touch()
            eventually(lambda: proxy.ask("/version").status == 200)


def test_whoever_waits_for_a_plugin_is_told_so(person: Home) -> None:
    with Upstream() as upstream:
        server(upstream, {"one"})
        body = f"until [ -f {person.path}/logged-in ]; do sleep 0.1; done\ncat <<'END'\n{answer('one')}\nEND"
        config = str(kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}", user=plugin(person.path, body)))
        threading.Timer(4.0, (person.path / "logged-in").touch).start()
        with proxying("--kubeconfig", config, "-p0", home=person) as proxy:
            proxy.wait_for("waiting for the credential of context")
            assert proxy.ask("/version").status == 200


def test_a_credential_that_is_wrong_in_itself_ends_the_start(person: Home, upstream: Upstream) -> None:
    user = {"token": "a", "username": "u", "password": "p"}
    config = str(kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}", user=user))
    done = kubegate("proxy", "--kubeconfig", config, "-p0", home=person)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is given beside username and password" in done.stderr
