"""The judge beside the real `kubectl proxy`: the same flags, the same requests, the same verdicts, but for what is listed here.

Deliberately different: a host in another form of the same host (`[::1]:8001`, case, a dot at its end) is accepted; a path that is
not clean is not redirected but has to pass in both readings; the root is rejected by patterns that fit `/` too.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from kubegate.model.problem import InvalidInput
from kubegate.model.request_path import BadPath, clean_path, decode_path
from kubegate.proxy.host import forms, without_port
from kubegate.proxy.judge import Judge, Verdict
from kubegate.proxy.patterns import check_patterns, split
from tests.support.filter_lists import with_lists
from tests.support.generated import Request, pattern_lists, requests
from tests.support.kubectl_proxy import KubectlProxy, run
from tests.support.rawhttp import request
from tests.support.upstream import Upstream

SETS: dict[str, dict[str, str]] = {
    "default": {},
    "sequences": {
        "accept_hosts": "^localhost$,corp$,^a.*b",
        "accept_paths": "^/api/.*,/exec$,^/ui$,a.*b",
        "reject_paths": "b$,é",
    },
    "re2": {
        "accept_hosts": "(?i)^(localhost|.*[.]corp)$",
        "reject_paths": r"/(exec|attach)$,[^/a-z.]{2},\x{fffd}",
        "reject_methods": "^P",
    },
    "odd": {"accept_paths": r"^/\pL+$,\bapi\b,\Bx", "reject_paths": "(?s)a.b,^$", "accept_hosts": ".*", "reject_methods": "X|^$"},
    "empty-accept": {"accept_paths": ""},
    "empty-reject": {"reject_paths": "", "reject_methods": ""},
    "count": {"accept_paths": "^/a,", "reject_paths": "x{2}"},
}


@dataclass
class Pair:
    """kubectl's proxy, and a judge with the same lists."""

    proxy: KubectlProxy
    judge: Judge

    def decide_alike(self, one: Request) -> None:
        """Ask both, and compare."""
        raw, host = one.path.encode("latin-1"), one.host.encode("latin-1")
        answer = self.proxy.once(request(one.method, one.path, "Connection: close", host=one.host))
        verdict = self._verdict(one.method, host, raw)
        if answer.status == 400:
            # Go refuses some Host headers besides.
            assert verdict.status == 400 or not _is_valid(raw) or not host.isascii()
        elif answer.status in (301, 307):
            # Where it would have gone, but for an escape that kubectl's redirect encodes once more, the judge has looked as well.
            assert clean_path(raw) != raw or _is_unclean(raw)
            if verdict.allowed:
                assert self._verdict(one.method, host, clean_path(raw)).allowed
        elif answer.status == 200:
            assert verdict.allowed or _is_unclean(raw) or raw == b"/", (one, verdict)
        else:
            assert answer.status == 403
            assert not verdict.allowed or forms(host) != (without_port(host),), (one, verdict)

    def _verdict(self, method: str, host: bytes, path: bytes) -> Verdict:
        return self.judge.verdict(method, host.decode(errors="surrogateescape"), path, b"")


@pytest.fixture(scope="module")
def plain() -> Iterator[Upstream]:
    with Upstream(leaf=None) as upstream:
        yield upstream


@pytest.fixture(scope="module", params=SETS, ids=str)
def pair(request: pytest.FixtureRequest, plain: Upstream) -> Iterator[Pair]:
    lists = SETS[request.param]
    with running(plain, lists) as proxy:
        yield Pair(proxy, Judge(with_lists(**lists)))


def running(upstream: Upstream, lists: dict[str, str]) -> KubectlProxy:
    """kubectl's proxy with these lists."""
    return KubectlProxy(upstream, *(f"--{name.replace('_', '-')}={value}" for name, value in lists.items()))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one=requests)
def test_the_judge_decides_as_kubectl_does(pair: Pair, one: Request) -> None:
    pair.decide_alike(one)


# Each example starts a process: a failure is shown as it was found.
@settings(max_examples=10, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_judge_decides_as_kubectl_does_whatever_the_lists_are(plain: Upstream, data: st.DataObject) -> None:
    lists = {
        "accept_hosts": data.draw(pattern_lists("^localhost$", ".*")),
        "accept_paths": data.draw(pattern_lists("^.*", "^/api,/ui$")),
        "reject_paths": data.draw(pattern_lists("", "exec")),
        "reject_methods": data.draw(pattern_lists("", "^P")),
    }
    asked = data.draw(st.lists(requests, min_size=20, max_size=20))
    # Where a comma belongs to a pattern here, kubectl has another list.
    assume(all(list(split(value)) == value.split(",") for value in lists.values()))
    try:
        judge = Judge(with_lists(**lists))
    except InvalidInput:
        assume(False)
    with running(plain, lists) as proxy:
        for one in asked:
            Pair(proxy, judge).decide_alike(one)


def _is_unclean(raw: bytes) -> bool:
    return clean_path(decode_path(raw)) != decode_path(raw)


def _is_valid(raw: bytes) -> bool:
    try:
        decode_path(raw)
    except BadPath:
        return False
    return True


def test_one_host_in_another_form_is_the_only_reason_to_accept_more(pair: Pair) -> None:
    for host in ("localhost", "127.0.0.1", "evil.com", "localhost:8001", "localhost.evil.com", "aXb", ""):
        answer = pair.proxy.once(request("GET", "/api/v1/pods", "Connection: close", host=host))
        assert (answer.status == 200) is pair.judge.verdict("GET", host, b"/api/v1/pods", b"").allowed


@pytest.mark.parametrize("host", ["[::1]:8001", "LOCALHOST:8001", "localhost."])
def test_kubectl_refuses_forms_of_a_local_host_that_are_accepted_here(plain: Upstream, host: str) -> None:
    with KubectlProxy(plain) as proxy:
        assert proxy.once(request("GET", "/api", "Connection: close", host=host)).status == 403
    assert Judge(with_lists()).verdict("GET", host, b"/api", b"").allowed


@pytest.mark.parametrize(
    "pattern",
    ["[", "^(?!/api)", r"\C", r"a\Z", "a**", "x{1001}", "(?P<é>x)", "(a", "a)", r"\8", "[z-a]", "\\"],
)
def test_kubectl_refuses_the_same_patterns(pattern: str) -> None:
    done = run(f"--accept-paths={pattern}")
    assert done.returncode == 255
    assert "error parsing regexp" in done.stderr
    assert check_patterns("--accept-paths", [pattern])


def test_kubectl_tears_a_count_in_two_and_here_it_stays_one_pattern(plain: Upstream) -> None:
    with KubectlProxy(plain, "--accept-paths=^/a{1,3}$") as proxy:
        assert proxy.once(request("GET", "/aa", "Connection: close", host="localhost")).status == 403
    assert Judge(with_lists(accept_paths="^/a{1,3}$")).verdict("GET", "localhost", b"/aa", b"").allowed
