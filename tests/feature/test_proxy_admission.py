"""Who may use `kubegate proxy` beyond loopback, and by which token; static files; a command that it runs."""

import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from kubegate.system import network
from tests.support.expose import Home, command, home, kubeconfig, kubegate
from tests.support.proxy import WEBSOCKET, Proxying, proxying
from tests.support.rawh2 import Client as Client2
from tests.support.rawhttp import Answer, Client, request
from tests.support.upstream import Upstream, eventually

pytestmark = pytest.mark.haproxy


@pytest.fixture
def config(person: Home, upstream: Upstream) -> str:
    """A kubeconfig of `upstream`."""
    return str(kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}"))


def outside() -> str:
    """An address of this machine that others may reach."""
    for _, address in network.reachable_addresses(ipv6=False):
        if not address.startswith("127."):
            return address
    pytest.skip("this machine has loopback only")


def token_of(proxy: Proxying) -> str:
    proxy.wait_for("Bearer): ")
    found = re.search(r"Bearer\): (\S+)", proxy.said)
    assert found
    return found[1]


class TestToken:
    """`--token-required`."""

    def test_bearer(self, person: Home, config: str, upstream: Upstream) -> None:
        with proxying("--kubeconfig", config, "--port=0", "--token-required", home=person) as proxy:
            refused = proxy.ask("/api/v1/with-token")
            assert (refused.status, refused.json["reason"]) == (401, "Unauthorized")
            assert refused.header("www-authenticate").startswith("Bearer")
            assert proxy.ask("/api/v1/with-token", "Authorization: Bearer wrong").status == 401
            assert upstream.seen("/api/v1/with-token") == []
            token = token_of(proxy)
            assert proxy.ask("/api/v1/with-token", f"Authorization: Bearer {token}").status == 200
            [seen] = upstream.seen("/api/v1/with-token")
            assert seen.values("authorization") == ["Bearer token-of-the-person"]
            assert token.encode() not in seen.head

    def test_one_time_url(self, person: Home, config: str, upstream: Upstream) -> None:
        with proxying("--kubeconfig", config, "--port=0", "--token-required", home=person) as proxy:
            token = token_of(proxy)
            proxy.wait_for("key=")
            target = "/.kubegate/login?key=" + proxy.said.split("key=")[1].split()[0]
            assert proxy.ask("/.kubegate/login?key=wrong").status == 403
            assert proxy.ask(target, method="HEAD").status == 403
            answer = proxy.ask(target)
            assert answer.status == 200
            cookie = answer.header("set-cookie")
            assert {part.strip().lower() for part in cookie.split(";")[1:]} == {"httponly", "path=/", "samesite=strict"}
            assert proxy.ask(target).status == 403
            pair = cookie.split(";")[0]
            assert proxy.ask("/api/v1/by-cookie", f"Cookie: a=1; {pair}; b=2").status == 200
            assert proxy.ask("/api/v1/by-cookie", f"Cookie: {pair}").status == 200
            first, second = upstream.seen("/api/v1/by-cookie")
            assert first.values("cookie") == ["a=1; b=2"]
            assert second.values("cookie") == []
            assert token.encode() not in first.head + second.head
            assert proxy.ask("/api/v1/by-cookie", f"Cookie: {pair.replace(token, 'x')}").status == 401

    @pytest.mark.parametrize("flags", [(), ("--token-required",)])
    def test_no_token_of_another_proxy_goes_on(
        self, person: Home, config: str, upstream: Upstream, flags: tuple[str, ...]
    ) -> None:
        """Browsers send the cookies of all ports of a host to each of them."""
        path = "/api/v1/other-cookie"
        with proxying("--kubeconfig", config, "--port=0", *flags, home=person) as proxy:
            cookie = f"kubegate-{proxy.port}={token_of(proxy) if flags else 'x'}"
            for line, left in (
                (f"a=1; kubegate-9001=other; {cookie}; b=2", ["a=1; b=2"]),
                (f"{cookie}; kubegate-9001=other; kubegate-9002=other", []),
                (f"{cookie}; kubegate-9001 =other; my-kubegate-ui=1", ["my-kubegate-ui=1"]),
                (f"{cookie}; " + "; ".join(f"kubegate-{number}=other" for number in range(10)), []),
            ):
                assert proxy.ask(path, f"Cookie: {line}").status == 200
                assert [one.rstrip("; ") for one in upstream.seen(path)[-1].values("cookie")] == left
                assert b"other;" not in upstream.seen(path)[-1].head

    def test_a_credential_beside_the_token_is_not_dropped(self, person: Home, config: str, upstream: Upstream) -> None:
        with proxying("--kubeconfig", config, "--port=0", "--token-required", home=person) as proxy:
            both = (f"Authorization: Bearer {token_of(proxy)}", "Authorization: Bearer own")
            assert proxy.ask("/api/v1/two-credentials", *both).status == 400
            assert upstream.seen("/api/v1/two-credentials") == []

    @pytest.mark.parametrize("target", ["/.kubegate/login/../../api/v1/way-round", "/.kubegate/x", "/.kubegate%2Flogin"])
    def test_no_way_round(self, person: Home, config: str, target: str) -> None:
        with proxying("--kubeconfig", config, "--port=0", "--token-required", home=person) as proxy:
            assert proxy.ask(target).status == 401

    def test_others_need_it_for_upgrades_and_pages_too(self, person: Home, config: str) -> None:
        with proxying("--kubeconfig", config, "--port=0", "--token-required", home=person) as proxy:
            token = token_of(proxy)
            assert proxy.ask("/api/v1/up", *WEBSOCKET).status == 401
            assert proxy.ask("/api/v1/up", f"Authorization: Bearer {token}", "Origin: http://evil.example").status == 403


