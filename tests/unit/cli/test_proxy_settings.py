"""What the flags of `kubegate proxy` come to."""

import re
import subprocess
from pathlib import Path

import pytest

from kubegate.cli.pflags import parse
from kubegate.cli.proxy_flags import ALL, GLOBAL, SAME, help_text, seconds
from kubegate.cli.proxy_settings import read_settings
from kubegate.model.filters import default_filters
from kubegate.runtime.local_settings import Named, Place, Settings
from tests.support.proxy import kubectl


def read(*words: str) -> tuple[Settings, list[str], list[str]]:
    """Settings, places of problems, and notes."""
    notes: list[str] = []
    settings, problems = read_settings(parse(words, ALL), notes.append)
    return settings, [problem.where for problem in problems], notes


def test_the_defaults_are_kubectls_but_for_the_servers_path() -> None:
    settings, problems, notes = read()
    assert (problems, notes) == ([], [])
    assert settings == Settings()
    assert settings.filters == default_filters()
    assert settings.place == Place("127.0.0.1", 8001)
    assert settings.append_server_path


@pytest.mark.parametrize(
    ("words", "listed"),
    [
        (("--accept-hosts=^a$,^b$",), ["^a$", "^b$"]),
        (("--accept-hosts=",), []),
        (("--accept-hosts=^a{1,3}$",), ["^a{1,3}$"]),
        (("--accept-hosts=^a{1,3}$", "--accept-hosts=b"), ["^a{1,3}$", "b"]),
    ],
)
def test_patterns(words: tuple[str, ...], listed: list[str]) -> None:
    settings, problems, _ = read(*words)
    assert problems == []
    assert [one.text for one in settings.filters.accept_hosts] == listed


def test_a_pattern_that_is_none_is_a_problem_with_the_others() -> None:
    _, problems, _ = read("--reject-paths=[", "--accept-paths=^(?!/api)", "--deny=pod", "--allow-origin=x", "--api-prefix=x")
    assert len(problems) == 5
    assert {"--api-prefix", "--allow-origin", "--deny"} <= set(problems)


@pytest.mark.parametrize(
    "text", ["http://a b", "http://a:b", "http://", "http://a:", "http://u@a", "http://a/b", "http://a?b", "null", "http://[::1"]
)
def test_what_is_no_origin_is_a_problem(text: str) -> None:
    assert read(f"--allow-origin={text}")[1] == ["--allow-origin"]


@pytest.mark.parametrize("text", ["http://localhost:3000", "https://Wiki.example.com/", "http://[::1]:80", "https://10.0.0.1"])
def test_an_origin(text: str) -> None:
    settings, problems, _ = read(f"--allow-origin={text}")
    assert (settings.allow_origins, problems) == ((text.lower().removesuffix("/"),), [])


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (("--port=0",), Place("127.0.0.1", 0)),
        (("--address=::1",), Place("::1", 8001)),
        (("--address=[::1]",), Place("::1", 8001)),
        (("--address=",), Place("", 8001)),
        (("-u", "/x", "--port=8001"), Place(socket=Path("/x"), flag="--unix-socket")),
    ],
)
def test_places(words: tuple[str, ...], place: Place) -> None:
    settings, problems, _ = read(*words)
    assert (settings.place, problems) == (place, [])


def test_port_and_socket_together_are_a_problem() -> None:
    assert read("--port=1", "-u", "/x")[1] == ["--port"]


def test_contexts() -> None:
    settings, problems, _ = read("--also-context=a", "--also-context=x=b", "--context-at=c=[::1]:0", "--context-at=d=e=/s")
    assert problems == []
    assert settings.named == (
        Named("a"),
        Named("b", "x"),
        Named("c", place=Place("::1", 0, flag="--context-at")),
        Named("d=e", place=Place(socket=Path("/s"), flag="--context-at")),
    )
    assert settings.several
    assert not read("--context-at=c=0")[0].several
    assert read("--context-at=c", "--context-at==1", "--context-at=c=70000")[1] == ["--context-at"] * 3


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0.0), ("0s", 0.0), ("1m30s", 90.0), ("-1s", -1.0), ("1.5h", 5400.0), ("100ms", 0.1)]
)
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["5", "", "x", "1d", "s", "1 s"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        seconds(text)
    assert read(f"--keepalive={text}")[1] == ["--keepalive"]


def test_credentials_are_in_no_text() -> None:
    settings, _, _ = read("--token=secret-token", "--password=secret-word", "--username=u", "--proxy-url=http://u:secret-w@h:1")
    assert settings.overrides.token == "secret-token"
    assert "secret" not in repr(settings)


def test_flags_without_a_meaning_are_noted() -> None:
    _, problems, notes = read("--cache-dir=/x", "-n", "d", "--request-timeout=5", "-v=3", "extra")
    assert problems == []
    assert len(notes) == 5
    assert all("no effect" in note or "means nothing" in note for note in notes)


def test_help_names_every_flag() -> None:
    shown = help_text()
    for flag in ALL:
        assert f"--{flag.name}" in shown


@pytest.mark.parametrize(("words", "flags"), [(("proxy", "--help"), SAME), (("options",), GLOBAL)])
def test_every_flag_of_kubectl_is_accepted_with_its_short_form_and_default(words: tuple[str, ...], flags: object) -> None:
    shown = subprocess.run([kubectl(), *words], capture_output=True, text=True, check=True, timeout=60).stdout
    rows = re.findall(r"^ {4}(?:-(\w), )?--([\w-]+)=(.*):$", shown, re.MULTILINE)
    assert len(rows) > 10
    known = {flag.name: flag for flag in ALL}
    for short, name, default in rows:
        assert name in known, f"kubectl has --{name}"
        assert known[name].short == short
        if flags is SAME and name != "append-server-path":
            assert (known[name].default or "") == default.strip("'")
