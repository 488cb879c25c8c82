"""The same command line to the real `kubectl proxy` and to `kubegate proxy`: what starts, where, and what is refused."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from tests.support.expose import Home, command, kubeconfig
from tests.support.proxy import kubectl, proxying
from tests.support.upstream import Upstream

pytestmark = pytest.mark.haproxy
THEIRS, OURS = "kubectl", "kubegate"


def program(name: str) -> tuple[str, ...]:
    return (str(kubectl()), "proxy") if name == THEIRS else tuple(command("proxy"))


@pytest.fixture
def config(person: Home, upstream: Upstream) -> str:
    return str(kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}"))


@dataclass(frozen=True)
class Refused:
    """Flags with which neither starts; `words` are in what kubegate says. `FILE` is a file that is no socket."""

    flags: tuple[str, ...]
    words: str

    def __str__(self) -> str:
        return " ".join(self.flags)


REFUSED = [
    Refused(("--accept-paths=[",), "--accept-paths"),
    Refused(("--reject-paths=^(?!/api)",), "--reject-paths"),
    Refused(("--port=abc",), "--port"),
    Refused(("--port=70000",), "--port"),
    Refused(("--port=-1",), "--port"),
    Refused(("--port=1234", "--unix-socket=/tmp/x"), "--port"),
    Refused(("--unix-socket=FILE",), "--unix-socket"),
    Refused(("--unix-socket=/nowhere/at/all/s",), "--unix-socket"),
    Refused(("--keepalive=5",), "--keepalive"),
    Refused(("--context=nope",), "nope"),
    Refused(("--cluster=nope",), "nope"),
    Refused(("--user=nope",), "nope"),
    Refused(("--nope",), "--nope"),
    Refused(("--disable-filter=maybe",), "--disable-filter"),
    Refused(("--api-prefix=/a{b",), "--api-prefix"),
    Refused(("--api-prefix=/a b",), "--api-prefix"),
    Refused(("--www=/tmp", "--www-prefix="), "--www-prefix"),
    Refused(("--address=192.0.2.1", "--i-know-this-is-open"), "--address"),
]


@pytest.mark.parametrize("row", REFUSED, ids=str)
def test_neither_starts(person: Home, config: str, row: Refused) -> None:
    (person.path / "file").write_text("mine")
    flags = [one.replace("FILE", str(person.path / "file")) for one in row.flags]
    theirs = run(program(THEIRS), config, [one for one in flags if one != "--i-know-this-is-open"], person)
    ours = run(program(OURS), config, flags, person)
    assert theirs.returncode != 0
    assert (ours.returncode, ours.stdout) == (2, "")
    assert row.words in ours.stderr
    assert "Traceback" not in ours.stderr


def run(words: Sequence[str], config: str, flags: Sequence[str], person: Home) -> subprocess.CompletedProcess[str]:
    port = [] if any(one.startswith(("--port", "--unix")) for one in flags) else ["--port=0"]
    return subprocess.run(
        [*words, f"--kubeconfig={config}", *port, *flags],
        env=person.environ(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize(
    "flags",
    [
        ("-p0",),
        ("-p=0",),
        ("--port", "0", "--append-server-path", "--keepalive=30s"),
        ("--port=0", "words", "that", "mean", "nothing"),
        ("--port=0", "--address=localhost"),
        ("--port=0", "--address=[::1]"),
        ("--port=0", "--v=0", "--request-timeout=5", "-n", "default", "--cache-dir=/tmp/none", "--warnings-as-errors"),
        ("--port=0", "--disable-filter=true", "--accept-hosts=", "--www=/nowhere"),
        ("--port=0", "--reject-paths=", "--reject-methods="),
        ("--unix-socket=SOCKET",),
        ("--port=8001", "-u", "SOCKET"),
    ],
    ids=" ".join,
)
def test_both_start_with_the_same_line_and_serve(person: Home, config: str, flags: tuple[str, ...]) -> None:
    lines = []
    for name in (THEIRS, OURS):
        filled = [one.replace("SOCKET", str(person.path / f"{name[-3:]}.sock")) for one in flags]
        with proxying(f"--kubeconfig={config}", *filled, home=person, program=program(name)) as proxy:
            lines.append(re.sub(r"(ctl|ate)\.sock|:\d+$", "", proxy.where))
            assert proxy.ask("/version", host="localhost").status == 200
    assert lines[0] == lines[1]


def test_a_port_that_is_taken(person: Home, config: str) -> None:
    with proxying(f"--kubeconfig={config}", "--port=0", home=person) as first:
        for name in (THEIRS, OURS):
            done = run(program(name), config, [f"--port={first.port}"], person)
            assert done.returncode == (1 if name == THEIRS else 2)
            assert done.stdout == ""
            assert "error: " in done.stderr
