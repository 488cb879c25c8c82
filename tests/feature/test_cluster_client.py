"""The client of the Kubernetes API against servers on loopback: what it sends, whom it trusts, and what it says."""

import asyncio
import base64
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kubegate.cluster.client import ApiClient, GrantedToken
from kubegate.cluster.context import Context
from kubegate.cluster.credential import Credential
from kubegate.cluster.errors import ClusterError, Refused, Unreachable, Unresolvable, Untrusted
from kubegate.cluster.login import Login
from kubegate.cluster.server import Server
from kubegate.model.address import Endpoint
from tests.support.forge import CLIENT, Forged, forge, serving
from tests.support.listening import Handler, Script, closed_port, listening, says, silent

ROOT = forge("cluster CA", ca=True)
OTHER = forge("another CA", ca=True)
API = forge("kube-apiserver", ROOT, names=["kubernetes.default.svc", "127.0.0.1"])
LOGIN = Login(authorization="Bearer very-secret-token")


def shown(*chain: Forged) -> ssl.SSLContext:
    return serving(b"".join(one.pem for one in chain) + chain[0].key_pem)


def context(port: int, *, scheme: str = "https", host: str = "127.0.0.1", path: str = "", ca: bytes | None = ROOT.pem) -> Context:
    return Context(
        name="prod",
        cluster_name="prod",
        user_name="me",
        namespace="default",
        server=Server(scheme, Endpoint(host, port), path),
        ca_pem=ca,
        ca_where="",
        tls_server_name=None,
        insecure_skip_tls_verify=False,
        proxy_url=None,
        disable_compression=False,
        credential=Credential(),
        files=(),
    )


async def version(where: Context, login: Login | None = LOGIN, limit: float = 2.0) -> tuple[int, str | None]:
    async with ApiClient(where, login, timeout=limit) as client:
        return await client.version()


def ask(
    handler: Handler, *, tls: ssl.SSLContext | None = None, login: Login | None = LOGIN, **changes: object
) -> tuple[int, str | None]:
    async def run() -> tuple[int, str | None]:
        async with listening(handler, tls or shown(API)) as port:
            return await version(replace(context(port), **changes), login)  # type: ignore[arg-type]

    return asyncio.run(run())


def token(script: Script) -> GrantedToken:
    async def run() -> GrantedToken:
        async with listening(script, shown(API)) as port, ApiClient(context(port), LOGIN) as client:
            return await client.request_token("team a", "robot/x", 3600)

    return asyncio.run(run())


def test_version() -> None:
    script = Script(body={"gitVersion": "v1.33.1"})
    assert ask(script) == (200, "v1.33.1")
    assert script.heads[0].startswith("GET /version HTTP/1.1\r\n")
    assert script.values("authorization") == ["Bearer very-secret-token"]
    assert script.values("host")[0].startswith("127.0.0.1:")
    assert script.values("accept-encoding") == ["identity"]


@pytest.mark.parametrize("body", [{}, [], "x", None, {"gitVersion": 7}, b"<html>", b"\xff\xfe", b"[" * 9999])
def test_an_answer_that_is_no_version(body: object) -> None:
    assert ask(Script(status=403, body=body)) == (403, None)


def test_the_path_of_the_server_comes_first() -> None:
    script = Script()

    async def run() -> None:
        async with listening(script, shown(API)) as port:
            await version(context(port, path="/k8s/clusters/c-1"))

    asyncio.run(run())
    assert script.heads[0].startswith("GET /k8s/clusters/c-1/version ")


def test_without_login_nothing_is_sent() -> None:
    script = Script()
    ask(script, login=None)
    assert script.values("authorization") == []


def test_impersonation() -> None:
    script = Script()
    headers = (("Impersonate-User", "jäne"), ("Impersonate-Group", "a"), ("Impersonate-Group", "b"))
    ask(script, login=Login(impersonation=headers))
    assert script.values("impersonate-user") == ["jäne"]
    assert script.values("impersonate-group") == ["a", "b"]


