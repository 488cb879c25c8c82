"""Every kubectl command, as tests that a class takes for its own: through whichever gate its `client` speaks."""

import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from tests.e2e.conftest import Client, ClientMaker


def until(check: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for something that is going to be true."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def config_map(name: str, value: str) -> bytes:
    """A ConfigMap of the developer's, as kubectl reads it."""
    metadata = {"name": name, "namespace": "dev"}
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": value}}).encode()


class Commands:
    """The whole list. `client` is kubectl as the developer, `pod` one that answers HTTP and logs a line every 0.1 s."""

    def test_get_apply_delete_and_watch(self, client: Client) -> None:
        client.run("delete", "configmap", "seen", "-n", "dev", "--ignore-not-found")
        with client.running("get", "configmaps", "-n", "dev", "-w", "--output-watch-events") as watch:
            assert watch.stdout is not None
            assert any("kube-root-ca.crt" in watch.stdout.readline() for _ in range(10))
            assert "created" in client.text("apply", "-f", "-", input=config_map("seen", "1"))
            assert "configured" in client.text("apply", "-f", "-", input=config_map("seen", "2"))
            assert client.text("get", "configmap", "seen", "-n", "dev", "-o", "jsonpath={.data.a}") == "2"
            assert "deleted" in client.text("delete", "configmap", "seen", "-n", "dev")
            events = []
            for line in watch.stdout:
                event, name, *_ = line.split()
                if name == "seen":
                    events.append(event)
                if events[-1:] == ["DELETED"]:
                    break
        assert events == ["ADDED", "MODIFIED", "DELETED"]

    def test_logs_are_followed(self, client: Client, pod: str) -> None:
        with client.running("logs", "-f", "--tail=1", "-n", "dev", pod) as logs:
            assert logs.stdout is not None
            first, *rest = [int(logs.stdout.readline().split()[1]) for _ in range(8)]
        assert rest == list(range(first + 1, first + 8))

    def test_exec_carries_input_output_and_exit_code(self, client: Client, pod: str) -> None:
        assert client.text("exec", "-i", "-n", "dev", pod, "--", "cat", input=b"to and fro\n") == "to and fro\n"
        failed = client.run("exec", "-n", "dev", pod, "--", "sh", "-c", "echo oops >&2; exit 7", check=False)
        assert failed.returncode == 7
        assert b"oops" in failed.stderr

    def test_exec_half_close_is_carried(self, client: Client, pod: str) -> None:
        # The end of input has to arrive while output still flows back.
        script = "cat; sleep 1; echo after the end of input"
        text = client.text("exec", "-i", "-n", "dev", pod, "--", "sh", "-c", script, input=b"x" * 100_000)
        assert text == "x" * 100_000 + "after the end of input\n"

    def test_exec_with_a_real_terminal_that_is_resized(self, client: Client, pod: str) -> None:
        terminal = pexpect.spawn(
            str(client.cluster.kubectl_path),
            ["exec", "-it", "-n", "dev", pod, "--", "sh"],
            env={**client.environ, "TERM": "xterm"},
            dimensions=(30, 101),
            timeout=20,
            encoding="utf-8",
        )
        try:
            terminal.sendline("echo ready-$((1+1))")
            terminal.expect("ready-2")
            until(lambda: _size(terminal) == (30, 101))
            terminal.setwinsize(40, 133)
            until(lambda: _size(terminal) == (40, 133))
            terminal.sendline("exit 3")
            terminal.expect(pexpect.EOF)
            terminal.wait()
            assert terminal.exitstatus == 3
        finally:
            terminal.close(force=True)

    def test_exec_with_a_command_of_20000_characters(self, client: Client, pod: str) -> None:
        word = "x" * 20_000
        assert client.text("exec", "-n", "dev", pod, "--", "echo", word) == word + "\n"

    def test_attach(self, client: Client, pod: str) -> None:
        with client.running("attach", "-n", "dev", pod) as attached:
            assert attached.stdout is not None
            seen = [line for line in (attached.stdout.readline() for _ in range(4)) if line.startswith("line ")]
        assert len(seen) >= 3

    @pytest.mark.timeout(240)
    def test_cp_of_100_megabytes_both_ways(self, client: Client, pod: str, tmp_path: Path) -> None:
        sent = tmp_path / "sent"
        block = os.urandom(1 << 20)
        with sent.open("wb") as file:
            for number in range(100):
                file.write(number.to_bytes(8, "big") + block[8:])
        client.run("cp", sent, f"dev/{pod}:/tmp/copy", timeout=110)
        checksum = hashlib.sha256(sent.read_bytes()).hexdigest()
        assert client.text("exec", "-n", "dev", pod, "--", "sha256sum", "/tmp/copy").split()[0] == checksum
        client.run("cp", f"dev/{pod}:/tmp/copy", tmp_path / "back", timeout=110)
        assert hashlib.sha256((tmp_path / "back").read_bytes()).hexdigest() == checksum
        client.run("exec", "-n", "dev", pod, "--", "rm", "/tmp/copy")

    def test_port_forward_with_many_connections(self, client: Client, pod: str) -> None:
        with client.running("port-forward", "-n", "dev", f"pod/{pod}", ":8080", "--address", "127.0.0.1") as forward:
            assert forward.stdout is not None
            match = re.search(r"127\.0\.0\.1:(\d+) ->", forward.stdout.readline())
            assert match
            port = int(match[1])
            with concurrent.futures.ThreadPoolExecutor(40) as pool:
                answers = list(pool.map(lambda _: _fetch(port), range(120)))
        assert answers == [b"hello\n"] * 120

    def test_kubectl_proxy(self, client: Client) -> None:
        with client.running("proxy", "--port=0") as proxy:
            assert proxy.stdout is not None
            port = int(proxy.stdout.readline().rsplit(":", 1)[1])
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", "/api/v1/namespaces/dev/pods")
            assert json.loads(connection.getresponse().read())["kind"] == "PodList"
            connection.close()

    def test_service_proxy_and_raw_calls(self, client: Client, pod: str) -> None:
        assert json.loads(client.text("get", "--raw", "/version"))["major"] == "1"
        assert client.text("get", "--raw", f"/api/v1/namespaces/dev/pods/{pod}:8080/proxy/index.html") == "hello\n"

    def test_an_object_as_large_as_the_api_server_takes(self, client: Client) -> None:
        client.run("delete", "configmap", "large", "-n", "dev", "--ignore-not-found")
        assert "created" in client.text("create", "-f", "-", input=config_map("large", "x" * 1_040_000))
        assert len(client.text("get", "configmap", "large", "-n", "dev", "-o", "json")) > 1_040_000
        client.run("delete", "configmap", "large", "-n", "dev")

    def test_a_larger_object_gets_the_api_servers_own_words(self, client: Client) -> None:
        refused = client.run("create", "-f", "-", input=config_map("huge", "x" * 4_000_000), check=False)
        assert refused.returncode == 1
        assert b"Request entity too large: limit is 3145728" in refused.stderr

    def test_as_is_the_callers_own_affair(self, client: Client, make_client: ClientMaker) -> None:
        refused = client.run("get", "nodes", "--as", "somebody", check=False)
        assert b'User "developer" cannot impersonate' in refused.stderr
        assert "developer" in make_client(client.mode, "admin-token").text("auth", "whoami", "--as", "developer")


def _size(terminal: "pexpect.spawn[str]") -> tuple[int, int]:
    terminal.sendline("echo size $(stty size) end")
    terminal.expect(r"size (\d+) (\d+) end")
    match = terminal.match
    assert isinstance(match, re.Match)
    return int(match[1]), int(match[2])


def _fetch(port: int) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        connection.request("GET", "/")
        return connection.getresponse().read()
