"""The TLS that clients meet: 1.2 at least, forward secrecy always, HTTP/2 and HTTP/1.1 to choose from."""

import dataclasses
import ssl
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from kubegate.model.plan import Shown
from tests.support.gate import Gate, plan
from tests.support.rawhttp import request
from tests.support.tls import GATE_NAME, client_context, front_authority, gate_leaf, whole
from tests.support.upstream import Upstream
from tests.support.wire import Wire

pytestmark = pytest.mark.haproxy


@pytest.fixture(scope="module", params=["ecdsa", "rsa"])
def gate(request: pytest.FixtureRequest, upstream: Upstream) -> Iterator[Gate]:
    """A gate with a certificate of either kind: key exchange without forward secrecy exists with RSA alone."""
    planned = plan(upstream.endpoint)
    if request.param == "rsa":
        pem = whole(gate_leaf(rsa.generate_private_key(65537, 2048)))
        front = dataclasses.replace(planned.frontends[0], certificates=(Shown("test", pem),))
        planned = dataclasses.replace(planned, frontends=(front,))
    with Gate(planned) as gate:
        yield gate


def permissive() -> ssl.SSLContext:
    """A client that would accept anything old."""
    context = client_context(front_authority())
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def shaken(gate: Gate, context: ssl.SSLContext) -> tuple[str | None, str]:
    """Version and cipher suite of a handshake that succeeds."""
    with Wire.connect(gate.listen.host, gate.listen.port, context, GATE_NAME) as wire:
        assert wire.tls is not None
        cipher = wire.tls.cipher()
        assert cipher is not None
        return wire.tls.version(), cipher[0]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_refused(gate: Gate, version: ssl.TLSVersion) -> None:
    context = permissive()
    context.minimum_version = context.maximum_version = version
    with pytest.raises((ssl.SSLError, ConnectionError)):
        shaken(gate, context)


@pytest.mark.parametrize(("version", "name"), [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")])
def test_current_versions_are_spoken(gate: Gate, version: ssl.TLSVersion, name: str) -> None:
    context = client_context(front_authority())
    context.minimum_version = context.maximum_version = version
    assert shaken(gate, context)[0] == name


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    "suites",
    [
        "kRSA",
        "AES128-GCM-SHA256",
        "AES256-SHA",
        "DHE-RSA-AES128-GCM-SHA256",
        "ECDHE+AES+SHA1",
        "ECDHE+AES+SHA256:!AESGCM",
    ],
)
def test_weak_suites_are_refused(gate: Gate, suites: str) -> None:
    context = client_context(front_authority())
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{suites}:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        shaken(gate, context)


def test_a_suite_with_forward_secrecy_is_taken_from_whoever_offers_it(gate: Gate) -> None:
    context = client_context(front_authority())
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ALL:@SECLEVEL=0")
    version, cipher = shaken(gate, context)
    assert version == "TLSv1.2"
    assert cipher.startswith("ECDHE-")
    assert cipher.endswith(("GCM-SHA256", "GCM-SHA384", "POLY1305"))


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["h2", "http/1.1"], "h2"),
        (["http/1.1", "h2"], "h2"),
        (["http/1.1"], "http/1.1"),
        (["h2"], "h2"),
        (["http/1.0", "http/1.1"], "http/1.1"),
        (["spdy/3"], None),
        ([], None),
    ],
    ids=str,
)
def test_protocol_is_negotiated(gate: Gate, offered: list[str], chosen: str | None) -> None:
    context = client_context(front_authority())
    if offered:
        context.set_alpn_protocols(offered)
    with Wire.connect(gate.listen.host, gate.listen.port, context, GATE_NAME) as wire:
        assert wire.tls is not None
        assert wire.tls.selected_alpn_protocol() == chosen


@pytest.mark.parametrize("name", ["gate.test", "127.0.0.1"])
def test_certificate_is_shown_to_whoever_comes_by_name_or_address(gate: Gate, name: str) -> None:
    """kubectl sends no SNI where the server is an address."""
    with Wire.connect(gate.listen.host, gate.listen.port, client_context(front_authority()), name) as wire:
        wire.send(request("GET", "/"))
        assert wire.receive().startswith(b"HTTP/1.1 200 ")


def test_plain_http_is_no_way_in(gate: Gate, upstream: Upstream) -> None:
    with Wire.connect(gate.listen.host, gate.listen.port) as wire:
        wire.send(request("GET", "/plain-text"))
        assert not wire.receive_rest().startswith(b"HTTP/1.1 200")
    assert not upstream.seen("/plain-text")
