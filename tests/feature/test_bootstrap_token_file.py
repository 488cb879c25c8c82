"""`kubegate bootstrap token-file` on real files."""

import json
import os
import stat
from functools import partial
from pathlib import Path

import pytest

from tests.support.expose import Home, at_once, kubegate

USER = ("--user", "kubelet-bootstrap", "--uid", "10001")
GOOD = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def file(person: Home) -> Path:
    return person.path / "tokens.csv"


def run(person: Home, command: str, file: Path, *more: str) -> tuple[int, str, str]:
    done = kubegate("bootstrap", "token-file", command, str(file), *more, home=person)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_a_token_is_added_shown_masked_and_removed(person: Home, file: Path) -> None:
    code, said, _ = run(person, "add", file, *USER, "--group", "system:bootstrappers", "--group", "system:bootstrappers:extra")
    assert code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    token, rest = file.read_text().split(",", 1)
    assert rest == 'kubelet-bootstrap,10001,"system:bootstrappers,system:bootstrappers:extra"\n'
    code, listed, wrong = run(person, "list", file)
    assert (code, wrong) == (0, "")
    assert "kubelet-bootstrap" in listed
    assert all(token not in text for text in (said, listed))
    assert run(person, "remove", file, "--user", "kubelet-bootstrap")[0] == 0
    assert file.read_text() == ""


def test_what_is_wrong_with_a_file_is_all_told_with_2(person: Home, file: Path) -> None:
    file.write_text(f"{GOOD},a,1,g1,g2\n{GOOD},b,2\nx,c,3\n")
    file.chmod(0o644)
    code, facts, _ = run(person, "list", file, "--output", "json")
    assert code == 2
    found = json.loads(facts)
    assert found["starts"] is True
    assert [one["user"] for one in found["tokens"]] == ["b", "c"]
    assert [one["code"].removeprefix("token-file.") for one in found["problems"]] == ["unquoted", "short", "duplicate", "mode"]


def test_a_file_with_which_the_api_server_does_not_start_is_not_changed(person: Home, file: Path) -> None:
    before = f'{GOOD},a"b,1\n'
    file.write_text(before)
    for command, more in (("add", USER), ("remove", ("--user", "a"))):
        code, _, wrong = run(person, command, file, *more)
        assert (code, file.read_text()) == (2, before)
        assert "tokens.csv:1" in wrong


def test_a_token_that_is_removed_does_not_come_back_as_that_of_another(person: Home, file: Path) -> None:
    file.write_text(f"# of the nodes,x,y\n{GOOD},a,1\n{GOOD},b,2\n")
    assert run(person, "remove", file, "--user", "b")[0] == 0
    assert file.read_text() == "# of the nodes,x,y\n"


def test_nobody_to_remove_and_a_name_that_would_not_be_what_it_says_are_problems(person: Home, file: Path) -> None:
    run(person, "add", file, *USER)
    before = file.read_text()
    assert run(person, "remove", file, "--user", "nobody")[0] == 2
    code, _, wrong = run(person, "add", file, "--user", " x", "--uid", "10001", "--group", "a,b", "--group", "system:masters")
    assert code == 2
    assert "4 problems; nothing was changed" in wrong
    assert file.read_text() == before


def test_a_link_stays_one(person: Home, file: Path) -> None:
    real = person.path / "real.csv"
    file.symlink_to(real)
    real.touch(0o600)
    assert run(person, "add", file, *USER)[0] == 0
    assert file.is_symlink()
    assert "kubelet-bootstrap" in real.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_stays_with_its_owner_and_is_for_no_others(person: Home, file: Path) -> None:
    """kube-apiserver may run as another user, and would not start if it could not read it."""
    file.touch()
    file.chmod(0o644)
    os.chown(file, 1234, 2345)
    assert run(person, "add", file, *USER)[0] == 0
    found = file.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (1234, 2345, 0o640)


def test_of_several_at_once_nothing_is_lost(person: Home, file: Path) -> None:
    users = [f"user-{number}" for number in range(6)]
    made = at_once({user: partial(run, person, "add", file, "--user", user, "--uid", user) for user in users})
    assert [code for code, _, _ in made.values()] == [0] * 6
    assert sorted(line.split(",")[1] for line in file.read_text().splitlines()) == users
