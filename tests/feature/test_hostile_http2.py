"""Hostile forms of HTTP/2: each is refused alone or with its connection, and none becomes anything else in HTTP/1."""

import contextlib
import itertools
import struct

import pytest

from tests.support.gate import Gate, plan
from tests.support.rawh2 import Refused
from tests.support.upstream import Upstream

pytestmark = pytest.mark.haproxy

_numbers = itertools.count()
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: gate.test\r\n\r\n"
Field = tuple[str | bytes, str | bytes]


def block(*fields: Field, method: str = "GET") -> list[Field]:
    """A header block that is as it should be, but for `fields`, which are added."""
    return [(":method", method), (":scheme", "https"), (":authority", "gate.test"), (":path", "PATH"), *fields]


def without(name: str, *fields: Field) -> list[Field]:
    return [field for field in block(*fields) if field[0] != name]


REFUSED: dict[str, list[Field]] = {
    "CRLF in a value": block(("x", "a\r\nx-remote-user: joe")),
    "LF in a value": block(("x", "a\nx-remote-user: joe")),
    "CR in a value": block(("x", "a\rb")),
    "NUL in a value": block(("x", "a\0b")),
    "CRLF in a name": block(("x: a\r\nx-remote-user", "joe")),
    "colon in a name": block(("x:y", "a")),
    "space in a name": block(("x y", "a")),
    "upper case in a name": block(("X-Upper", "a")),
    "name without letters": block(("", "a")),
    "name beyond ASCII": block((b"x\xe9", "a")),
    "CRLF in the path": without(":path", (":path", "PATH HTTP/1.1\r\nX-Remote-User: joe\r\n\r\n")),
    "space in the path": without(":path", (":path", "PATH x")),
    "NUL in the path": without(":path", (":path", "PATH\0")),
    "fragment in the path": without(":path", (":path", "PATH#x")),
    "path without a slash": without(":path", (":path", "x")),
    "path that is empty": without(":path", (":path", "")),
    "no path": without(":path"),
    "two paths": block((":path", "/smuggled")),
    "CRLF in the method": without(":method", (":method", "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\nGET")),
    "space in the method": without(":method", (":method", "GET /smuggled")),
    "method that is empty": without(":method", (":method", "")),
    "no method": without(":method"),
    "no scheme": without(":scheme"),
    "scheme without TLS": without(":scheme", (":scheme", "http")),
    "CRLF in the authority": without(":authority", (":authority", "gate.test\r\nX-Remote-User: joe")),
    "authority with a slash": without(":authority", (":authority", "gate.test/smuggled")),
    "no authority": without(":authority"),
    "unknown pseudo header": block((":x", "a")),
    "pseudo header after others": without(":path", ("x", "a"), (":path", "PATH")),
    "status in a request": block((":status", "200")),
    "connection": block(("connection", "close")),
    "connection that names an identity header": block(("connection", "impersonate-user")),
    "proxy-connection": block(("proxy-connection", "keep-alive")),
    "keep-alive": block(("keep-alive", "timeout=5")),
    "transfer-encoding": block(("transfer-encoding", "chunked")),
    "upgrade": block(("upgrade", "websocket")),
    "upgrade to h2c": block(("upgrade", "h2c"), ("http2-settings", "AAMAAABkAARAAAAAAAIAAAAA")),
    "te": block(("te", "gzip")),
    "length that is no number": block(("content-length", "abc")),
    "length with a plus": block(("content-length", "+0")),
    "two lengths that differ": block(("content-length", "0"), ("content-length", "5")),
    "length of 2^64": block(("content-length", "18446744073709551616")),
    "length without a body": block(("content-length", "5")),
    "plain CONNECT": [(":method", "CONNECT"), (":authority", "gate.test:443")],
    "CONNECT with a path": block(method="CONNECT"),
    "two authorizations": block(("authorization", "Bearer a"), ("authorization", "Bearer b")),
    "underscore twin": block(("x_remote_user", "joe")),
}


def path_in(fields: list[Field], path: str) -> list[tuple[str | bytes, str | bytes]]:
    return [(name, value.replace("PATH", path) if isinstance(value, str) else value) for name, value in fields]


def still_fine(gate: Gate) -> None:
    """Honest requests get their own answers."""
    for number in range(2):
        target = f"/honest-{next(_numbers)}-{number}"
        assert gate.ask("h2", "GET", target).json["target"] == target


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused(gate: Gate, upstream: Upstream, name: str) -> None:
    path = f"/hostile-{next(_numbers)}"
    before = len(upstream.requests)
    with gate.h2() as client:
        client.ask("GET", "/before")
        stream = client.send_fields(path_in(REFUSED[name], path))
        try:
            status = client.head(stream).status
        except Refused:
            status = 0
    assert status in (0, 400, 405)
    assert len(upstream.requests) == before + 1
    assert b"joe" not in upstream.received()
    still_fine(gate)


PASSED_ON: dict[str, list[Field]] = {
    "nothing odd": block(),
    "te: trailers": block(("te", "trailers")),
    "the same host twice": block(("host", "gate.test")),
    "another host, which counts for nothing": block(("host", "other.test")),
    "host alone": without(":authority", ("host", "gate.test")),
    "length of nothing": block(("content-length", "0")),
    "value beyond ASCII": block(("x", "caf\u00e9".encode())),
    "cookie crumbs": block(("cookie", "a=1"), ("cookie", "b=2")),
    "tab in a value": block(("x", "a\tb")),
}