def test_tls_server_name_is_sent_and_verified() -> None:
    seen: list[str | None] = []
    tls = shown(API)

    def note(_socket: ssl.SSLObject | ssl.SSLSocket, name: str | None, _context: ssl.SSLContext) -> None:
        seen.append(name)

    tls.sni_callback = note
    assert ask(Script(), tls=tls, tls_server_name="kubernetes.default.svc")[0] == 200
    assert seen == ["kubernetes.default.svc"]
    with pytest.raises(Untrusted, match=r"is for kubernetes\.default\.svc, 127\.0\.0\.1; not for other\.test"):
        ask(Script(), tls_server_name="other.test")


@pytest.mark.parametrize("insecure", [False, True])
def test_a_stranger_gets_nothing(insecure: bool) -> None:
    """Also where the kubeconfig switches verification off."""
    script = Script()
    for leaf, words in (
        (forge("x", OTHER, names=["127.0.0.1"]), "issuer CN=another CA"),
        (forge("x", ROOT, names=["127.0.0.2"]), "is for 127.0.0.2; not for 127.0.0.1"),
        (forge("127.0.0.1", ROOT), "no name at all"),
        (forge("x", ROOT, names=["127.0.0.1"], since=timedelta(9), until=-timedelta(1)), "expired on"),
        (forge("x", names=["127.0.0.1"]), "is self-signed"),
    ):
        with pytest.raises(Untrusted, match=words):
            ask(script, tls=shown(leaf), insecure_skip_tls_verify=insecure)
    assert script.heads == []


def test_the_systems_cas_count_only_without_a_ca(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path / "system.pem"
    bundle.write_bytes(ROOT.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    assert ask(Script(), ca_pem=None)[0] == 200
    with pytest.raises(Untrusted):
        ask(Script(), ca_pem=OTHER.pem)
    with pytest.raises(Untrusted, match="holds no certificate"):
        ask(Script(), ca_pem=b"")


def test_an_intermediate_ca_suffices_as_for_kubectl() -> None:
    between = forge("between", ROOT, ca=True)
    leaf = forge("x", between, names=["127.0.0.1"])
    assert ask(Script(), tls=shown(leaf, between), ca_pem=between.pem)[0] == 200
    assert ask(Script(), tls=shown(leaf), ca_pem=leaf.pem)[0] == 200


def test_a_client_certificate_is_shown() -> None:
    person = forge("jane", ROOT, organizations=["team"], usages=[CLIENT])
    tls = shown(API)
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(cadata=ROOT.pem.decode())
    subjects: list[object] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        subjects.append(writer.get_extra_info("peercert")["subject"])
        await Script()(reader, writer)

    assert ask(handler, tls=tls, login=Login(certificate_pem=person.pem, key_pem=person.key_pem))[0] == 200
    assert subjects == [((("organizationName", "team"),), (("commonName", "jane"),))]
    with pytest.raises(Unreachable):
        ask(handler, tls=tls)
    with pytest.raises(Unreachable, match="client certificate cannot be used"):
        ask(handler, tls=tls, login=Login(certificate_pem=person.pem, key_pem=API.key_pem))


def test_no_redirect_is_followed() -> None:
    script = Script(status=307, headers="Location: https://127.0.0.1:1/\r\n")
    assert ask(script) == (307, None)


def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    assert ask(Script())[0] == 200


def test_without_tls_no_secret_is_sent() -> None:
    script = Script()
    login = replace(LOGIN, impersonation=(("Impersonate-User", "x"),))

    async def run() -> None:
        async with listening(script) as port:
            await version(context(port, scheme="http"), login)

    asyncio.run(run())
    assert script.values("authorization") == []
    assert script.values("impersonate-user") == ["x"]


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (says(b"HTTP/1.1 200 OK\r\n\r\n"), "does not speak TLS"),
        (says(b""), "closed the connection"),
        (silent, "did not answer in time"),
    ],
)
def test_not_tls(handler: Handler, words: str) -> None:
    async def run() -> None:
        async with listening(handler) as port:
            await version(context(port), limit=0.5)

    with pytest.raises(Unreachable, match=words):
        asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "closed the connection|does not answer as an HTTP server"),
        (b"SSH-2.0-x\r\n", "does not answer as an HTTP server"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", "closed the connection|does not answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "does not answer as an HTTP server"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + b"x" * (2 << 20), "more than 1 MiB"),
    ],
)
def test_tls_but_not_http(answer: bytes, words: str) -> None:
    with pytest.raises(Unreachable, match=words):
        ask(says(answer))


