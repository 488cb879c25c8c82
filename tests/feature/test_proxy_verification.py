"""How `kubegate proxy` knows its API server: by CA and name, as the kubeconfig says, and what it says where that fails."""

import base64
import socket
import time

import pytest

from tests.support.expose import Home, kubeconfig
from tests.support.forge import CLIENT, forge
from tests.support.proxy import WEBSOCKET, name_of, proxying
from tests.support.rawhttp import request
from tests.support.tls import API_NAME, authority, cluster_authority, server_context
from tests.support.upstream import Exchange, Upstream, eventually, websocket

pytestmark = pytest.mark.haproxy
_STRANGER = authority("a stranger's CA")


@pytest.mark.parametrize("cluster", [{}, {"tls-server-name": API_NAME}, {"tls-server-name": "kubernetes"}])
def test_by_name_or_by_the_address_that_a_name_stands_for(person: Home, upstream: Upstream, cluster: dict[str, object]) -> None:
    config = str(kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}", cluster=cluster))
    with proxying("--kubeconfig", config, "-p0", home=person) as proxy:
        assert proxy.ask("/version").status == 200


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_a_certificate_of_another_ca_is_503_with_a_reason(person: Home, name: str) -> None:
    leaf = forge("api", _STRANGER, names=["localhost", API_NAME, "127.0.0.1"])
    with Upstream(leaf=leaf) as server:
        config = str(kubeconfig(person.path / "config", f"https://{name}:{server.port}"))
        with proxying("--kubeconfig", config, "-p0", home=person) as proxy:
            assert proxy.ask("/version").status == 503
            proxy.wait_for("requests get 503")
            assert "CA" in proxy.said
            assert server.requests == []


def test_a_certificate_of_another_name_is_503_with_a_reason(person: Home) -> None:
    leaf = forge("kubelet", cluster_authority(), names=["node-1", "127.0.0.1"])
    with Upstream(leaf=leaf) as server:
        config = str(kubeconfig(person.path / "config", f"https://localhost:{server.port}"))
        with proxying("--kubeconfig", config, "-p0", home=person) as proxy:
            assert proxy.ask("/version").status == 503
            proxy.wait_for("requests get 503")
        assert server.requests == []


def test_verification_that_is_switched_off(person: Home) -> None:
    leaf = forge("api", _STRANGER, names=["other.test"])
    with Upstream(leaf=leaf) as server:
        cluster = {"insecure-skip-tls-verify": True}
        config = str(kubeconfig(person.path / "config", f"https://127.0.0.1:{server.port}", ca=None, cluster=cluster))
        with proxying("--kubeconfig", config, "-p0", home=person) as proxy:
            assert proxy.ask("/version").status == 200


def test_plain_http_gets_no_credential(person: Home) -> None:
    with Upstream(leaf=None) as server:
        config = str(kubeconfig(person.path / "config", f"http://127.0.0.1:{server.port}", ca=None))
        with proxying("--kubeconfig", config, "-p0", home=person) as proxy:
            assert proxy.ask("/version").status == 200
        assert server.requests[0].values("authorization") == []


def test_no_kubeconfig_at_all_is_the_server_of_the_environment(person: Home) -> None:
    with Upstream(leaf=None) as server:
        extra = {"KUBERNETES_MASTER": f"http://127.0.0.1:{server.port}"}
        with proxying("-p0", home=person, extra=extra) as proxy:
            assert proxy.ask("/version").status == 200
    with proxying("-p0", "-s", "http://127.0.0.1:1", home=person) as proxy:
        assert proxy.ask("/version").status == 503


def test_a_server_that_proves_itself_later_is_taken(person: Home) -> None:
    stranger = Upstream(leaf=forge("api", _STRANGER, names=[API_NAME, "127.0.0.1"]))
    config = str(kubeconfig(person.path / "config", f"https://127.0.0.1:{stranger.port}"))
    with proxying("--kubeconfig", config, "-p0", home=person) as proxy:
        assert proxy.ask("/version").status == 503
        stranger.close()
        with Upstream(port=stranger.port):
            eventually(lambda: proxy.ask("/version").status == 200)
            proxy.wait_for("its API server is there")


def test_a_server_that_says_nothing_does_not_hold_up_the_start(person: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = str(kubeconfig(person.path / "config", f"https://127.0.0.1:{silent.getsockname()[1]}"))
        began = time.monotonic()
        with proxying("--kubeconfig", config, "-p0", home=person) as proxy:
            assert time.monotonic() - began < 4
            assert proxy.ask("/version").status == 503
            proxy.wait_for("does not answer yet")


class TestWhatHaproxyCannotVerify:
    """A certificate with addresses only, and a CA that is none of the roots: kubectl takes both, and so does Python."""

    def serve(self, person: Home, server: Upstream, url: str, ca: bytes, user: dict[str, object] | None = None) -> None:
        def echo(exchange: Exchange) -> None:
            websocket(exchange)
            data = b""
            while more := exchange.receive():
                data += more
            exchange.wire.send(b"got " + data)
            exchange.leave()

        server.at("/up", echo)
        config = str(kubeconfig(person.path / "config", url, ca=ca, user=user))
        with proxying("--kubeconfig", config, "-p0", home=person) as proxy:
            eventually(lambda: proxy.ask("/version").status == 200)
            with proxy.dial() as client:
                assert client.ask(request("GET", "/up", *WEBSOCKET, host="localhost")).status == 101
                client.wire.send(b"bytes")
                client.wire.end()
                assert client.rest() == b"got bytes"

    def test_addresses_only(self, person: Home) -> None:
        with Upstream(leaf=forge("api", cluster_authority(), names=["127.0.0.1"])) as server:
            self.serve(person, server, f"https://127.0.0.1:{server.port}", cluster_authority().pem)

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
    def test_an_intermediate_ca(self, person: Home, host: str) -> None:
        middle = forge("middle CA", _STRANGER, ca=True, usages=None)
        with Upstream(leaf=forge("api", middle, names=["localhost", API_NAME, "127.0.0.1"])) as server:
            self.serve(person, server, f"https://{host}:{server.port}", middle.pem)

    def test_a_client_certificate_that_is_renewed(self, person: Home) -> None:
        users = authority("users")
        leaf = forge("api", cluster_authority(), names=["127.0.0.1"])
        with Upstream(leaf=leaf, context=server_context(leaf, users)) as server:

            def user(name: str) -> dict[str, object]:
                pair = forge(name, users, usages=[CLIENT])
                encoded = {"client-certificate-data": pair.pem, "client-key-data": pair.key_pem}
                return {key: base64.b64encode(value).decode() for key, value in encoded.items()}

            file, url = person.path / "config", f"https://127.0.0.1:{server.port}"
            config = str(kubeconfig(file, url, user=user("first")))
            with proxying("--kubeconfig", config, "-p0", home=person) as proxy:
                assert proxy.ask("/version").status == 200
                assert name_of(server.requests[-1]) == "first"
                kubeconfig(file, url, user=user("second"))
                eventually(lambda: proxy.ask("/version").status == 200 and name_of(server.requests[-1]) == "second")
                assert len(proxy.haproxy()) in (2, 3)

    def test_what_python_does_not_verify_either_gets_nothing(self, person: Home) -> None:
        with Upstream(leaf=forge("api", _STRANGER, names=["127.0.0.1"])) as server:
            config = str(kubeconfig(person.path / "config", f"https://127.0.0.1:{server.port}"))
            with proxying("--kubeconfig", config, "-p0", home=person) as proxy:
                assert proxy.ask("/version").status == 503
                assert server.requests == []