class TestOpen:
    """Addresses that others reach."""

    def test_refused_by_default(self, person: Home, config: str) -> None:
        done = kubegate("proxy", "--kubeconfig", config, "--address=0.0.0.0", "--port=0", home=person)
        assert (done.returncode, done.stdout) == (2, "")
        assert "--tls" in done.stderr and "--i-know-this-is-open" in done.stderr

    def test_open_by_an_explicit_word_with_a_warning(self, person: Home, config: str) -> None:
        arguments = ("--kubeconfig", config, "--address=", "--port=0", "--i-know-this-is-open", "--accept-hosts=.*")
        with proxying(*arguments, home=person) as proxy:
            assert re.fullmatch(r"\[::\]:\d+", proxy.where)
            proxy.wait_for("warning: whoever reaches")
            with Client.connect(outside(), proxy.port) as client:
                assert client.ask(request("GET", "/version", host=f"{outside()}:{proxy.port}")).status == 200

    def test_with_tls_a_token_is_needed(self, person: Home, config: str) -> None:
        address = outside()
        arguments = ("--kubeconfig", config, f"--address={address}", "--port=0", "--tls", f"--accept-hosts=^{address}$")
        with proxying(*arguments, home=person) as proxy:
            proxy.wait_for("clients verify the certificate")
            file = re.search(r" by (\S+certificate\.pem)", proxy.said)
            assert file
            context = ssl.create_default_context(cafile=file[1])

            def ask(*headers: str) -> Answer:
                with Client.connect(address, proxy.port, context, address) as client:
                    return client.ask(request("GET", "/version", *headers, host=f"{address}:{proxy.port}"))

            assert ask().status == 401
            assert ask(f"Authorization: Bearer {token_of(proxy)}").status == 200


@pytest.fixture(scope="module")
def proxy(upstream: Upstream) -> Iterator[Proxying]:
    """A proxy that speaks TLS."""
    with home() as someone:
        config = str(kubeconfig(someone.path / "config", f"https://127.0.0.1:{upstream.port}"))
        with proxying("--kubeconfig", config, "--port=0", "--tls", home=someone) as running:
            yield running


