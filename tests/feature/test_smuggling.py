"""Requests whose end can be read in two ways (HTTP/1) are refused, or go on as the one request that HAProxy saw, framed anew.

After each of them an honest request on a reused connection gets its own answer: nothing is left behind in the pool.
"""

import itertools

import pytest

from tests.support.gate import Gate
from tests.support.rawhttp import NoAnswer, request
from tests.support.upstream import Request, Upstream

pytestmark = pytest.mark.haproxy

_numbers = itertools.count()
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: gate.test\r\nX-Remote-User: joe\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked"


def attack(gate: Gate, upstream: Upstream, data: bytes) -> tuple[list[int], list[Request]]:
    """Send bytes in which PATH stands for a path of their own; the statuses that came back and the requests that arrived."""
    path = f"/attack-{next(_numbers)}"
    statuses = []
    with gate.h1() as client:
        assert client.ask(request("GET", "/before")).status == 200
        client.wire.send(data.replace(b"PATH", path.encode()))
        client.wire.end()
        try:
            while True:
                statuses.append(client.answer(bodiless=data.startswith(b"HEAD")).status)
        except NoAnswer:
            pass
    for number in range(3):
        honest = f"{path}-honest-{number}"
        assert gate.once(request("GET", honest)).json["target"] == honest
    arrived = [seen for seen in upstream.seen(path) if "honest" not in seen.path]
    assert not upstream.seen("/smuggled")
    return statuses, arrived


def post(*lines: bytes, body: bytes = b"", method: bytes = b"POST", version: bytes = b"HTTP/1.1") -> bytes:
    return b"\r\n".join([method + b" PATH " + version, b"Host: gate.test", *lines, b"", b""]) + body


