"""Clients that are few and slow but see one thing exactly: a new connection, a keystroke, an event, what an open one holds."""

import contextlib
import json
import socket
import ssl
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

from bench.peers import Peer
from bench.upstream import LOOPBACK, POD
from tests.support import rawh2, rawhttp
from tests.support.rawhttp import request
from tests.support.tls import API_NAME, GATE_NAME, cluster_authority, front_authority
from tests.support.wire import PATIENCE_SECONDS, Wire

_WATCH = "/api/v1/namespaces/default/configmaps?watch=true"
_EXEC = "/api/v1/namespaces/default/pods/web-0/exec?command=sh&stdin=true&stdout=true&tty=true"
_UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Protocol: v5.channel.k8s.io",
)
# One byte in a masked frame (the mask is zero), and the frame that brings it back (RFC 6455, 5.2).
_KEYSTROKE, _ECHO = b"\x82\x81\0\0\0\0x", b"\x82\x01x"
# Opened before the first look, so that what is there once and for all does not count.
_FIRST = 100
_SETTLE_SECONDS = 1.0
_AT_ONCE = 32


def connect(peer: Peer, session: ssl.SSLSession | None = None, trusting: ssl.SSLContext | None = None) -> rawhttp.Client:
    """A new connection that speaks HTTP/1.1; it resumes a TLS session of the same context if one is given."""
    if not peer.tls:
        return rawhttp.Client.connect(LOOPBACK, peer.port)
    connected = socket.create_connection((LOOPBACK, peer.port), timeout=PATIENCE_SECONDS)
    return rawhttp.Client(Wire(connected, trusting or context(), name=_name(peer), session=session))


def context() -> ssl.SSLContext:
    """It trusts the gate's certificate and the API server's."""
    return ssl.create_default_context(cadata=(front_authority().pem + cluster_authority().pem).decode())


def connections(peer: Peer, number: int, *, resumed: bool) -> float:
    """CPU time of the gate in microseconds for each new connection with one request."""
    trusting = context()
    session = _session(peer, trusting) if resumed else None
    cpu = peer.cpu_ns()
    for _ in range(number):
        with connect(peer, session, trusting) as client:
            assert client.ask(request("GET", POD)).status == 200
            if resumed and peer.tls:
                assert client.wire.tls is not None
                assert client.wire.tls.session_reused, f"{peer.name} does not resume TLS sessions"
                session = client.wire.tls.session
    return (peer.cpu_ns() - cpu) / number / 1000


def keystrokes(peer: Peer, number: int) -> float:
    """The median round trip of a byte through an exec's WebSocket, in microseconds."""
    with connect(peer) as client:
        client.wire.send(request("GET", _EXEC, *_UPGRADE))
        assert client.head().status == 101
        took = []
        for _ in range(number):
            began = time.perf_counter_ns()
            client.wire.send(_KEYSTROKE)
            assert client.exactly(len(_ECHO)) == _ECHO
            took.append(time.perf_counter_ns() - began)
    return float(statistics.median(took)) / 1000


def events(peer: Peer, number: int) -> float:
    """The median time of an event of a watch from the API server to the client, in microseconds."""
    with connect(peer) as client:
        client.wire.send(request("GET", f"{_WATCH}&tick"))
        assert client.head().status == 200
        took = []
        for _ in range(number):
            event = client.chunk()
            took.append(time.monotonic_ns() - json.loads(event)["object"]["data"]["sent"])
    return float(statistics.median(took)) / 1000


def watches(peer: Peer, number: int) -> float:
    """Memory of the gate in KiB for each open watch, each on a connection of its own."""
    return _held(peer, number, _open_watch, context())


def idle(peer: Peer, number: int, *, http2: bool) -> float:
    """Memory of the gate in KiB for each connection that has had a request and is silent now."""
    trusting = context()
    if http2:
        trusting.set_alpn_protocols(["h2"])
    return _held(peer, number, _open_http2 if http2 else _open_http1, trusting)


def _held(
    peer: Peer, number: int, open_one: Callable[[Peer, ssl.SSLContext], AbstractContextManager[object]], trusting: ssl.SSLContext
) -> float:
    with contextlib.ExitStack() as held, ThreadPoolExecutor(_AT_ONCE) as pool:

        def hold(count: int) -> int:
            for opened in pool.map(lambda _: open_one(peer, trusting), range(count)):
                held.enter_context(opened)
            time.sleep(_SETTLE_SECONDS)
            return peer.memory()

        return (-hold(_FIRST) + hold(number)) / number / 1024


def _open_watch(peer: Peer, trusting: ssl.SSLContext) -> rawhttp.Client:
    client = connect(peer, trusting=trusting)
    client.wire.send(request("GET", _WATCH, host=f"{LOOPBACK}:{peer.port}"))
    assert client.head().status == 200
    assert client.chunk()
    return client


def _open_http1(peer: Peer, trusting: ssl.SSLContext) -> rawhttp.Client:
    client = connect(peer, trusting=trusting)
    assert client.ask(request("GET", POD)).status == 200
    return client


def _open_http2(peer: Peer, trusting: ssl.SSLContext) -> rawh2.Client:
    # Set for each connection by itself, it would be set under the handshakes of others.
    client = rawh2.Client(Wire.connect(LOOPBACK, peer.port, trusting, _name(peer)))
    assert client.ask("GET", POD).status == 200
    return client


def _session(peer: Peer, trusting: ssl.SSLContext) -> ssl.SSLSession | None:
    with connect(peer, trusting=trusting) as client:
        assert client.ask(request("GET", POD)).status == 200
        return client.wire.tls.session if client.wire.tls else None


def _name(peer: Peer) -> str:
    return GATE_NAME if peer.opens_tls else API_NAME
