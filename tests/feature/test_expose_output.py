"""What `kubegate expose` prints: for people on a terminal and in a pipe, for scripts as one line, and commands that work."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from functools import partial
from typing import Any

import pexpect
import psutil
import pytest

from kubegate import __version__
from tests.support.expose import Exposed, Home, at_once, command, expose, grants, kubeconfig, kubegate
from tests.support.forge import forge
from tests.support.tls import API_NAME, authority
from tests.support.upstream import Exchange, Upstream, eventually

pytestmark = pytest.mark.haproxy

TOKEN_PATH = "/api/v1/namespaces/dev/serviceaccounts/robot/token"
RUNNING = "Running; Ctrl-C stops it."


def flags(person: Home, api: Upstream, *more: str, **options: Any) -> tuple[str, ...]:
    """Flags for an API server and a free port."""
    config = kubeconfig(person.path / "config.yaml", f"https://127.0.0.1:{api.port}", **options)
    return "--kubeconfig", str(config), "--listen", "127.0.0.1:0", *more


def only(person: Home, *programs: str) -> dict[str, str]:
    """An environment in which only these programs are found."""
    folder = person.path / "bin"
    folder.mkdir()
    for name in programs:
        found = shutil.which(name)
        assert found is not None, f"{name} is not installed"
        (folder / name).symlink_to(found)
    return {"PATH": str(folder)}


def printed(*arguments: str, home: Home, extra: Mapping[str, str] | None = None, end: int = signal.SIGTERM) -> str:
    """What a gate prints into a pipe until it runs; it is stopped then."""
    process = subprocess.Popen(
        command("expose", *arguments), env=home.environ(extra), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    lines: list[str] = []
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if RUNNING in line:
                process.send_signal(end)
    assert process.returncode == 0
    return "".join(lines)


def on_terminal(*arguments: str, home: Home, extra: Mapping[str, str] | None = None) -> str:
    """What it prints onto a terminal of 60 columns; Ctrl-C ends it there."""
    environ = home.environ({"TERM": "xterm-256color", "COLUMNS": "60", **(extra or {})})
    program, *rest = command("expose", *arguments)
    terminal = pexpect.spawn(program, rest, env=environ, dimensions=(24, 60), encoding="utf-8", timeout=40)
    terminal.expect(re.escape(RUNNING))
    said = str(terminal.before)
    terminal.sendintr()
    terminal.expect("stopped")
    said += str(terminal.before)
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert (terminal.exitstatus, terminal.signalstatus) == (0, None)
    return said


def test_text_says_all_that_matters(person: Home, upstream: Upstream) -> None:
    upstream.at(TOKEN_PATH, grants("header.claims.sign", "2099-01-01T12:00:00Z"))
    upstream.at("/version", lambda exchange: exchange.reply(200, body=b'{"gitVersion": "v1.34.1"}'))
    out = person.path / "out.yaml"
    # Half of this is about the way from others to here, so it is open to them.
    more = ("--out", str(out), "--account", "dev/robot", "--listen", "0.0.0.0:0")
    text = printed(*flags(person, upstream, *more), home=person)
    url = re.search(r"https://\S+:\d+", text)
    assert url is not None
    first, *_ = text.splitlines()
    assert first == f"kubegate {__version__} exposes dev at {url[0]}"
    wanted = [
        r"  reached on   .*127\.0\.0\.1 \(lo\).*, port \d+",
        rf"  API server   https://127\.0\.0\.1:{upstream.port} \(verified by CA and as {API_NAME}, Kubernetes v1\.34\.1\)",
        r"  certificate  self-signed, for .*127\.0\.0\.1.*, until \d{4}-\d\d-\d\d",
        r"  SHA-256      ([0-9A-F]{2}:){31}[0-9A-F]{2}",
        r"  to whom      everyone who reaches it; each caller's own bearer token decides, nothing is added",
        rf"  kubeconfig   {out}",
        r"  token        of dev/robot, granted until 2099-01-01 12:00:00 UTC",
        r"  data plane   HAProxy \d+\.\d+\.\d+ .*",
        r"Not secure about it",
        r"  - everyone who can reach .* can try to log in here",
        r"    limit the senders by a firewall, or listen on 127\.0\.0\.1",
        r"Good to know",
        r"Try",
        r"  # a caller without a credential: .*",
        r"  curl -s .*",
        RUNNING,
    ]
    assert [line for line in wanted if not re.search(f"^{line}$", text, re.MULTILINE)] == []
    assert "\x1b" not in text


def test_json_is_one_line_with_the_same_facts(person: Home, upstream: Upstream) -> None:
    with expose(*flags(person, upstream, "--out", str(person.path / "out.yaml")), home=person) as gate:
        assert gate.facts.keys() == {
            *("url", "listen", "mode", "reach", "upstream", "certificate", "kubeconfig", "account", "token_expires"),
            *("warnings", "notes", "attempts", "haproxy", "pid"),
        }
        assert gate.facts["pid"] == gate.process.pid
        assert gate.facts["upstream"].keys() == {"context", "url", "servers", "verified_name", "version"}
        said = gate.stop(signal.SIGINT)
        assert gate.process.stdout is not None
        assert gate.process.stdout.read() == "", "one line and no more"
        assert re.fullmatch(r"\d\d:\d\d:\d\d stopped\n", said)


def test_colours_on_a_terminal_unless_they_are_not_wanted(person: Home, upstream: Upstream) -> None:
    arguments = flags(person, upstream)
    assert "\x1b[" in on_terminal(*arguments, home=person)
    for extra in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\x1b" not in on_terminal(*arguments, home=person, extra=extra)
    assert "\x1b" not in printed(*arguments, home=person, extra={"FORCE_COLOR": "1", "TERM": "xterm-256color"})


def test_a_wrong_input_has_colours_on_a_terminal_only(person: Home) -> None:
    assert "\x1b" not in kubegate("expose", "--listen", "x", home=person, extra={"FORCE_COLOR": "1"}).stderr
    program, *rest = command("expose", "--listen", "x")
    terminal = pexpect.spawn(program, rest, env=person.environ({"TERM": "xterm"}), encoding="utf-8", timeout=40)
    said = str(terminal.read())
    terminal.close()
    assert "\x1b[1;31merror: " in said
    assert terminal.exitstatus == 2


HOSTILE = "d\x1b[2Jev[bold red]x[/]\u202e\x07\n:smile:"


def test_hostile_text_is_escaped(person: Home, upstream: Upstream) -> None:
    """Control characters, bidirectional overrides and line breaks; what looks like markup stays as it is."""
    arguments = flags(person, upstream, "--out", str(person.path / "out.yaml"), context=HOSTILE)
    shown = r"d\x1b[2Jev[bold red]x[/]\u202e\x07\x0a:smile:"
    text = printed(*arguments, home=person)
    assert f"exposes {shown} at" in text
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", text)
    on_screen = on_terminal(*arguments, home=person)
    assert shown in on_screen
    assert "\x1b[2J" not in on_screen
    with expose(*arguments, home=person) as gate:
        assert gate.facts["upstream"]["context"] == HOSTILE
        assert gate.config()["current-context"] == f"kubegate-{HOSTILE}"
        assert all(attempt["command"].isprintable() for attempt in gate.facts["attempts"])
    wrong = kubegate("expose", *arguments, "--context", "no\x1b[31m", home=person)
    assert wrong.returncode == 2
    assert "x1b[31m'" in wrong.stderr
    assert "\x1b" not in wrong.stderr


def test_names_that_are_not_utf8(person: Home, upstream: Upstream) -> None:
    arguments = flags(person, upstream)
    odd = os.fsdecode(b"out-\xff.yaml")
    with expose(*arguments, "--out", f"{person.path}/{odd}", home=person) as gate:
        assert gate.facts["kubeconfig"] == f"{person.path}/{odd}"
        assert gate.cluster()["server"] == gate.url
    assert r"out-\udcff.yaml" in printed(*arguments, "--out", f"{person.path}/{odd}", home=person)
    done = kubegate("expose", *arguments, "--out", f"/nowhere/{odd}", home=person, extra={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 2
    assert r"out-\udcff.yaml" in done.stderr


# Commands to try work as they are printed.


def is_anonymous(exchange: Exchange) -> None:
    """Answers as an API server does: callers by their token, and 403 to those without."""
    said = exchange.request.values("authorization") or ["nobody"]
    status = 403 if said == ["nobody"] else 200
    body = json.dumps({"kind": "Status", "code": status, "message": f"{said[0]} at {exchange.request.target}"}).encode()
    exchange.reply(status, "Content-Type: application/json", body=body)


def tried(gate: Exposed, number: int, extra: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run one of the printed commands in a shell."""
    text = gate.facts["attempts"][number]["command"]
    done = subprocess.run(
        ["/bin/sh", "-c", text], env=gate.home.environ(extra), cwd=gate.home.path, capture_output=True, timeout=20, check=False
    )
    assert done.returncode == 0, (text, done)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