@pytest.mark.parametrize("name", PASSED_ON)
def test_the_honest_form_passes(gate: Gate, upstream: Upstream, name: str) -> None:
    path = f"/honest-form-{next(_numbers)}"
    with gate.h2() as client:
        assert client.answer(client.send_fields(path_in(PASSED_ON[name], path))).status == 200
    [arrived] = upstream.seen(path)
    assert arrived.values("host") == ["gate.test"]


@pytest.mark.parametrize("data", [b"", b"abc", b"abcdefgh" + SMUGGLED], ids=["none", "less", "more"])
def test_length_that_does_not_fit_the_data(gate: Gate, upstream: Upstream, data: bytes) -> None:
    path = f"/length-{next(_numbers)}"
    with gate.h2() as client:
        stream = client.start("POST", path, ("content-length", "5"), end=False)
        client.send(stream, data, end=True)
        with pytest.raises(Refused):
            assert client.head(stream).status in (400, 502)
            raise Refused
    assert not any(request.complete for request in upstream.seen(path))
    assert not upstream.seen("/smuggled")
    still_fine(gate)


def test_length_that_fits_the_data(gate: Gate, upstream: Upstream) -> None:
    assert gate.ask("h2", "POST", "/fits", ("content-length", "5"), body=b"abcde").status == 200
    assert upstream.seen("/fits")[0].body == b"abcde"


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def test_an_identity_header_in_a_continuation_is_seen(gate: Gate, upstream: Upstream) -> None:
    """HEADERS and CONTINUATION are one block."""
    path = f"/continued-{next(_numbers)}"
    with gate.h2() as client:
        stream = client.connection.get_next_available_stream_id()
        encoder = client.connection.encoder
        fields = [*path_in(block(), path), ("x-remote-user", "joe"), ("x-kept", "yes")]
        encoded = encoder.encode([(str(name), str(value)) for name, value in fields])
        client.wire.send(frame(1, 1, stream, encoded[:10]) + frame(9, 0, stream, encoded[10:20]))
        client.wire.send(frame(9, 4, stream, encoded[20:]))
        upstream.wait_for(path)
    [arrived] = upstream.seen(path)
    assert arrived.values("x-kept") == ["yes"]
    assert not arrived.values("x-remote-user")


@pytest.mark.parametrize(
    "hostile",
    [
        frame(9, 4, 1, b"\x82"),
        frame(1, 5, 1, b"\xff\xff\xff\xff\xff\xff\xff"),
        frame(1, 5, 2, b"\x82\x84\x87"),
        frame(0, 1, 1, b"abc"),
        frame(8, 0, 0, b"\0\0\0\0"),
        frame(4, 0, 0, b"\0\4\xff\xff\xff\xff"),
        frame(5, 4, 1, b"\0\0\0\2\x82"),
        frame(1, 1, 1, b"\x82") + frame(0, 1, 1, b"abc"),
        b"\xff\xff\xff\0\0\0\0\0\1",
    ],
    ids=[
        "CONTINUATION of nothing",
        "HPACK integer that overflows",
        "even stream",
        "DATA on an idle stream",
        "window update of nothing",
        "window beyond its limit",
        "PUSH_PROMISE of a client",
        "DATA within a block",
        "frame larger than allowed",
    ],
)
def test_frames_out_of_place_end_the_connection_and_no_other(gate: Gate, upstream: Upstream, hostile: bytes) -> None:
    before = len(upstream.requests)
    with gate.h2() as client, gate.h2() as other:
        assert other.ask().status == 200
        client.wire.send(hostile)
        assert client.wire.receive_rest() is not None
        assert other.ask().status == 200
    assert len(upstream.requests) == before + 2


def test_a_flood_of_malformed_requests_ends_the_connection_that_sends_it(gate: Gate, upstream: Upstream) -> None:
    with gate.h2() as client, gate.h2() as other:
        sent = 0
        while not client.over and sent < 2000:
            with contextlib.suppress(Refused, OSError):
                client.head(client.send_fields(path_in(REFUSED["upper case in a name"], "/malformed")))
            sent += 1
        assert sent <= 1100
        assert other.ask().status == 200
    assert not upstream.seen("/malformed")


def test_a_connection_has_room_for_250_streams_at_once(gate: Gate) -> None:
    with gate.h2() as client:
        assert client.ask().status == 200
        assert client.connection.remote_settings.max_concurrent_streams == 250


def test_a_flood_of_resets_ends_the_connection_that_sends_it() -> None:
    """CVE-2023-44487: after so many streams the connection is over; others are served meanwhile."""
    with Upstream() as upstream, Gate(plan(upstream.endpoint)) as gate, gate.h2() as client, gate.h2() as other:
        served, sent = [], 0
        try:
            while sent < 20_000:
                burst = b""
                for _ in range(200):
                    stream = 2 * sent + 1
                    encoded = client.connection.encoder.encode([(str(n), str(v)) for n, v in path_in(block(), "/flood")])
                    burst += frame(1, 5, stream, encoded) + frame(3, 0, stream, struct.pack(">I", 8))
                    sent += 1
                client.wire.send(burst)
                served.append(other.ask().status)
        except OSError:
            pass
        assert set(served) == {200}
        assert sent < 12_000
        assert len(upstream.seen("/flood")) <= 10_000
