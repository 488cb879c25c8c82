"""Requests to `kubegate proxy` that are made to get further than they may, or to be somebody else."""

from collections.abc import Iterator, Mapping

import pytest

from tests.support.expose import home, kubeconfig
from tests.support.proxy import WEBSOCKET, Proxying, proxying
from tests.support.rawhttp import request
from tests.support.upstream import Upstream

pytestmark = pytest.mark.haproxy
PATH = "/api/v1/hostile"


@pytest.fixture(scope="module")
def proxy(upstream: Upstream) -> Iterator[Proxying]:
    with home() as person:
        file = kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}")
        with proxying("--kubeconfig", str(file), "--port=0", home=person) as running:
            yield running


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Impersonate_User: root", 400),
        ("Impersonate-Extra_scopes: a", 403),
        ("X_Remote_User: root", 400),
        ("impersonate-user: root", 403),
        ("Impersonate-Uid: 1", 403),
        ("Impersonate-Extra-Scopes: a", 403),
        ("AUTHORIZATION: Bearer own", 403),
        ("Authorization:", 403),
        ("Connection: close, Authorization", 400),
        ("Connection: x-remote-user", 400),
        ("HTTP2-Settings: AAMAAABkAAQAAP__", 400),
        ("Content-Length: 18446744073709551616", 400),
        ("X-Large: " + "x" * 37_000, 431),
        ("Origin: http://127.0.0.1:PORT.evil.example", 403),
        ("Origin: http://127.0.0.1:PORT/", 403),
        ("Origin: file://", 403),
        ("Origin:", 403),
        ("Sec-Fetch-Site: same-origin, cross-site", 403),
    ],
)
def test_refused(proxy: Proxying, upstream: Upstream, header: str, status: int) -> None:
    path = f"{PATH}/{abs(hash(header))}"
    assert proxy.ask(path, header.replace("PORT", str(proxy.port))).status == status
    assert upstream.seen(path) == []


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_a_target_that_is_no_path(proxy: Proxying, upstream: Upstream, method: str) -> None:
    before = len(upstream.requests)
    assert proxy.ask("*", method=method).status == 400
    assert len(upstream.requests) == before


@pytest.mark.parametrize(
    "header", ["X-Remote-User: root", "X-Remote-Group: system:masters", "X-Real-Ip: 192.0.2.1", "Forwarded: for=1"]
)
def test_removed(proxy: Proxying, upstream: Upstream, header: str) -> None:
    path = f"{PATH}/removed/{header.split(':')[0]}"
    assert proxy.ask(path, header).status == 200
    assert upstream.seen(path)[0].values(header.split(":")[0].lower()) == []


def test_what_one_request_may_the_next_on_its_connection_need_not(proxy: Proxying, upstream: Upstream) -> None:
    names = ("User-Agent: a", "Accept: b")
    with proxy.dial() as client:
        for _ in range(2):
            assert client.ask(request("GET", f"{PATH}/first", *names, host="localhost")).status == 200
        assert client.ask(request("GET", f"{PATH}/second", *names, host="evil.example")).status == 403
    for target in ("/api/v1/namespaces/d/pods/p/exec", "/api/v1/namespaces/d/pods/p%2Fexec"):
        with proxy.dial() as client:
            assert client.ask(request("GET", f"{PATH}/first", *names, host="localhost")).status == 200
            assert client.ask(request("GET", target, *names, host="localhost")).status == 403
    for more in ("Origin: http://evil.example", "Impersonate-User: root", "Authorization: Bearer own"):
        with proxy.dial() as client:
            assert client.ask(request("GET", f"{PATH}/first", *names, host="localhost")).status == 200
            assert client.ask(request("GET", f"{PATH}/third", *names, more, host="localhost")).status == 403
    assert upstream.seen(f"{PATH}/second") == upstream.seen(f"{PATH}/third") == []