WAYS = {
    "IPv6": ("--listen", "[::1]:0"),
    "every interface": ("--listen", "0.0.0.0:0"),
    "a name that this machine cannot resolve": ("--host", "no-such-gate.test"),
    "an address, and a path with spaces": (),
}


@pytest.mark.parametrize("way", WAYS)
def test_curl_without_a_credential_works_as_printed(person: Home, upstream: Upstream, way: str) -> None:
    upstream.at("/api/v1/namespaces", is_anonymous)
    extra = {"XDG_STATE_HOME": str(person.path / "my state; here's")} if "spaces" in way else {}
    with expose(*flags(person, upstream, *WAYS[way]), home=person, extra=extra) as gate:
        assert "403" in gate.facts["attempts"][0]["shows"]
        assert tried(gate, 0)["message"] == "nobody at /api/v1/namespaces"


@pytest.mark.parametrize(
    ("names", "public"), [(["gate.test"], True), (["gate.test"], False), (["127.0.0.1"], False), (["10.1.2.3"], True)]
)
def test_curl_with_a_given_certificate_works_as_printed(person: Home, upstream: Upstream, names: list[str], public: bool) -> None:
    upstream.at("/api/v1/namespaces", is_anonymous)
    root = authority("a root")
    leaf = forge("gate", root, names=names)
    files = {"tls.crt": leaf.pem + (b"" if public else root.pem), "tls.key": leaf.key_pem, "public.crt": root.pem}
    for name, content in files.items():
        (person.path / name).write_bytes(content)
    given = ("--cert", str(person.path / "tls.crt"), "--key", str(person.path / "tls.key"))
    extra = {"SSL_CERT_FILE": str(person.path / "public.crt")} if public else {}
    with expose(*flags(person, upstream, *given), home=person, extra=extra) as gate:
        assert ("--cacert" in gate.facts["attempts"][0]["command"]) is not public
        assert tried(gate, 0, extra)["code"] == 403


