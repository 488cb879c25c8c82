"""Which context and which path a request to `kubegate proxy` comes to: prefixes, the server's path, several contexts."""

from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from tests.support.expose import Home, kubeconfig, kubegate
from tests.support.proxy import proxying
from tests.support.upstream import Upstream

pytestmark = pytest.mark.haproxy
SERVER_PATH = "/k8s/clusters/abc"


def rancher(person: Home, upstream: Upstream) -> str:
    """A kubeconfig whose server has a path."""
    return str(kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}{SERVER_PATH}"))


class TestServerPath:
    """`--append-server-path`."""

    @pytest.mark.parametrize(
        ("asked", "came"),
        [
            ("/", f"{SERVER_PATH}/"),
            ("/api/a%2fb?x=%20", f"{SERVER_PATH}/api/a%2fb?x=%20"),
            (f"{SERVER_PATH}/api/v1", f"{SERVER_PATH}/api/v1"),
            (SERVER_PATH, f"{SERVER_PATH}/"),
            (f"{SERVER_PATH}d/api", f"{SERVER_PATH}{SERVER_PATH}d/api"),
        ],
    )
    def test_it_goes_before_once(self, person: Home, asked: str, came: str) -> None:
        with Upstream() as upstream, proxying("--kubeconfig", rancher(person, upstream), "-p0", home=person) as proxy:
            assert proxy.ask(asked).status == 200
            assert [one.target for one in upstream.requests] == [came]

    def test_the_filters_see_what_comes_after_it(self, person: Home) -> None:
        with Upstream() as upstream, proxying("--kubeconfig", rancher(person, upstream), "-p0", home=person) as proxy:
            for path in ("/api/v1/namespaces/d/pods/p/exec", f"{SERVER_PATH}/api/v1/namespaces/d/pods/p/exec"):
                assert proxy.ask(path).status == 403
            assert upstream.requests == []

    @pytest.mark.parametrize("within", ["/../other", "/x/../../other", "/%2e%2e/other", "/x%2F..%2F..%2Fother", "/x/.."])
    def test_nothing_leads_out_of_it(self, person: Home, within: str) -> None:
        """Who resolves dots before the API server would lead it to another cluster, by a path that no filter has seen."""
        with Upstream() as upstream, proxying("--kubeconfig", rancher(person, upstream), "-p0", home=person) as proxy:
            for path in (within, f"{SERVER_PATH}{within}"):
                assert proxy.ask(path).status == 400
            assert proxy.ask("/api/v1/a..b/.c/%2ed").status == 200
            assert len(upstream.requests) == 1

    def test_switched_off_the_path_goes_as_it_is_and_the_filters_see_it_all_the_same(self, person: Home) -> None:
        with Upstream() as upstream:
            config = rancher(person, upstream)
            with proxying("--kubeconfig", config, "-p0", "--append-server-path=false", home=person) as proxy:
                assert proxy.ask("/api/v1/pods").status == 200
                assert proxy.ask(f"{SERVER_PATH}/api/v1/pods").status == 200
                ways = (
                    SERVER_PATH,
                    "/%6b8s/clusters/abc",
                    "/k8s%2Fclusters/abc",
                    "/k8s/./clusters/abc",
                    "/k8s//clusters/abc",
                    "//k8s/clusters/abc",
                )
                for path in (*ways, f"{SERVER_PATH}/../abc", "/k8s/clusters/%2e/abc"):
                    assert proxy.ask(f"{path}/api/v1/namespaces/d/pods/p/exec").status in (400, 403)
                assert [one.target for one in upstream.requests] == ["/api/v1/pods", f"{SERVER_PATH}/api/v1/pods"]


class TestPrefix:
    """`--api-prefix`."""

    @pytest.mark.parametrize(
        ("prefix", "asked", "came"),
        [
            ("/api/", "/metrics", None),
            ("/api/", "/api/v1/pods/", "/api/v1/pods/"),
            ("/custom/", "/metrics", None),
            ("/custom/", "/api/v1/pods/", None),
            ("/custom/", "/custom/api/v1/a%2Fb?c=%2F", "/api/v1/a%2Fb?c=%2F"),
            ("/custom/", "/custom", "/"),
            ("/custom", "/custom/", "/"),
            ("/custom/", "/customs/api", None),
            ("/k8s-api", "/k8s-api/api/v1/pods", "/api/v1/pods"),
        ],
    )
    def test_what_comes(self, person: Home, prefix: str, asked: str, came: str | None) -> None:
        with Upstream() as upstream:
            config = str(kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}"))
            with proxying("--kubeconfig", config, "-p=0", f"--api-prefix={prefix}", home=person) as proxy:
                answer = proxy.ask(asked)
            assert [one.target for one in upstream.requests] == ([came] if came else [])
            if came is None:
                assert (answer.status, answer.json["reason"]) == (404, "NotFound")

    @pytest.mark.parametrize("prefix", ["custom", "/a{b", "/a b", "/a//b"])
    def test_what_is_none(self, person: Home, upstream: Upstream, prefix: str) -> None:
        config = str(kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}"))
        done = kubegate("proxy", "--kubeconfig", config, f"--api-prefix={prefix}", "--www=/", "-P=/", home=person)
        assert done.returncode == 2
        assert "--api-prefix" in done.stderr


