"""Proxies as kubectl uses them: which one the environment names for a server, and what is said to it, byte for byte."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from kubegate.cluster.environ_proxy import proxy_for
from kubegate.proxy.relay import Relay
from tests.support.parity import Case, Place
from tests.support.proxies import QUOTED, Server
from tests.support.wire import Wire

PROXY = "http://127.0.0.1:PORT"
ROWS = [
    ("https://api.invalid", {"HTTPS_PROXY": PROXY}, True),
    ("https://api.invalid", {"https_proxy": PROXY}, True),
    ("https://api.invalid", {"HTTP_PROXY": PROXY}, False),
    ("https://api.invalid", {"ALL_PROXY": PROXY}, False),
    ("https://api.invalid", {"HTTPS_PROXY": "127.0.0.1:PORT"}, True),
    ("https://api.invalid:6443", {"HTTPS_PROXY": PROXY, "NO_PROXY": "invalid"}, False),
    ("https://api.invalid:6443", {"HTTPS_PROXY": PROXY, "no_proxy": ".invalid"}, False),
    ("https://api.invalid:6443", {"HTTPS_PROXY": PROXY, "NO_PROXY": ".api.invalid,valid"}, True),
    ("https://api.invalid:6443", {"HTTPS_PROXY": PROXY, "NO_PROXY": "api.invalid:443"}, True),
    ("https://api.invalid:6443", {"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, False),
    ("https://192.0.2.7:6443", {"HTTPS_PROXY": PROXY, "NO_PROXY": "192.0.2.0/24"}, False),
    ("https://192.0.2.7:6443", {"HTTPS_PROXY": PROXY, "NO_PROXY": "192.0.3.0/24,192.0.2"}, True),
    ("https://192.0.2.7:6443", {"HTTPS_PROXY": PROXY, "NO_PROXY": "192.0.2.7:6443"}, False),
    ("https://[2001:db8::7]:6443", {"HTTPS_PROXY": PROXY, "NO_PROXY": "[2001:db8::7]"}, True),
    ("https://[2001:db8::7]:6443", {"HTTPS_PROXY": PROXY, "NO_PROXY": "2001:db8::/32"}, False),
    ("https://localhost:1", {"HTTPS_PROXY": PROXY}, False),
    ("https://127.0.0.1:1", {"HTTPS_PROXY": PROXY}, False),
]


class Recorder:
    """A proxy that notes what it is told, and refuses at the end of it."""

    def __init__(self, *answers: bytes) -> None:
        self.heard: list[bytes] = []
        self._answers = answers

    def __call__(self, wire: Wire) -> None:
        for answer in self._answers:
            if not (data := wire.receive()):
                return
            self.heard.append(data)
            wire.send(answer)


@contextlib.contextmanager
def asked(folder: Path, cluster: dict[str, str], environ: dict[str, str]) -> Iterator[Place]:
    place = Place(folder, Case("proxies", {"token": "t"}, cluster))
    place.environ |= environ
    with place.server:
        yield place


@pytest.mark.parametrize(("url", "environ", "by_proxy"), ROWS)
def test_which_proxy_the_environment_names(tmp_path: Path, url: str, environ: dict[str, str], by_proxy: bool) -> None:
    recorder = Recorder(b"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n")
    with Server(recorder) as proxy:
        environ = {name: value.replace("PORT", str(proxy.port)) for name, value in environ.items()}
        with asked(tmp_path, {"server": url}, environ) as place:
            place.by_kubectl("timeout", "1")
        assert bool(recorder.heard) == by_proxy
        assert (proxy_for(url, environ) is not None) == by_proxy


@pytest.mark.parametrize("login", ["", f"{QUOTED}@", "jane@"])
def test_what_an_http_proxy_is_told(tmp_path: Path, login: str) -> None:
    theirs, ours = told(tmp_path, f"http://{login}", b"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n")

    def meant(head: bytes) -> tuple[str, list[str]]:
        first, *headers = head.decode().split("\r\n")
        return first, [line for line in headers if line.lower().startswith(("host:", "proxy-authorization:"))]

    assert meant(ours[0]) == meant(theirs[0])
    assert meant(ours[0])[0] == "CONNECT api.invalid:6443 HTTP/1.1"


@pytest.mark.parametrize("host", ["api.invalid", "192.0.2.7", "[2001:db8::7]"])
@pytest.mark.parametrize(("login", "chosen"), [("", b"\x05\x00"), (f"{QUOTED}@", b"\x05\x02"), (f"{QUOTED}@", b"\x05\x00")])
def test_what_a_socks_proxy_is_told(tmp_path: Path, login: str, chosen: bytes, host: str) -> None:
    accepted = [b"\x01\x00"] if chosen == b"\x05\x02" else []
    refused = b"\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00"
    theirs, ours = told(tmp_path, f"socks5://{login}", chosen, *accepted, refused, host=host)
    assert ours == theirs
    assert len(ours) == 2 + len(accepted)


def told(folder: Path, before: str, *answers: bytes, host: str = "api.invalid") -> tuple[list[bytes], list[bytes]]:
    """What a proxy is told by kubectl and by the relay."""
    recorder = Recorder(*answers)
    with Server(recorder) as proxy:
        url = f"{before}127.0.0.1:{proxy.port}"
        with asked(folder, {"server": f"https://{host}:6443", "proxy-url": url}, {}) as place:
            assert yaml.safe_load(place.kubeconfig.read_text())["clusters"][0]["cluster"]["proxy-url"] == url
            place.by_kubectl("timeout", "5")
        theirs, recorder.heard = recorder.heard[: len(answers)], []
        asyncio.run(through(Relay(url, host.strip("[]"), 6443, folder / "relay.sock"), folder / "relay.sock"))
        return theirs, recorder.heard


async def through(relay: Relay, path: Path) -> None:
    async with relay:
        reader, writer = await asyncio.open_unix_connection(path)
        assert await reader.read() == b""
        writer.transport.abort()