def test_without_kubectl_the_token_goes_through_curl(person: Home, upstream: Upstream) -> None:
    upstream.at(TOKEN_PATH, grants("header.claims.sign-ature_1", "2099-01-01T12:00:00Z"))
    upstream.at("/api/v1/namespaces", is_anonymous)
    extra = only(person, "curl", "awk", "sh")
    more = ("--account", "dev/robot", "--out", str(person.path / "my out.yaml"))
    with expose(*flags(person, upstream, *more), home=person, extra=extra) as gate:
        assert [attempt["shows"].split(":")[0] for attempt in gate.facts["attempts"]][1:] == ["the namespaces", "a watch"]
        assert "sign-ature" not in json.dumps(gate.facts)
        assert tried(gate, 1, extra)["message"] == "Bearer header.claims.sign-ature_1 at /api/v1/namespaces"
        assert tried(gate, 2, extra)["message"].endswith("/api/v1/namespaces?watch=1")


def test_kubectl_is_offered_where_it_is_and_where_its_credential_passes(person: Home, upstream: Upstream) -> None:
    """What it does is shown by the tests against the real cluster."""
    extra = only(person, "curl")
    (person.path / "bin" / "kubectl").write_text("#!/bin/sh\n")
    (person.path / "bin" / "kubectl").chmod(0o755)
    out = ("--out", str(person.path / "out.yaml"))
    commands = {}
    for name, more in {
        "own": (),
        "out": out,
        "passthrough": ("--passthrough",),
        "passthrough, out": ("--passthrough", *out),
    }.items():
        with expose(*flags(person, upstream, *more), home=person, extra=extra) as gate:
            commands[name] = [attempt["command"] for attempt in gate.facts["attempts"]]
    config = person.path / "config.yaml"
    assert commands["own"][1].startswith(f"kubectl --kubeconfig {config} --context dev --certificate-authority ")
    assert commands["out"][1].startswith(f"KUBECONFIG={person.path}/out.yaml:{config} kubectl --context kubegate-dev --user me ")
    assert commands["passthrough"] == []
    assert commands["passthrough, out"][0] == commands["out"][1]