def test_an_origin_that_was_let_in_does_not_let_others_in(proxy: Proxying) -> None:
    with proxy.dial() as client:
        own = f"Origin: http://127.0.0.1:{proxy.port}"
        assert client.ask(request("GET", PATH, "User-Agent: a", own, host="localhost")).status == 200
        assert client.ask(request("GET", PATH, "User-Agent: a", "Origin: http://evil.example", host="localhost")).status == 403


@pytest.mark.parametrize("flags", [("--disable-filter",), ("--accept-hosts=.*",), ("--accept-hosts=.*", "--reject-paths=")])
def test_flags_that_open_the_filters_do_not_open_it_to_pages(upstream: Upstream, flags: tuple[str, ...]) -> None:
    with home() as person:
        file = kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}")
        with proxying("--kubeconfig", str(file), "--port=0", *flags, home=person) as proxy:
            assert proxy.ask(PATH, host="evil.example").status == 200
            # As after a name of its own was made to lead here.
            same = f"Origin: http://evil.example:{proxy.port}"
            assert proxy.ask(PATH, same, method="POST", host=f"evil.example:{proxy.port}").status == 403
            assert proxy.ask("/api/v1/namespaces/d/pods/p/exec", *WEBSOCKET, "Origin: null").status == 403
            # A page reads what is of its own origin without saying so.
            browser = ("User-Agent: Mozilla/5.0", "Accept-Language: en")
            with proxy.dial() as client:
                for host in ("localhost", f"LOCALHOST:{proxy.port}", "192.0.2.1:80", "[::1]:80"):
                    assert client.ask(request("GET", PATH, *browser, host=host)).status == 200
                assert client.ask(request("GET", PATH, *browser, host=f"evil.example:{proxy.port}")).status == 403


class TestAllowed:
    """Flags that let more in."""

    def ask(
        self,
        upstream: Upstream,
        flags: tuple[str, ...],
        *headers: str,
        path: str = PATH,
        host: str = "",
        user: Mapping[str, object] | None = None,
    ) -> int:
        with home() as person:
            file = kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}", user=user)
            with proxying("--kubeconfig", str(file), "--port=0", *flags, home=person) as proxy:
                return proxy.ask(path, *headers, host=host).status

    def test_an_origin(self, upstream: Upstream) -> None:
        flags = ("--allow-origin=http://LOCALHOST:3000", "--allow-origin=https://a.example")
        assert self.ask(upstream, flags, "Origin: http://localhost:3000", "Sec-Fetch-Site: same-site") == 200
        assert self.ask(upstream, flags, "Origin: http://localhost:3001") == 403

    def test_a_name_that_browsers_use(self, upstream: Upstream) -> None:
        for flags, status in (
            (("--accept-hosts=^proxy\\.example$",), 200),
            (("--accept-hosts=example", "--allow-origin=http://proxy.example:8001"), 200),
            (("--accept-hosts=example",), 403),
        ):
            assert self.ask(upstream, flags, "Accept-Language: en", host="proxy.example:8001") == status

    def test_an_authorization(self, upstream: Upstream) -> None:
        path = f"{PATH}/own-authorization"
        assert self.ask(upstream, ("--pass-authorization",), "Authorization: Bearer own", path=path) == 200
        assert upstream.seen(path)[-1].values("authorization") == ["Bearer own"]
        assert self.ask(upstream, ("--pass-authorization",), path=path) == 200
        assert upstream.seen(path)[-1].values("authorization") == ["Bearer token-of-the-person"]

    def test_impersonation_takes_the_place_of_the_kubeconfigs(self, upstream: Upstream) -> None:
        path = f"{PATH}/own-impersonation"
        user = {"token": "t", "as": "jane", "as-groups": ["dev"]}
        assert self.ask(upstream, ("--pass-impersonation",), "Impersonate-User: joe", path=path, user=user) == 200
        seen = upstream.seen(path)[-1]
        assert (seen.values("impersonate-user"), seen.values("impersonate-group")) == (["joe"], [])
        assert self.ask(upstream, ("--pass-impersonation",), path=path, user=user) == 200
        seen = upstream.seen(path)[-1]
        assert (seen.values("impersonate-user"), seen.values("impersonate-group")) == (["jane"], ["dev"])
