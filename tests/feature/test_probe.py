"""The API server proves who it is, or a sentence says why not: real handshakes on loopback, and their negative twins."""

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path

import pytest

from kubegate.cluster.errors import ClusterError, Unreachable, Untrusted
from kubegate.cluster.probe import probe
from kubegate.model.facts import PeerCertificate
from tests.support.forge import CLIENT, Forged, forge, serving
from tests.support.listening import Handler, closed_port, listening, says, silent

ROOT = forge("cluster CA", ca=True)
OTHER = forge("another CA", ca=True)
API = forge("kube-apiserver", ROOT, names=["kubernetes.default.svc", "api.test", "127.0.0.1"])


def shown(*chain: Forged) -> ssl.SSLContext:
    return serving(b"".join(one.pem for one in chain) + chain[0].key_pem)


async def answer(
    context: ssl.SSLContext | None, name: str, ca: bytes = ROOT.pem, *, sni: bool = True, handler: Handler = silent
) -> PeerCertificate:
    async with listening(handler, context) as port:
        return await probe("127.0.0.1", port, name, ca, 2.0, send_sni=sni)


def ask(*chain: Forged, name: str = "api.test", ca: bytes = ROOT.pem, sni: bool = True) -> PeerCertificate:
    return asyncio.run(answer(shown(*chain), name, ca, sni=sni))


def refusal(*chain: Forged, name: str = "api.test", ca: bytes = ROOT.pem, sni: bool = True) -> str:
    with pytest.raises(Untrusted) as caught:
        ask(*chain, name=name, ca=ca, sni=sni)
    return caught.value.message.replace("127.0.0.1:", "HERE:", 1)


@pytest.mark.parametrize("sni", [True, False])
@pytest.mark.parametrize("name", ["api.test", "kubernetes.default.svc", "127.0.0.1"])
def test_verified(name: str, sni: bool) -> None:
    found = ask(API, name=name, sni=sni)
    assert found.dns_names == ("kubernetes.default.svc", "api.test")
    assert found.ip_addresses == ("127.0.0.1",)
    assert found.not_after == API.certificate.not_valid_after_utc


@pytest.mark.parametrize("sni", [True, False])
@pytest.mark.parametrize("name", ["other.test", "127.0.0.2", "x.api.test", "kube-apiserver"])
def test_another_name(name: str, sni: bool) -> None:
    assert f"is for kubernetes.default.svc, api.test, 127.0.0.1; not for {name}" in refusal(API, name=name, sni=sni)


@pytest.mark.parametrize("sni", [True, False])
def test_a_common_name_is_no_name(sni: bool) -> None:
    assert "no name at all" in refusal(forge("api.test", ROOT), sni=sni)


@pytest.mark.parametrize("sni", [True, False])
def test_a_wildcard(sni: bool) -> None:
    wild = forge("x", ROOT, names=["*.eks.test"])
    assert ask(wild, name="abc.eks.test", sni=sni).dns_names == ("*.eks.test",)
    assert "not for a.b.eks.test" in refusal(wild, name="a.b.eks.test", sni=sni)


@pytest.mark.parametrize("sni", [True, False])
def test_another_ca(sni: bool) -> None:
    assert "signed by a CA that is not trusted: issuer CN=cluster CA" in refusal(API, ca=OTHER.pem, sni=sni)


def test_a_ca_of_the_same_name_that_was_made_anew() -> None:
    assert "with another key" in refusal(API, ca=forge("cluster CA", ca=True).pem)


def test_self_signed() -> None:
    alone = forge("api.test", names=["api.test"])
    assert ask(alone, ca=alone.pem).dns_names == ("api.test",)
    assert "is self-signed" in refusal(alone)