class TestHttp2:
    """`--tls` offers HTTP/2, with the same rules."""

    def dial(self, proxy: Proxying) -> Client2:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return Client2.connect("127.0.0.1", proxy.port, context, "localhost")

    def test_requests_beside_one_another(self, proxy: Proxying, upstream: Upstream) -> None:
        with self.dial(proxy) as client:
            streams = [client.start("GET", f"/api/v1/h2/{number}?x=%2F", host="localhost") for number in range(20)]
            assert [client.answer(stream).status for stream in streams] == [200] * 20
        seen = upstream.seen("/api/v1/h2/")
        assert {one.values("authorization")[0] for one in seen} == {"Bearer token-of-the-person"}
        assert {one.target for one in seen} == {f"/api/v1/h2/{number}?x=%2F" for number in range(20)}

    @pytest.mark.parametrize("path", ["/api/v1/\xffsecrets", "/api/v1/pods?a=\xe9"])
    def test_bytes_that_are_not_ascii(self, proxy: Proxying, upstream: Upstream, path: str) -> None:
        """HTTP/1 has none in a target, and a log would not show them."""
        before = len(upstream.requests)
        agent = ("user-agent", "a")
        with self.dial(proxy) as client:
            assert client.ask("GET", "/api/v1/pods", agent, host="localhost").status == 200
            assert client.ask("GET", path, agent, host="localhost").status == 400
            assert client.ask("OPTIONS", "*", agent, host="localhost").status == 400
        assert len(upstream.requests) == before + 1

    @pytest.mark.parametrize(
        ("field", "status"),
        [
            (("impersonate-user", "root"), 403),
            (("authorization", "Bearer own"), 403),
            (("impersonate_user", "root"), 400),
            (("origin", "http://evil.example"), 403),
            (("origin", "http://localhost:PORT"), 403),
            (("origin", "https://localhost:PORT"), 200),
            (("sec-fetch-site", "same-site"), 403),
        ],
    )
    def test_rules(self, proxy: Proxying, field: tuple[str, str], status: int) -> None:
        name, value = field[0], field[1].replace("PORT", str(proxy.port))
        agent = ("user-agent", "a")
        with self.dial(proxy) as client:
            for _ in range(2):
                assert client.ask("GET", "/api/v1/h2-rules", agent, host="localhost").status == 200
                assert client.ask("GET", "/api/v1/h2-rules", agent, (name, value), host="localhost").status == status
            assert client.ask("GET", "/api/v1/h2-rules", agent, host="evil.example").status == 403


