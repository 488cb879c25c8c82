"""The judge beside the real `kubectl proxy`: the same flags, the same requests, the same verdicts, but for what is listed here.

Deliberately different: a host in another form of the same host (`[::1]:8001`, case, a dot at its end) is accepted; a path that is
not clean is not redirected but has to pass in both readings.
"""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubegate.model.request_path import BadPath, clean_path, decode_path
from kubegate.proxy.host import forms, without_port
from kubegate.proxy.judge import Judge
from kubegate.proxy.patterns import check_patterns
from tests.support.filter_lists import with_lists
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


class Pair:
    """kubectl's proxy, and a judge with the same lists."""

    def __init__(self, proxy: KubectlProxy, lists: dict[str, str]) -> None:
        self.proxy = proxy
        self.judge = Judge(with_lists(**lists))


@pytest.fixture(scope="module")
def plain() -> Iterator[Upstream]:
    with Upstream(leaf=None) as upstream:
        yield upstream


@pytest.fixture(scope="module", params=SETS, ids=str)
def pair(request: pytest.FixtureRequest, plain: Upstream) -> Iterator[Pair]:
    lists = SETS[request.param]
    with KubectlProxy(plain, *(f"--{name.replace('_', '-')}={value}" for name, value in lists.items())) as proxy:
        yield Pair(proxy, lists)


METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "XGET"]
HOSTS = ["localhost", "127.0.0.1", "[::1]", "a.corp", "evil.com", "LOCALHOST", "aXb", "x"]
PIECES = [
    *("/api/v1", "/apis/apps/v1", "/api", "/ui", "/pods", "/p", "/exec", "/attach", "/x", "/namespaces/d", "//", "/.", "/.."),
    *(
        "%2F",
        "%2e",
        "%65xec",
        "%ff",
        "%e2%82",
        "%C3%A9",
        "%0a",
        "%00",
        "%",
        "%zz",
        "%25",
        "a",
        "b",
        "x",
        "1",
        ";",
        "\\",
        "/",
        "é",
        "\xff",
    ),
]
paths = st.lists(st.sampled_from(PIECES), max_size=8).map("".join).map(lambda path: path if path.startswith("/") else f"/{path}")
hosts = st.tuples(st.sampled_from(HOSTS), st.sampled_from(["", ".", ":80", ":", ":x", ".:80"])).map("".join)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(method=st.sampled_from(METHODS), host=hosts, path=paths)
def test_the_judge_decides_as_kubectl_does(pair: Pair, method: str, host: str, path: str) -> None:
    raw = path.encode("latin-1")
    answer = pair.proxy.once(request(method, path, "Connection: close", host=host))
    verdict = pair.judge.verdict(method, host, raw, b"")
    if answer.status == 400:
        assert verdict.status == 400 or not _is_valid(raw)
    elif answer.status in (301, 307):
        # Where it would have gone, but for an escape that kubectl's redirect encodes once more, the judge has looked as well.
        assert clean_path(raw) != raw or _is_unclean(raw)
        if verdict.allowed:
            assert pair.judge.verdict(method, host, clean_path(raw), b"").allowed
    elif answer.status == 200:
        assert verdict.allowed or _is_unclean(raw)
    else:
        assert answer.status == 403
        assert not verdict.allowed or forms(host.encode()) != (without_port(host.encode()),)


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