def test_silence_after_the_handshake_is_bounded() -> None:
    async def run() -> None:
        async with listening(silent, shown(API)) as port:
            await version(context(port), limit=0.5)

    with pytest.raises(Unreachable, match="did not answer in time"):
        asyncio.run(run())


def test_nothing_listens() -> None:
    with pytest.raises(Unreachable, match="nothing listens on 127"):
        asyncio.run(version(context(closed_port())))


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70 + ".invalid"])
def test_a_name_without_address(host: str) -> None:
    with pytest.raises(ClusterError) as caught:
        asyncio.run(version(context(6443, host=host)))
    assert host in caught.value.message or isinstance(caught.value, Unresolvable)


def test_proxy_url() -> None:
    """The proxy sees CONNECT and nothing of what is inside."""
    connected: list[str] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        connected.append(head.split("\r\n")[0])
        host, _, port = head.split(" ")[1].rpartition(":")
        inner_reader, inner_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(4096):
                sink.write(data)
            sink.close()

        try:
            await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))
        finally:
            inner_writer.transport.abort()

    async def run(answering: Handler) -> tuple[int, str | None]:
        async with listening(Script(), shown(API)) as port, listening(answering) as proxy_port:
            through = replace(context(port), proxy_url=f"http://127.0.0.1:{proxy_port}")
            return await version(through)

    assert asyncio.run(run(proxy))[0] == 200
    assert connected[0].startswith("CONNECT 127.0.0.1:")
    with pytest.raises(Unreachable, match="the proxy on the way"):
        asyncio.run(run(says(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")))


@pytest.mark.parametrize(("proxy", "name"), [("socks5://127.0.0.1:1", None), ("http://127.0.0.1:1", "x.test")])
def test_proxies_that_are_not_supported(proxy: str, name: str | None) -> None:
    with pytest.raises(Unreachable, match="not supported"):
        ask(Script(), proxy_url=proxy, tls_server_name=name)


def test_request_token() -> None:
    expires = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)
    script = Script(status=201, body={"status": {"token": "granted", "expirationTimestamp": "2031-01-02T03:04:05Z"}})
    granted = token(script)
    assert granted == GrantedToken("granted", expires)
    assert "granted" not in repr(granted)
    assert script.heads[0].startswith("POST /api/v1/namespaces/team%20a/serviceaccounts/robot%2Fx/token ")
    assert script.bodies[0] == (
        b'{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"expirationSeconds":3600}}'
    )


@pytest.mark.parametrize(
    ("status", "hint"),
    [(401, "log in again"), (403, "create on serviceaccounts/token"), (404, "create serviceaccount robot/x"), (500, "")],
)
def test_refused(status: int, hint: str) -> None:
    with pytest.raises(Refused) as caught:
        token(Script(status=status, body={"kind": "Status", "message": "no \x1b[31m" + "x" * 999, "reason": "Because"}))
    assert caught.value.status == status
    assert caught.value.reason == "Because"
    assert "a token of team a/robot/x: no \\x1b[31mxxx" in caught.value.message
    assert len(caught.value.message) < 500
    assert hint in caught.value.hint


def test_refused_without_words() -> None:
    with pytest.raises(Refused, match="HTTP status 302"):
        token(Script(status=302, body=b""))


@pytest.mark.parametrize("status", [{}, {"token": "x"}, {"token": "x", "expirationTimestamp": "soon"}, "no"])
def test_granted_but_not_understood(status: object) -> None:
    with pytest.raises(Unreachable, match="granted no token"):
        token(Script(status=201, body={"status": status}))


def test_secrets_stay_out_of_repr_and_errors() -> None:
    login = Login(authorization=f"Basic {base64.b64encode(b'a:b').decode()}", key_pem=API.key_pem)
    assert "Basic" not in repr(login)
    assert "PRIVATE" not in repr(login)
    with pytest.raises(ClusterError) as caught:
        asyncio.run(version(context(closed_port()), Login(authorization="Bearer very-secret\nX: y")))
    assert "very-secret" not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_client_is_used_inside_of_async_with() -> None:
    with pytest.raises(RuntimeError):
        asyncio.run(ApiClient(context(1)).version())