def test_an_intermediate_ca_needs_its_root() -> None:
    """kubectl is content with less; HAProxy, for which this asks, is not."""
    between = forge("between", ROOT, ca=True)
    leaf = forge("api", between, names=["api.test"])
    assert ask(leaf, between).dns_names == ("api.test",)
    assert ask(leaf, ca=between.pem + ROOT.pem).dns_names == ("api.test",)
    assert "its root is not in the CA bundle" in refusal(leaf, between, ca=between.pem)


def test_expired() -> None:
    old = forge("x", ROOT, names=["api.test"], since=timedelta(days=9), until=timedelta(days=-2))
    assert f"expired on {old.certificate.not_valid_after_utc:%Y-%m-%d}" in refusal(old)


def test_not_yet_valid() -> None:
    assert "is not valid before" in refusal(forge("x", ROOT, names=["api.test"], since=timedelta(days=-2)))


def test_an_expired_ca() -> None:
    old = forge("old", ca=True, since=timedelta(days=9), until=timedelta(days=-1))
    assert "a CA certificate that" in refusal(forge("x", old, names=["api.test"]), ca=old.pem)


def test_a_client_certificate_is_no_server() -> None:
    assert "is not for TLS servers" in refusal(forge("x", ROOT, names=["api.test"], usages=[CLIENT]))


def test_text_in_certificates_is_escaped() -> None:
    evil = forge("evil\x1b[2J CA", ca=True)
    assert "CN=evil\\x1b[2J CA" in refusal(forge("x", evil, names=["api.test"]))


def test_a_bundle_without_certificate() -> None:
    for ca in (b"", b"no", API.key_pem):
        assert "holds no certificate" in refusal(API, ca=ca)


def test_the_name_is_sent_as_sni_only_if_asked() -> None:
    seen: list[str | None] = []

    def note(_socket: ssl.SSLObject | ssl.SSLSocket, name: str | None, _context: ssl.SSLContext) -> None:
        seen.append(name)

    context = shown(API)
    context.sni_callback = note
    for name, sni in (("api.test", True), ("api.test", False), ("127.0.0.1", True)):
        asyncio.run(answer(context, name, sni=sni))
    assert seen == ["api.test", None, None]


def unreachable(context: ssl.SSLContext | None, handler: Handler) -> str:
    with pytest.raises(Unreachable) as caught:
        asyncio.run(answer(context, "api.test", handler=handler))
    return caught.value.message


def test_nothing_listens() -> None:
    with pytest.raises(Unreachable, match=r"nothing listens on 127\.0\.0\.1:\d+$"):
        asyncio.run(probe("127.0.0.1", closed_port(), "api.test", ROOT.pem))


def test_plain_http() -> None:
    assert "does not speak TLS" in unreachable(None, says(b"HTTP/1.1 400 Bad Request\r\n\r\n"))


def test_something_else() -> None:
    assert "does not speak TLS" in unreachable(None, says(b"SSH-2.0-OpenSSH_9.2\r\n"))


def test_it_hangs_up() -> None:
    assert "closed the connection" in unreachable(None, says(b""))


def test_silence_is_bounded() -> None:
    async def run() -> None:
        async with listening(silent) as port:
            await probe("127.0.0.1", port, "api.test", ROOT.pem, 0.2)

    with pytest.raises(Unreachable, match="did not answer in time"):
        asyncio.run(run())


@pytest.mark.parametrize(
    ("alert", "words"), [(40, "handshake failure"), (70, "alert protocol version"), (112, "unrecognized name")]
)
def test_a_tls_alert_is_told(alert: int, words: str) -> None:
    """RFC 8446, section 6: a record of type 21 with a fatal alert."""
    message = unreachable(None, says(bytes([21, 3, 3, 0, 2, 2, alert])))
    assert "the TLS handshake with 127.0.0.1:" in message
    assert words in message


def test_every_error_is_ours(tmp_path: Path) -> None:
    for address in ("203.0.113.1.example.invalid", "not a host", "x" * 300, "a..b", str(tmp_path)):
        with pytest.raises(ClusterError):
            asyncio.run(probe(address, 6443, "api.test", ROOT.pem, 2.0))