def several(file: Path, **servers: Upstream) -> str:
    """A kubeconfig with a context for each server; a name's underscores stand for slashes."""
    documents = []
    for name, upstream in servers.items():
        path = kubeconfig(file.with_name(name), f"https://127.0.0.1:{upstream.port}", user={"token": f"token-{name}"})
        documents.append((name.replace("_", "/"), yaml.safe_load(path.read_text())))
    merged = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": documents[0][0],
        "clusters": [{"name": name, "cluster": one["clusters"][0]["cluster"]} for name, one in documents],
        "users": [{"name": name, "user": one["users"][0]["user"]} for name, one in documents],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name, _ in documents],
    }
    file.write_text(yaml.safe_dump(merged))
    return str(file)


class TestSeveralContexts:
    """`--also-context`, `--all-contexts`, `--context-at`."""

    def test_by_path(self, person: Home) -> None:
        with Upstream() as one, Upstream() as two:
            config = several(person.path / "all", one=one, aws_two=two)
            arguments = ("--kubeconfig", config, "-p0", "--also-context", "second=aws/two")
            with proxying(*arguments, home=person) as proxy:
                name = quote("aws/two", safe="")
                assert proxy.ask("/api/v1/bare").status == 200
                assert proxy.ask("/clusters/one/api/v1/named").status == 200
                assert proxy.ask(f"/clusters/{name}/api/v1/a%2Fb?x=1").status == 200
                assert proxy.ask("/clusters/second").status == 200
                unknown = proxy.ask("/clusters/three/api")
                assert (unknown.status, unknown.json["reason"]) == (404, "NotFound")
                assert proxy.ask("/clusters/second/api/v1/namespaces/d/pods/p/exec").status == 403
            assert [seen.target for seen in one.requests] == ["/api/v1/bare", "/api/v1/named"]
            assert [seen.target for seen in two.requests] == ["/api/v1/a%2Fb?x=1", "/"]
            assert {seen.values("authorization")[0] for seen in one.requests} == {"Bearer token-one"}
            assert {seen.values("authorization")[0] for seen in two.requests} == {"Bearer token-aws_two"}

    def test_all_of_them_behind_a_prefix(self, person: Home) -> None:
        with Upstream() as one, Upstream() as two:
            config = several(person.path / "all", one=one, two=two)
            arguments = ("--kubeconfig", config, "-p0", "--all-contexts", "--api-prefix=/k/", "--context=two")
            with proxying(*arguments, home=person) as proxy:
                assert proxy.ask("/k/clusters/one/version").status == 200
                assert proxy.ask("/k/version").status == 200
                assert proxy.ask("/clusters/one/version").status == 404
            assert [seen.target for seen in one.requests] == ["/version"]
            assert [seen.target for seen in two.requests] == ["/version"]

    def test_a_place_of_its_own(self, person: Home) -> None:
        with Upstream() as one, Upstream() as two:
            config = several(person.path / "all", one=one, two=two)
            socket = person.path / "two.sock"
            arguments = ("--kubeconfig", config, "-p0", "--context-at=two=0", f"--context-at=two={socket}")
            with proxying(*arguments, home=person, places=3) as proxy:
                assert proxy.ask("/version", at=0).status == 200
                assert proxy.ask("/version", at=1).status == 200
                assert proxy.ask("/version", at=2).status == 200
                # A page of the first place is foreign at the second.
                assert proxy.ask("/version", f"Origin: http://127.0.0.1:{proxy.port}", at=1).status == 403
                # And paths of the one do not lead to the other.
                assert proxy.ask("/clusters/one/version", at=1).status == 200
            assert [seen.target for seen in one.requests] == ["/version"]
            assert [seen.target for seen in two.requests] == ["/version", "/version", "/clusters/one/version"]

    @pytest.mark.parametrize("flags", [("aws/two=dev", "aws/two"), ("x=dev", "x=aws/two")])
    def test_an_alias_stands_for_one_context(self, person: Home, flags: tuple[str, str]) -> None:
        with Upstream() as upstream:
            config = str(kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}"))
            other = str(kubeconfig(person.path / "other", f"https://127.0.0.1:{upstream.port}", context="aws/two"))
            arguments = [f"--also-context={one}" for one in flags]
            done = kubegate("proxy", *arguments, "-p0", home=person, extra={"KUBECONFIG": f"{config}:{other}"})
        assert (done.returncode, done.stdout) == (2, "")
        assert "would stand for the contexts" in done.stderr

    def test_a_context_that_is_not_there_is_one_of_all_problems(self, person: Home, upstream: Upstream) -> None:
        config = several(person.path / "all", one=upstream)
        arguments = ("--also-context=nope", "--context-at=never=0", "--context-at=one", "--port=x")
        done = kubegate("proxy", "--kubeconfig", config, *arguments, home=person)
        assert done.returncode == 2
        for words in ("--context-at", "--port"):
            assert words in done.stderr
        done = kubegate("proxy", "--kubeconfig", config, *arguments[:2], home=person)
        assert done.returncode == 2
        assert "nope" in done.stderr and "never" in done.stderr
