"""The commands beside a declared gate, as someone meets them: what they print, to whom, and with which exit code they end."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial

import pexpect
import pytest
import yaml

from kubegate.runtime import control_client
from tests.support.commands import WATCHED, facts, said, watch, watching
from tests.support.expose import Home, at_once, command, home, kubegate
from tests.support.run import Running, cluster, gate_file, run
from tests.support.upstream import Upstream, eventually

pytestmark = pytest.mark.haproxy


@pytest.fixture(scope="module")
def upstreams() -> Iterator[tuple[Upstream, Upstream]]:
    """API servers of two clusters."""
    with Upstream() as one, Upstream() as two:
        for upstream in (one, two):
            upstream.at(WATCHED, watch)
        yield one, two


@pytest.fixture(scope="module")
def gate(upstreams: tuple[Upstream, Upstream]) -> Iterator[Running]:
    """A gate of two clusters that no test changes for good."""
    with home() as person:
        clusters = [cluster(person.path, name, upstream) for name, upstream in zip(("one", "two"), upstreams, strict=True)]
        with run(gate_file(person.path, *clusters), person) as gate:
            for name in ("one", "two"):
                gate.until_up(name)
            yield gate


def on_terminal(*words: str, home: Home, extra: Mapping[str, str] | None = None) -> str:
    """What a command prints onto a terminal of 60 columns."""
    program, *rest = command(*words)
    environ = home.environ({"TERM": "xterm-256color", "COLUMNS": "60", **(extra or {})})
    terminal = pexpect.spawn(program, rest, env=environ, dimensions=(24, 60), encoding="utf-8", timeout=40)
    text = str(terminal.read())
    terminal.close()
    return text


# status


def test_status_says_all_that_matters(gate: Running) -> None:
    with watching(gate, "one.test"):
        text = said("status", home=gate.home)
    [server] = gate.cluster("one").servers
    lines = text.splitlines()
    assert lines[0].endswith("runs, and everything is up")
    for words in (
        f"file           {gate.file}",
        "generation     1, since 20",
        f"control plane  pid {gate.process.pid}, since 20",
        f"pid {gate.haproxy.pid}",
        "carries        1 requests and streams, 1 of them streams",
        "old workers    0 of at most 8",
        f"listener main at 127.0.0.1:{gate.port}: one, two",
        "cluster one (one.test): 1 streams, verified as kubernetes.default.svc, checked every 0.3 s",
        "certificate    given, 29 days left, for one.test, 127.0.0.1",
        f"  up  {server.address}  for ",
    ):
        assert words in text, text
    assert text.isascii()


def test_status_as_json_has_the_same_facts(gate: Running) -> None:
    found = facts("status", "-c", str(gate.file), home=gate.home)
    assert found["healthy"] is True
    assert [one["name"] for one in found["clusters"]] == ["one", "two"]
    assert found["pid"] == gate.process.pid


def test_colours_are_for_terminals_alone(gate: Running) -> None:
    for words in (("status",), ("check", "-c", str(gate.file)), ("diff", "-c", str(gate.file))):
        assert "\x1b[" in on_terminal(*words, home=gate.home)
        assert "\x1b" not in on_terminal(*words, home=gate.home, extra={"NO_COLOR": "1"})
        assert "\x1b" not in said(*words, home=gate.home, extra={"FORCE_COLOR": "1"})


def test_what_needs_attention_is_said_and_checked_when_asked(person: Home) -> None:
    with Upstream() as dies, run(gate_file(person.path, cluster(person.path, "one", dies)), person) as gate:
        gate.until_up("one")
        said("status", "--check", home=person)
        dies.close()
        eventually(lambda: gate.cluster("one").servers[0].state == "down", "it is down")
        text = said("status", home=person)
        assert text.splitlines()[0].endswith("runs, and something needs attention")
        assert "down  127.0.0.1" in text
        assert kubegate("status", "--check", home=person).returncode == 1
        assert facts("status", "--check", home=person, code=1)["healthy"] is False
        dies.start()
        eventually(lambda: kubegate("status", "--check", home=person).returncode == 0, "all is well")
        gate.file.write_text("apiVersion: x")
        gate.wait_for("refused")
        done = kubegate("status", "--check", home=person)
        assert done.returncode == 1
        assert "The file as it is now is refused" in done.stdout
        assert f"  - {gate.file}:1: apiVersion: " in done.stdout


# Which gate is meant, and what is said where none answers.


def test_a_gate_that_does_not_run(person: Home) -> None:
    file = person.path / "kubegate.yaml"
    for words in (("status",), ("reload",)):
        assert f"no gate runs by {file}\n       start it: kubegate run -c {file}" in said(
            *words, "-c", str(file), home=person, code=1
        )
        assert "no gate of a declared file runs here" in said(*words, home=person, code=1)
        [problem] = facts(*words, home=person, code=1)["problems"]
        assert problem["hint"].startswith("start one: kubegate run -c FILE")
    assert "no gate runs by" in said("diff", "-c", str(file), home=person, code=1)


def test_what_a_killed_gate_left(person: Home, upstreams: tuple[Upstream, Upstream]) -> None:
    with run(gate_file(person.path, cluster(person.path, "one", upstreams[0])), person) as gate:
        shown = said("render", "haproxy", "-c", str(gate.file), home=person)
        master = gate.haproxy
        gate.kill()
        for words in ((), ("-c", str(gate.file))):
            text = said("status", *words, home=person, code=1)
            assert f"the control plane of the gate of {gate.file} does not run; its HAProxy (pid {master.pid}) serves on" in text
            assert f"kubegate run -c {gate.file} takes it over" in text
        # What the next one would go on with.
        assert said("render", "haproxy", "-c", str(gate.file), home=person) == shown
        master.kill()
        master.wait()
        eventually(lambda: not [one for one in person.processes() if one.name() == "haproxy"], "nothing of it runs")
        for words in ((), ("-c", str(gate.file))):
            assert f"no gate runs by {gate.file}" in said("status", *words, home=person, code=1)
        said("check", "-c", str(gate.file), home=person)


def test_of_several_gates_one_has_to_be_named_unless_the_others_were_killed(
    person: Home, upstreams: tuple[Upstream, Upstream]
) -> None:
    folders = [person.path / name for name in ("a", "b")]
    with contextlib.ExitStack() as stack:
        gates = []
        for folder in folders:
            folder.mkdir()
            document = gate_file(folder, cluster(folder, "one", upstreams[0]))
            gates.append(stack.enter_context(run(document, person, folder)))
        for words in (("status",), ("reload",)):
            text = said(*words, home=person, code=2)
            assert f"--config: several gates run here: {gates[0].file}, {gates[1].file}\n       say which one: -c FILE" in text
        assert facts("status", "-c", str(gates[1].file), home=person)["pid"] == gates[1].process.pid
        gates[0].kill()
        assert facts("status", home=person)["pid"] == gates[1].process.pid
        gates[1].stop()
        assert facts("status", home=person, code=1)["problems"][0]["message"].endswith("serves on")


def test_the_gate_of_another_user(gate: Running) -> None:
    """Whoever may not look into its folder: here a user who may not do everything, and no right to read."""
    as_somebody = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
    gate.folders.run.chmod(0)
    try:
        text = said("status", "-c", str(gate.file), home=gate.home, code=1, before=as_somebody)
    finally:
        gate.folders.run.chmod(0o700)
    assert (
        f"no gate of this user runs by {gate.file}, and {gate.folders.run.parent}, where one may be, belongs to another" in text
    )
    assert f"sudo kubegate status -c {gate.file}" in text


def test_a_gate_of_a_service_is_found_by_others_who_may_see_it(gate: Running) -> None:
    """As with systemd, which gives a service folders of its own."""
    extra = {"XDG_RUNTIME_DIR": str(gate.home.path / "elsewhere"), "RUNTIME_DIRECTORY": str(gate.home.runtime)}
    assert json.loads(said("status", "--output", "json", home=gate.home, extra=extra))["pid"] == gate.process.pid


# check


def test_check_says_that_a_file_can_be_used_and_leaves_nothing(person: Home, upstreams: tuple[Upstream, Upstream]) -> None:
    declared = cluster(person.path, "one", upstreams[0])
    del declared["certificate"]
    file = person.path / "kubegate.yaml"
    file.write_text(yaml.safe_dump(gate_file(person.path, declared)))
    text = said("check", "-c", str(file), home=person)
    assert text.startswith(f"{file} can be used, and HAProxy 2.")
    assert f"one  one.test  {upstreams[0].endpoint} (verified as kubernetes.default.svc), checked every 0.3 s" in text
    assert "warning: cluster one: the certificate is self-signed" in text
    found = facts("check", "-c", str(file), home=person)
    assert (found["problems"], found["clusters"]) == ([], ["one"])
    assert person.left() == []
    assert not list(person.path.glob("state/*"))


def test_check_prints_every_problem_with_its_line_and_what_to_do(person: Home) -> None:
    file = person.path / "kubegate.yaml"
    file.write_text(
        "apiVersion: kubegate.dev/v1alpha1\n"
        "kind: Gate\n"
        "clusters:\n"
        "- name: prod\n"
        "  hosts: [prod.test]\n"
        "  certificate: {cert: missing.crt, key: missing.key}\n"
        "  upstream: {servers: [127.0.0.1:1], ca: missing.ca}\n"
        "- name: dev\n"
        "  hosts: [dev.test]\n"
        "  upstream: {kubeconfig: missing.yaml}\n"
        "dataPlane: {haproxy: /bin/true}\n"
    )
    lines = said("check", "-c", str(file), home=person, code=2).splitlines()
    assert lines[0] == "5 problems:"
    for place in (":6: clusters[prod].certificate", ":7: clusters[prod].upstream.ca", ":11: dataPlane.haproxy"):
        assert any(line.startswith(f"error: {file}{place}") or f"{file}{place}" in line for line in lines), lines
    assert any("missing.yaml" in line for line in lines)
    # Each error has a hint below it.
    assert all(lines[n + 1].startswith("       ") for n, line in enumerate(lines) if line.startswith("error: "))
    problems = facts("check", "-c", str(file), home=person, code=2)["problems"]
    assert len(problems) == 5
    assert all(one["message"] and one["hint"] and one["code"] and one["where"] for one in problems)


def test_paths_that_are_no_declared_file(person: Home) -> None:
    unreadable = person.path / "secret.yaml"
    unreadable.touch()
    unreadable.chmod(0)
    as_somebody = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
    paths = {"missing": f"{person.path}/no.yaml", "folder": str(person.path), "unreadable": str(unreadable)}
    runs = {
        f"{words} {kind}": partial(said, *words.split(), "-c", path, home=person, code=2, before=as_somebody)
        for words in ("check", "run", "render haproxy")
        for kind, path in paths.items()
    }
    expected = {
        "missing": f"{person.path}/no.yaml: it cannot be read: no such file or directory\n"
        "       name the declared file by -c FILE\n",
        "folder": f"{person.path}: it cannot be read: is a directory\n       name the file in it by -c FILE\n",
        "unreadable": f"{unreadable}: it cannot be read: permission denied\n       run this as a user who may read it\n",
    }
    for name, text in at_once(runs | {"check": partial(said, "check", home=person, code=2)}).items():
        if name == "check":
            assert text.startswith("error: kubegate.yaml: it cannot be read: no such file or directory")
        else:
            assert text == f"error: {expected[name.split()[-1]]}"
    assert person.left() == []


# reload


def test_reload_waits_until_the_file_is_followed_and_says_what_it_did(person: Home, upstreams: tuple[Upstream, Upstream]) -> None:
    with run(gate_file(person.path, cluster(person.path, "one", upstreams[0])), person) as gate:
        text = said("reload", home=person)
        warned = "3 warnings: kubegate status shows them.\n"
        assert text == f"Everything was looked at again; nothing is different. Generation 1 runs.\n{warned}"
        for number in range(2, 6):
            document = gate.document
            document["clusters"][0]["allow"] = [f"127.0.0.{number}/32", "127.0.0.1/32"]
            gate.rewrite(document)
            # The gate follows the file by itself, too; whoever of the two is first, afterwards it runs.
            found = control_client.reload(gate.file, person.environ())
            assert found.status.generation == number
            assert found.status.clusters[0].allow == (f"127.0.0.{number}/32", "127.0.0.1/32")
            assert not found.changes or "reached from" in found.changes[0]
        gate.file.write_text("clusters: 7")
        done = kubegate("reload", home=person)
        assert done.returncode == 2
        assert "The file as it is now is refused" in done.stdout
        assert done.stdout.endswith(f"Generation 5 runs on.\n{warned}")
        found = facts("reload", home=person, code=2)
        assert found["changes"] == []
        assert {one["where"] for one in found["status"]["refused"]} >= {f"{gate.file}:1: clusters"}


# Help, and how quickly it comes.

COMMANDS = ("run", "check", "status", "diff", "reload", "render", "expose", "schema", "version")


def test_every_command_explains_itself_on_one_screen_with_an_example(person: Home) -> None:
    runs = {name: partial(kubegate, name, "--help", home=person, extra={"COLUMNS": "80"}) for name in COMMANDS}
    for name, done in at_once(runs).items():
        lines = done.stdout.splitlines()
        assert done.returncode == 0
        assert max(map(len, lines)) <= 100
        assert len(lines) <= 40
        begin = lines.index("  Examples:")
        assert all(f"kubegate {name}" in line for line in lines[begin + 1 :])
        given = {word for line in lines[:begin] for word in line.replace(",", " ").split() if word.startswith("-")}
        used = {word for line in lines[begin:] for word in line.split() if word.startswith("-")}
        assert used <= given | {"-c"}
    overview = kubegate("--help", home=person, extra={"COLUMNS": "80"}).stdout
    listed = overview.partition("Commands:")[2].replace(",", " ").split()
    assert {*COMMANDS, "proxy"} <= set(listed)
    assert len(overview.splitlines()) <= 40
    assert "..." not in overview.replace("[ARGS]...", "")


HEAVY = ("uvicorn", "starlette", "watchfiles", "h11", "kubegate.runtime.run")


@pytest.mark.parametrize("words", ["--help", "version", "expose --help", "schema", "status", "check", "render haproxy"])
def test_a_command_loads_no_service_that_it_does_not_need(person: Home, words: str) -> None:
    program = (
        "import sys\n"
        f"sys.argv = ['kubegate', *{words.split()}]\n"
        "from kubegate.cli.main import run\n"
        "try:\n    run()\n"
        "except SystemExit:\n    pass\n"
        f"sys.stderr.write('loaded: ' + ' '.join(name for name in {HEAVY} if name in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=person.environ(),
        cwd=person.path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr.rpartition("loaded: ")[2] == "", done.stderr


def test_a_second_gate_of_the_same_file_is_refused(gate: Running) -> None:
    text = said("run", "-c", str(gate.file), home=gate.home, code=1)
    assert f"another kubegate (pid {gate.process.pid})" in text
    assert gate.status().pid == gate.process.pid


def test_the_schema_is_json(person: Home) -> None:
    assert json.loads(said("schema", home=person))["title"] == "kubegate: a declared gate"


def test_an_interrupted_command_leaves_no_traceback(gate: Running) -> None:
    process = subprocess.Popen(
        command("status"), env=gate.home.environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.send_signal(signal.SIGINT)
    _, text = process.communicate(timeout=40)
    assert "Traceback" not in text
