"""`kubegate proxy --explain`: the rule that decides, with nothing served; and the list of commands."""

from pathlib import Path

import pytest

from tests.support.expose import Home, kubegate


@pytest.mark.parametrize(
    ("flags", "line", "code", "rule"),
    [
        ((), "GET /api/v1/pods", 0, "passes"),
        ((), "GET /api/v1/namespaces/d/pods/p/exec", 1, "--reject-paths"),
        (("--read-only",), "POST /api/v1/namespaces/d/pods", 1, "--read-only"),
        (("--deny=secrets",), "GET /api/v1/secrets", 1, "--deny secrets"),
        (("--reject-methods=^POST$",), "POST /api/v1/pods", 1, "--reject-methods"),
    ],
)
def test_the_rule_is_named(person: Home, flags: tuple[str, ...], line: str, code: int, rule: str) -> None:
    done = kubegate("proxy", *flags, "--explain", line, home=person)
    assert done.returncode == code
    assert rule in done.stdout
    assert person.processes() == []


def test_what_is_no_request(person: Home) -> None:
    done = kubegate("proxy", "--explain", "nonsense", home=person)
    assert (done.returncode, done.stdout) == (2, "")


def test_it_is_among_the_commands(person: Home) -> None:
    shown = kubegate("--help", home=person)
    assert "proxy" in shown.stdout
    assert "Flags of kubectl proxy" in kubegate("proxy", "--help", home=person).stdout
    assert kubegate("proxy", "--version", home=person).stdout.startswith("kubegate ")


def test_what_the_readme_shows(person: Home) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    shown = readme.partition("$ kubegate proxy --read-only --deny secrets --explain 'GET /api/v1/secrets'\n")[2].partition("```")[
        0
    ]
    done = kubegate("proxy", "--read-only", "--deny", "secrets", "--explain", "GET /api/v1/secrets", home=person)
    assert shown
    assert (done.stdout, done.returncode) == (shown, 1)
