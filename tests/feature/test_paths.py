"""Paths and queries arrive byte for byte: this gate decides nothing by path, so it refuses and changes none."""

import string
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import rawh2, rawhttp
from tests.support.gate import Gate
from tests.support.rawhttp import request
from tests.support.upstream import Upstream

pytestmark = pytest.mark.haproxy

PODS = "/api/v1/namespaces/default/pods"
TARGETS = [
    "/",
    "//",
    "/api/v1/namespaces/default/services/https:web:443/proxy/a%2Fb",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node",
    f"{PODS}/x/proxy/../../../secrets",
    f"{PODS}/x/proxy/./a//b/..",
    f"{PODS}/x/proxy/a;b=c;d",
    f"{PODS}/x/proxy/%2e%2e/%2E%2E%2fsecrets",
    f"{PODS}/x/proxy/100%25",
    f"{PODS}/x/proxy/%",
    f"{PODS}/x/proxy/%zz%1",
    f"{PODS}/x/proxy/%00%0d%0a",
    f"{PODS}/x/proxy/caf%C3%A9%FF",
    f'{PODS}/x/proxy/a\\b|c^d`e{{f}}g<h>i"j',
    f"{PODS}/x/proxy/?",
    f"{PODS}/x/proxy/??a=?&&=&b#"[:-1],
    f"{PODS}?labelSelector=app%20in%20%28a%2Cb%29&fieldSelector=metadata.name%3Dx",
    f"{PODS}?labelSelector=a=b,c!=d&limit=500",
    f"{PODS}?a=1;b=2&c=%",
    f"{PODS}/x/exec?command=sh&command=-c&command=echo+%24HOME+%26%26+ls",
    "/api/v1/namespaces/default//pods/",
    "/api/v1/./pods",
    "/%61pi/v1/%73ecrets",
    "/apis/x/v1/watch?watch=%74rue",
    "/" + "a/" * 2000,
    "/~'()*!$&+,=:@-._",
]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target[:60])
def test_odd_targets_arrive_as_they_are(gate: Gate, upstream: Upstream, version: str, target: str) -> None:
    before = len(upstream.requests)
    assert gate.ask(version, "GET", target).json["target"] == target
    assert [arrived.target for arrived in upstream.requests[before:]] == [target]


@dataclass
class Lines:
    """A connection of each version that stays open."""

    h1: rawhttp.Client
    h2: rawh2.Client


@pytest.fixture(scope="module")
def lines(gate: Gate) -> Iterator[Lines]:
    with gate.h1() as h1, gate.h2() as h2:
        yield Lines(h1, h2)


# What HTTP allows in a target, and what HAProxy takes besides: all of ASCII that can be printed, but not the fragment's mark.
PRINTABLE = string.ascii_letters + string.digits + "".join(sorted(set(string.punctuation) - {"#"}))
PIECES = ["/", "//", "..", ".", ";", "?", "&", "%2F", "%2f", "%25", "%3A", "%", "watch", "=", "proxy", "exec", "api", "\\"]
pieces = st.lists(st.one_of(st.sampled_from(PIECES), st.text(PRINTABLE, max_size=3)))
targets = st.one_of(st.text(PRINTABLE, max_size=80), pieces.map("".join)).map("/".__add__)


@settings(max_examples=250, deadline=None)
@given(target=targets)
def test_every_target_arrives_as_it_is(lines: Lines, target: str) -> None:
    assert lines.h1.ask(request("GET", target)).json["target"] == target
    assert lines.h2.ask("GET", target).json["target"] == target
