"""The explorer's own side of `kubegate proxy`: for whom its page is, and services on ports of their own."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.support.expose import Home, kubeconfig
from tests.support.proxy import Proxying, proxying
from tests.support.rawhttp import Answer, Client, request
from tests.support.upstream import Upstream

pytestmark = pytest.mark.haproxy

BROWSER = "Accept: text/html,application/xhtml+xml,*/*;q=0.8"
SERVICE = {"namespace": "dev", "service": "web", "port": "http", "scheme": "https"}
PATH = "/api/v1/namespaces/dev/services/https:web:http/proxy"


@pytest.fixture
def config(person: Home, upstream: Upstream) -> str:
    """A kubeconfig of `upstream`, with a second context."""
    path = kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}")
    document = yaml.safe_load(path.read_text())
    [entry] = document["contexts"]
    document["contexts"].append({"name": "other/one", "context": entry["context"]})
    path.write_text(yaml.safe_dump(document))
    return str(path)


def opened(proxy: Proxying, service: dict[str, Any] | None = None, *headers: str, at: str = "") -> Answer:
    """Ask for a service on a port of its own."""
    body = json.dumps(SERVICE if service is None else service).encode()
    return proxy.ask(f"{at}/.kubegate/open", "Content-Type: application/json", *headers, method="POST", body=body)


def ask(url: str, target: str, *headers: str) -> Answer:
    """A request to an opened service."""
    place = urlsplit(url)
    assert place.hostname
    assert place.port
    with Client.connect(place.hostname, place.port) as client:
        return client.ask(request("GET", target, *headers, host=place.netloc))


def test_for_browsers_only(person: Home, config: str, upstream: Upstream) -> None:
    with proxying("--kubeconfig", config, "--port=0", home=person) as proxy:
        page = proxy.ask("/", BROWSER)
        assert (page.status, page.header("content-type")) == (200, "text/html; charset=utf-8")
        assert "frame-ancestors 'none'" in page.header("content-security-policy")
        assert not upstream.seen("/")
        assert proxy.ask("/", "Accept: */*").status == 200
        assert proxy.ask("/", BROWSER, method="HEAD").status == 200
        assert len(upstream.seen("/")) == 2
        for file in ("explorer.js", "explorer.css", "swagger_ui/swagger-ui-bundle.js", "swagger_ui/LICENSE"):
            assert proxy.ask(f"/.kubegate/assets/{file}").status == 200
        for file in ("pages.py", "__init__.py", "../explorer/pages.py", "%2e%2e/pages.py", ""):
            assert proxy.ask(f"/.kubegate/assets/{file}").status == 404
        assert json.loads(proxy.ask("/.kubegate/info").body)["contexts"] == []


def test_of_each_context(person: Home, config: str) -> None:
    with proxying("--kubeconfig", config, "--port=0", "--all-contexts", home=person) as proxy:
        home_page = json.loads(proxy.ask("/.kubegate/info").body)
        other = json.loads(proxy.ask("/clusters/other%2Fone/.kubegate/info").body)
        assert {home_page["context"], other["context"]} == {one["name"] for one in home_page["contexts"]}
        assert {"name": "other/one", "path": "/clusters/other%2Fone/"} in other["contexts"]
        there = proxy.ask("/clusters/other%2Fone", BROWSER)
        assert (there.status, there.header("location")) == (307, "/clusters/other%2Fone/")
        assert proxy.ask("/clusters/other%2Fone/", BROWSER).header("content-type").startswith("text/html")
        assert proxy.ask("/clusters/other%2Fone", "Accept: */*").header("content-type") != "text/html; charset=utf-8"


def test_who_may_not(person: Home, config: str) -> None:
    with proxying("--kubeconfig", config, "--port=0", home=person) as proxy:
        assert proxy.ask("/", BROWSER, host="evil.example").status == 403
        assert proxy.ask("/.kubegate/info", host="evil.example").status == 403
        for header in ("Origin: http://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"):
            assert opened(proxy, None, header).status == 403
        assert opened(proxy, None, f"Origin: http://127.0.0.1:{proxy.port}", "Sec-Fetch-Site: same-origin").status == 200


def test_without_it(person: Home, config: str, upstream: Upstream) -> None:
    with proxying("--kubeconfig", config, "--port=0", "--explorer=false", home=person) as proxy:
        assert proxy.ask("/", BROWSER).status == 200
        assert proxy.ask("/.kubegate/info", BROWSER).status == 200
        assert upstream.seen("/")
        assert upstream.seen("/.kubegate/info")


def test_a_service_on_a_port_of_its_own(person: Home, config: str, upstream: Upstream) -> None:
    with proxying("--kubeconfig", config, "--port=0", home=person) as proxy:
        url = opened(proxy).json["url"]
        assert opened(proxy).json["url"] == url
        assert urlsplit(url).port != proxy.port
        for target in ("/", "/api/v1/secrets", f"{PATH}/already", "/.kubegate/info", "/clusters/other%2Fone/api", "/a%2Fb"):
            assert ask(url, target, BROWSER).status == 200
            arrived = target if target.startswith(PATH) else PATH + target
            [seen] = upstream.seen(arrived)
            assert seen.values("authorization") == ["Bearer token-of-the-person"]
        foreign = ("Origin: http://127.0.0.1:1", "Sec-Fetch-Site: cross-site")
        assert [ask(url, "/foreign", one).status for one in foreign] == [403, 403]
        for dots in ("/dots/%2e%2e/%2E./secrets", "/dots/../x", "/..", f"{PATH}/%2e%2e/up", "/dots/%zz"):
            assert ask(url, dots).status == 400


def test_a_service_that_is_asked_for_twice_at_once(person: Home, config: str, upstream: Upstream) -> None:
    with proxying("--kubeconfig", config, "--port=0", home=person) as proxy, ThreadPoolExecutor(4) as pool:
        proxy.ask("/", BROWSER)
        places = [pool.submit(lambda: ask(opened(proxy).json["url"], "/twice").status) for _ in range(4)]
        assert [one.result() for one in places] == [200] * 4
        assert len(upstream.seen(f"{PATH}/twice")) == 4


def test_a_service_and_the_proxys_token(person: Home, config: str, upstream: Upstream) -> None:
    """Whoever may use the proxy may use the service, and the workload does not see the token."""
    with proxying("--kubeconfig", config, "--port=0", "--token-required", home=person) as proxy:
        proxy.wait_for("Bearer): ")
        token = proxy.said.split("Bearer): ")[1].split()[0]
        assert opened(proxy).status == 401
        url = opened(proxy, None, f"Authorization: Bearer {token}").json["url"]
        assert ask(url, "/plain").status == 401
        assert ask(url, "/.kubegate/login?key=x").status == 401
        assert ask(url, "/shown", f"Cookie: a=1; kubegate-{proxy.port}={token}; b=2").status == 200
        [seen] = upstream.seen(f"{PATH}/shown")
        assert token.encode() not in seen.head
        assert [part.strip() for part in seen.values("cookie")[0].split(";")] == ["a=1", "b=2"]


@pytest.mark.parametrize(
    "service",
    [
        {},
        SERVICE | {"namespace": "../x"},
        SERVICE | {"service": "web/../../secrets"},
        SERVICE | {"port": "0"},
        SERVICE | {"port": "80:80"},
        SERVICE | {"scheme": "ftp"},
        SERVICE | {"service": "web\nhttp-request deny"},
        SERVICE | {"namespace": 7},
        SERVICE | {"namespace": "n" * 5000},
    ],
    ids=str,
)
def test_what_is_no_service(person: Home, config: str, service: dict[str, Any]) -> None:
    with proxying("--kubeconfig", config, "--port=0", home=person) as proxy:
        answer = opened(proxy, service)
        assert (answer.status, answer.json["kind"]) == (400, "Status")
        assert "HAProxy was reloaded" not in proxy.said


def test_nothing_is_opened_where_nothing_may_change(person: Home, config: str) -> None:
    with proxying("--kubeconfig", config, "--port=0", "--read-only", home=person) as proxy:
        assert opened(proxy).status == 403
        assert proxy.ask("/", BROWSER).status == 200


def test_a_page_of_a_workload_is_none_of_the_proxys_origin(person: Home, config: str) -> None:
    with proxying("--kubeconfig", config, "--port=0", home=person) as proxy:
        for target in (f"{PATH}/", PATH, "/api/v1/namespaces/dev/pods/p/pr%6fxy/"):
            assert "sandbox allow-scripts allow-forms" in proxy.ask(target, BROWSER).header("content-security-policy")
        assert proxy.ask("/api/v1/pods", BROWSER).header("content-security-policy") == ""
        url = opened(proxy).json["url"]
        assert ask(url, "/", BROWSER).header("content-security-policy") == ""