class TestStatic:
    """`--www`."""

    @pytest.fixture
    def folder(self, person: Home) -> Path:
        folder = person.path / "www"
        (folder / "sub").mkdir(parents=True)
        (folder / "a.txt").write_text("hello")
        (folder / "sub" / "index.html").write_text("<p>index")
        (folder / ".hidden").write_text("secret")
        (folder / "inside").symlink_to(folder / "a.txt")
        (person.path / "outside.txt").write_text("secret")
        (folder / "outside").symlink_to(person.path / "outside.txt")
        return folder

    def test_files(self, person: Home, config: str, folder: Path, upstream: Upstream) -> None:
        with proxying("--kubeconfig", config, "--port=0", f"--www={folder}", home=person) as proxy:
            assert proxy.ask("/static/a.txt").body == b"hello"
            assert proxy.ask("/static/inside").body == b"hello"
            assert proxy.ask("/static/sub/").body == b"<p>index"
            part = proxy.ask("/static/a.txt", "Range: bytes=1-2")
            assert (part.status, part.body) == (206, b"el")
            for name in (".hidden", "outside", "%2e%2e/outside.txt", "../outside.txt", "%00"):
                target = f"/static/{name}"
                assert proxy.ask(target).status in (400, 403, 404), target
            assert proxy.ask("/static/a.txt", method="POST").status == 405
            assert proxy.ask("/static/a.txt", host="evil.example").status == 403
            assert proxy.ask("/static/a.txt", "Origin: http://evil.example").status == 403
            assert proxy.ask("/api/v1/beside-files").status == 200
            assert [one.path for one in upstream.seen("/static")] == []

    def test_prefixes(self, person: Home, config: str, folder: Path, upstream: Upstream) -> None:
        arguments = ("--kubeconfig", config, "--port=0", f"--www={folder}", "--www-prefix=/", "--api-prefix=/api/")
        with proxying(*arguments, home=person) as proxy:
            assert proxy.ask("/a.txt").body == b"hello"
            assert proxy.ask("/api/v1/longer-prefix").status == 200
            assert len(upstream.seen("/api/v1/longer-prefix")) == 1

    def test_with_a_token(self, person: Home, config: str, folder: Path) -> None:
        flags = (f"--www={folder}", "--www-prefix=/", "--api-prefix=/api/", "--token-required")
        with proxying("--kubeconfig", config, "--port=0", *flags, home=person) as proxy:
            assert proxy.ask("/a.txt").status == 401
            assert proxy.ask("/a.txt", f"Authorization: Bearer {token_of(proxy)}").body == b"hello"
            proxy.wait_for("key=")
            target = "/.kubegate/login?key=" + proxy.said.split("key=")[1].split()[0]
            pair = proxy.ask(target).header("set-cookie").split(";")[0]
            assert proxy.ask("/a.txt", f"Cookie: {pair}").body == b"hello"

    def test_a_folder_that_is_missing_is_warned_of(self, person: Home, config: str) -> None:
        with proxying("--kubeconfig", config, "--port=0", "--www=/nowhere/at/all", home=person) as proxy:
            proxy.wait_for("there is no folder /nowhere/at/all")
            assert proxy.ask("/static/a").status == 404
            assert proxy.ask("/version").status == 200


class TestCommand:
    """`kubegate proxy -- COMMAND`."""

    def run(self, person: Home, config: str, *words: str, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        return kubegate("proxy", "--kubeconfig", config, *flags, "--", *words, home=person)

    def test_it_finds_the_proxy_and_its_code_is_ours(self, person: Home, config: str, upstream: Upstream) -> None:
        script = (
            "import os, sys, urllib.request\n"
            "url = os.environ['KUBEGATE_PROXY_URL']\n"
            "print(open(os.environ['KUBECONFIG']).read())\n"
            "urllib.request.urlopen(url + '/api/v1/from-a-command')\n"
            "sys.exit(7)"
        )
        done = self.run(person, config, sys.executable, "-c", script)
        assert done.returncode == 7, done.stderr
        found = yaml.safe_load(done.stdout)
        assert found["clusters"][0]["cluster"]["server"].startswith("http://127.0.0.1:")
        assert len(upstream.seen("/api/v1/from-a-command")) == 1
        person.assert_nothing_left()

    def test_with_a_token(self, person: Home, config: str) -> None:
        done = self.run(person, config, "sh", "-c", 'echo "# $KUBECONFIG"; cat $KUBECONFIG', flags=("--token-required",))
        # In memory of the proxy: a kill would leave a file behind.
        assert done.stdout.startswith("# /proc/")
        assert done.returncode == 0, done.stderr
        assert yaml.safe_load(done.stdout)["users"][0]["user"]["token"] in done.stderr

    def test_a_command_that_is_not_there(self, person: Home, config: str) -> None:
        done = self.run(person, config, "no-such-command-at-all")
        assert done.returncode == 127
        assert "no-such-command-at-all cannot be run" in done.stderr

    def test_one_that_is_killed(self, person: Home, config: str) -> None:
        assert self.run(person, config, "sh", "-c", "kill -9 $$").returncode == 137

    def test_signals_are_passed_on(self, person: Home, config: str) -> None:
        script = "trap 'echo got it; exit 5' TERM; echo ready; while :; do sleep 0.05; done"
        process = subprocess.Popen(
            command("proxy", "--kubeconfig", config, "--", "sh", "-c", script),
            env=person.environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 5
            assert process.stdout.read() == "got it\n"
        eventually(lambda: not person.processes())