REFUSED = {
    "two lengths that differ": post(b"Content-Length: 0", b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED),
    "list of lengths that differ": post(b"Content-Length: 0, %d" % len(SMUGGLED), body=SMUGGLED),
    "length with a plus": post(b"Content-Length: +5", body=b"abcde"),
    "length with a minus": post(b"Content-Length: -1", body=b"abcde"),
    "length in hexadecimal": post(b"Content-Length: 0x5", body=b"abcde"),
    "length that is empty": post(b"Content-Length:", body=SMUGGLED),
    "length that is empty, and one": post(b"Content-Length:", b"Content-Length: 5", body=b"abcde"),
    "length with words": post(b"Content-Length: 5 5", body=b"abcde"),
    "length with a fraction": post(b"Content-Length: 5.0", body=b"abcde"),
    "length of 2^63": post(b"Content-Length: 9223372036854775808", body=b"a"),
    "length of 2^64": post(b"Content-Length: 18446744073709551616", body=SMUGGLED),
    "length of 2^64 and a bit": post(b"Content-Length: 18446744073709551617", body=b"a" + SMUGGLED),
    "length of 2^65": post(b"Content-Length: 36893488147419103233", body=b"a" + SMUGGLED),
    "length with a trailing comma": post(b"Content-Length: 5,", body=b"abcde"),
    "space before the colon of the length": post(b"Content-Length : 5", body=b"abcde"),
    "encoding that is unknown": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n" + SMUGGLED),
    "encoding that is identity": post(b"Transfer-Encoding: identity", body=SMUGGLED),
    "encoding that is gzip": post(b"Transfer-Encoding: gzip", body=SMUGGLED),
    "encoding where chunked is not last": post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n" + SMUGGLED),
    "encoding where gzip comes first": post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "encoding twice in one": post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n" + SMUGGLED),
    "encoding twice": post(CHUNKED, CHUNKED, body=b"0\r\n\r\n" + SMUGGLED),
    "encoding in quotes": post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n" + SMUGGLED),
    "encoding with a parameter": post(b"Transfer-Encoding: chunked;q=1", body=b"0\r\n\r\n" + SMUGGLED),
    "encoding that is empty": post(b"Transfer-Encoding:", body=SMUGGLED),
    "encoding after a vertical tab": post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n" + SMUGGLED),
    "encoding after a NUL": post(b"Transfer-Encoding: \x00chunked", body=b"0\r\n\r\n" + SMUGGLED),
    "encoding before a bare CR": post(b"Transfer-Encoding: chunked\rx", body=b"0\r\n\r\n" + SMUGGLED),
    "space before the colon of the encoding": post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n" + SMUGGLED),
    "tab before the colon of the encoding": post(b"Transfer-Encoding\t: chunked", body=b"0\r\n\r\n" + SMUGGLED),
    "encoding in HTTP/1.0": post(CHUNKED, version=b"HTTP/1.0", body=b"0\r\n\r\n" + SMUGGLED),
    "encoding in HTTP/1.0 with GET": post(CHUNKED, method=b"GET", version=b"HTTP/1.0", body=b"0\r\n\r\n" + SMUGGLED),
    "space before the first header": b"POST PATH HTTP/1.1\r\n Host: gate.test\r\nContent-Length: 0\r\n\r\n",
    "header without a colon": post(b"Content-Length 5", body=b"abcde"),
    "header without a name": post(b": 5"),
    "header without a name, first": b"GET PATH HTTP/1.1\r\n: x\r\nHost: gate.test\r\n\r\n",
    "name of 273 bytes": post(b"a" * 273 + b": x", b"Content-Length: 0"),
    "name of 273 bytes, and a length": post(b"Content-Length" + b"0" * 259 + b":", b"Content-Length: 60", body=SMUGGLED),
    "name with a NUL": post(b"a\x00b: x"),
    "name with a space": post(b"X-Remote User: x"),
    "name beyond ASCII": post(b"X-R\xe9mote: x"),
    "value with a NUL": post(b"a: x\x00y"),
    "value with a bare CR": post(b"a: x\rX-Remote-User: joe"),
    "bare CR at the end of a line": b"GET PATH HTTP/1.1\rHost: gate.test\r\n\r\n",
    "two hosts": post(b"Host: other.test"),
    "URL that names another host": b"GET https://other.testPATH HTTP/1.1\r\nHost: gate.test\r\n\r\n",
    "fragment": b"GET PATH#/smuggled HTTP/1.1\r\nHost: gate.test\r\n\r\n",
    "space in the target": b"GET PATH /smuggled HTTP/1.1\r\nHost: gate.test\r\n\r\n",
    "NUL in the target": b"GET PATH\x00 HTTP/1.1\r\nHost: gate.test\r\n\r\n",
    "version of another protocol": b"GET PATH RTSP/1.0\r\nHost: gate.test\r\n\r\n",
    "version 1.2": b"GET PATH HTTP/1.2\r\nHost: gate.test\r\n\r\n",
    "version 3.0": b"GET PATH HTTP/3.0\r\nHost: gate.test\r\n\r\n",
    "version 0.9": b"GET PATH HTTP/0.9\r\nHost: gate.test\r\n\r\n",
    "encoding in HTTP/0.9": post(CHUNKED, version=b"HTTP/0.9", body=b"0\r\n\r\n" + SMUGGLED),
    "no version": b"GET PATH\r\nHost: gate.test\r\n\r\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused(gate: Gate, upstream: Upstream, name: str) -> None:
    statuses, arrived = attack(gate, upstream, REFUSED[name])
    assert len(statuses) == 1
    assert statuses[0] in (400, 413, 422)
    assert not arrived


BAD_CHUNKS = {
    "size that overflows": b"10000000000000005\r\nabcde\r\n0\r\n\r\n",
    "size that is negative": b"-5\r\nabcde\r\n0\r\n\r\n",
    "size with a plus": b"+5\r\nabcde\r\n0\r\n\r\n",
    "size with 0x": b"0x5\r\nabcde\r\n0\r\n\r\n",
    "size that is empty": b"\r\nabcde\r\n0\r\n\r\n",
    "size with a space before": b" 5\r\nabcde\r\n0\r\n\r\n",
    "bare LF after the size": b"5\nabcde\r\n0\r\n\r\n",
    "bare CR after the size": b"5\rabcde\r\n0\r\n\r\n",
    "bare LF after the data": b"5\r\nabcde\n0\r\n\r\n",
    "data longer than its size": b"3\r\nabcde\r\n0\r\n\r\n",
    "bare CR in an extension": b"5;a\rb\r\nabcde\r\n0\r\n\r\n",
    "bare LF in an extension": b"5;a\nabcde\r\n0\r\n\r\n",
    "trailer with a bare CR": b"5\r\nabcde\r\n0\r\nX: a\rb\r\n\r\n",
    "trailer without a colon": b"5\r\nabcde\r\n0\r\nX\r\n\r\n",
    "end that never comes": b"5\r\nabcde\r\n",
}


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_bad_chunks_never_make_a_whole_request(gate: Gate, upstream: Upstream, name: str) -> None:
    """The head may have gone on by the time the fault is seen; the API server then sees a request that breaks off."""
    statuses, arrived = attack(gate, upstream, post(CHUNKED, body=BAD_CHUNKS[name] + SMUGGLED))
    assert statuses in ([], [400])
    assert not any(request.complete for request in arrived)


PASSED_ON = {
    "length twice alike": (post(b"Content-Length: 5", b"Content-Length: 5", body=b"abcde"), b"abcde"),
    "length twice alike in one": (post(b"Content-Length: 5, 5", body=b"abcde"), b"abcde"),
    "length with zeros": (post(b"Content-Length: 005", body=b"abcde"), b"abcde"),
    "encoding in capitals": (post(b"TRANSFER-ENCODING: CHUNKED", body=b"5\r\nabcde\r\n0\r\n\r\n"), b"abcde"),
    "chunk extension": (post(CHUNKED, body=b'5;a="b"\r\nabcde\r\n0\r\n\r\n'), b"abcde"),
    "chunk size with zeros": (post(CHUNKED, body=b"0005\r\nabcde\r\n000\r\n\r\n"), b"abcde"),
    "trailer": (post(CHUNKED, b"Trailer: x", body=b"5\r\nabcde\r\n0\r\nX: y\r\n\r\n"), b"abcde"),
    "many chunks": (post(CHUNKED, body=b"1\r\na\r\n4\r\nbcde\r\n0\r\n\r\n"), b"abcde"),
    "a request as a body": (post(b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED), SMUGGLED),
    "name of 200 bytes": (post(b"a" * 200 + b": x"), b""),
    "the URL in full": (b"GET https://gate.testPATH HTTP/1.1\r\nHost: gate.test\r\n\r\n", b""),
    "HTTP/1.0 with a length": (post(b"Content-Length: 5", version=b"HTTP/1.0", body=b"abcde"), b"abcde"),
}


@pytest.mark.parametrize("name", PASSED_ON)
def test_the_honest_form_passes_as_one_request(gate: Gate, upstream: Upstream, name: str) -> None:
    data, body = PASSED_ON[name]
    statuses, arrived = attack(gate, upstream, data)
    assert statuses == [200]
    assert [request.body for request in arrived] == [body]
    assert one_framing(arrived[0])


def one_framing(request: Request) -> bool:
    """Whether a request says in one way only where it ends."""
    return len(request.values("content-length") + request.values("transfer-encoding")) <= 1


@pytest.mark.parametrize("order", ["length first", "encoding first"])
def test_length_beside_an_encoding_is_dropped_and_so_is_what_follows(gate: Gate, upstream: Upstream, order: str) -> None:
    body = b"5\r\nabcde\r\n0\r\n\r\n" + SMUGGLED
    lines = [b"Content-Length: %d" % len(body), CHUNKED]
    statuses, arrived = attack(gate, upstream, post(*(lines if order == "length first" else lines[::-1]), body=body))
    assert statuses == [200]
    assert [request.body for request in arrived] == [b"abcde"]
    assert arrived[0].values("transfer-encoding") == ["chunked"]
    assert not arrived[0].values("content-length")


def test_short_length_beside_an_encoding_hides_nothing(gate: Gate, upstream: Upstream) -> None:
    """TE.CL: a server that believed the length would take the chunk's data for a second request."""
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
    statuses, arrived = attack(gate, upstream, post(b"Content-Length: 4", CHUNKED, body=body))
    assert statuses == [200]
    assert [request.body for request in arrived] == [SMUGGLED]
    assert one_framing(arrived[0])


@pytest.mark.parametrize("length", [b"Content-Length: abc", b"Content-Length: 5\r\nContent-Length: 6"], ids=["bad", "two"])
def test_bad_length_beside_an_encoding_does_no_harm(gate: Gate, upstream: Upstream, length: bytes) -> None:
    statuses, arrived = attack(gate, upstream, post(length, CHUNKED, body=b"5\r\nabcde\r\n0\r\n\r\n" + SMUGGLED))
    assert statuses in ([200], [400])
    assert all(request.body == b"abcde" and one_framing(request) for request in arrived)


@pytest.mark.parametrize(
    "data",
    [
        b"GET PATH HTTP/1.1\nHost: gate.test\nX-Remote-User: joe\nFoo: bar\n\n",
        b"GET PATH HTTP/1.1\r\nHost: gate.test\nX-Remote-User: joe\r\nFoo: bar\r\n\n",
        b"\r\nGET PATH HTTP/1.1\r\nHost: gate.test\r\nX-Remote-User: joe\r\nFoo: bar\r\n\r\n",
    ],
    ids=["LF only", "LF here and there", "empty line first"],
)
def test_lines_that_end_in_lf_arrive_normalised(gate: Gate, upstream: Upstream, data: bytes) -> None:
    statuses, arrived = attack(gate, upstream, data)
    assert statuses == [200]
    [request] = arrived
    assert b"\n" not in request.head.replace(b"\r\n", b"")
    assert sorted(request.headers) == [("foo", "bar"), ("host", "gate.test"), ("x-forwarded-for", "127.0.0.1")]


@pytest.mark.parametrize("fold", [b"\r\n ", b"\r\n\t", b"\n ", b"\r\n \r\n "])
def test_folded_lines_arrive_as_one(gate: Gate, upstream: Upstream, fold: bytes) -> None:
    statuses, arrived = attack(gate, upstream, post(b"Foo: bar" + fold + b"X-Remote-User: joe", method=b"GET"))
    assert statuses == [200]
    [request] = arrived
    [value] = request.values("foo")
    assert value.split() == ["bar", "X-Remote-User:", "joe"]
    assert not request.values("x-remote-user")
    assert b"\r\n " not in request.head
    assert b"\r\n\t" not in request.head


def test_folded_encoding_is_seen_as_what_it_is(gate: Gate, upstream: Upstream) -> None:
    statuses, arrived = attack(gate, upstream, post(b"Transfer-Encoding:\r\n chunked", body=b"5\r\nabcde\r\n0\r\n\r\n"))
    assert statuses in ([200], [400])
    assert all(request.body == b"abcde" and one_framing(request) for request in arrived)


def test_answers_of_pipelined_requests_come_in_order(gate: Gate) -> None:
    targets = [f"/pipelined-{number}" for number in range(20)]
    with gate.h1() as client:
        client.wire.send(b"".join(request("GET", target) for target in targets))
        assert [client.answer().json["target"] for _ in targets] == targets


def test_head_answers_leave_nothing_behind(gate: Gate, upstream: Upstream) -> None:
    statuses, arrived = attack(gate, upstream, b"HEAD PATH HTTP/1.1\r\nHost: gate.test\r\n\r\n")
    assert statuses == [200]
    assert len(arrived) == 1