# Help.


def test_help_fits_a_screen(person: Home) -> None:
    runs = {name: partial(kubegate, *name.split(), home=person, extra={"COLUMNS": "80"}) for name in ("--help", "-h", "")}
    for text in at_once(runs).values():
        lines = (text.stdout or text.stderr).splitlines()
        assert len(lines) <= 24
        assert max(map(len, lines)) <= 80
        assert any(line.split()[:2] == ["expose", "Expose"] for line in lines)
        assert "    kubegate expose" in lines


def test_every_command_has_examples_one_a_line(person: Home) -> None:
    lines = kubegate("expose", "--help", home=person, extra={"COLUMNS": "80"}).stdout.splitlines()
    begin = lines.index("  Examples:")
    examples = lines[begin + 1 :]
    assert len(examples) >= 3
    assert all(line.startswith("    kubegate expose") for line in examples)
    given = {word for line in lines[:begin] for word in line.split() if word.startswith("--")}
    used = {word for line in examples for word in line.split() if word.startswith("--")}
    assert used <= given


def test_version(person: Home) -> None:
    assert kubegate("--version", home=person).stdout == f"kubegate {__version__}\n"


# Nobody reads.


def shell(script: str, person: Home, arguments: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run kubegate in a shell script as `"$@"`."""
    return subprocess.run(
        ["bash", "-c", script, "bash", *command(*arguments)],
        env=person.environ(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


NOBODY = [f'"$@" {end}' for end in ("| true", "2>&1 | true", ">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full")]


def test_problems_that_nobody_reads(person: Home) -> None:
    wrong = {output: ("expose", "--output", output, "--listen", "x") for output in ("text", "json")}
    scripts = {reader: f"{reader}; exit ${{PIPESTATUS[0]}}" for reader in NOBODY}
    runs = {f"{o}: {r}": partial(shell, scripts[r], person, arguments) for o, arguments in wrong.items() for r in NOBODY}
    done = at_once(runs)
    assert {name: one.returncode for name, one in done.items()} == dict.fromkeys(runs, 2)
    assert [one.stderr for one in done.values() if "Traceback" in one.stderr or "Exception" in one.stderr] == []


def haproxy(person: Home) -> psutil.Process | None:
    """The master of the only HAProxy of this home."""
    masters = [process for process in person.processes() if process.name() == "haproxy"]
    return min(masters, key=lambda process: process.create_time(), default=None)


@pytest.mark.parametrize("reader", ["{} 2>&1 | true", "{} <&- >&- 2>&-", "{} >/dev/full 2>/dev/full"])
def test_a_gate_whose_output_nobody_reads_serves_on(person: Home, reader: str) -> None:
    """Its log may be rotated away, its terminal closed; that is no reason to end."""
    out = person.path / "out.yaml"
    with Upstream() as api:
        arguments = ("expose", *flags(person, api, "--out", str(out)))
        started = '("$@" & echo $! > "$HOME/pid"; wait $!; echo $? > "$HOME/code")'
        script = reader.replace("{}", started) + " & "
        wait = "until [ -s $HOME/out.yaml ]; do sleep 0.05; done; "
        script += wait + 'touch "$HOME/started"; wait'
        process = subprocess.Popen(
            ["bash", "-c", script, "bash", *command(*arguments)],
            env=person.environ(),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            eventually(lambda: (person.path / "started").exists())
            # That HAProxy ends, and is back, is something to be said.
            before = haproxy(person)
            assert before is not None
            before.kill()
            eventually(lambda: haproxy(person) not in (None, before))
        finally:
            os.kill(int((person.path / "pid").read_text()), signal.SIGTERM)
            _, said = process.communicate(timeout=30)
    assert (person.path / "code").read_text() == "0\n"
    assert "Traceback" not in said
    assert "Exception" not in said
    assert person.processes() == []
    assert list(person.runtime.iterdir()) == []
