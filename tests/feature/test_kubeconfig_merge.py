"""`kubegate kubeconfig merge` beside the real kubectl: what kubectl sees afterwards, and who writes when."""

import json
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import facts, said
from tests.support.expose import Home, kubeconfig, kubegate, problems
from tests.support.parity import kubectl

MERGE = ("kubeconfig", "merge")
FILE_EXISTS = "file exists"


@pytest.fixture
def own(person: Home) -> Path:
    """The person's kubeconfig."""
    path = person.path / ".kube" / "config"
    path.parent.mkdir()
    kubeconfig(path, "https://mine.test", ca=None, context="mine")
    path.write_text(f"# keep me\n{path.read_text()}")
    return path


@pytest.fixture
def other(person: Home) -> Path:
    """Another one, whose cluster and user have the same names."""
    return kubeconfig(person.path / "other", "https://other.test", user={"token": "another"}, context="theirs")


def by_kubectl(*words: str, home: Home, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run([kubectl(), *words], env=home.environ(), capture_output=True, text=True, timeout=60, check=check)


def seen(home: Home) -> dict[str, Any]:
    """The person's kubeconfig as kubectl understands it."""
    found: dict[str, Any] = json.loads(by_kubectl("config", "view", "--raw", "-o", "json", home=home).stdout)
    return found


def test_a_name_that_is_taken_is_refused_with_every_problem(person: Home, own: Path, other: Path) -> None:
    before = own.read_bytes()
    done = kubegate(*MERGE, str(other), "--use", "--output", "json", home=person)
    assert done.returncode == 2
    assert [one["where"] for one in problems(done)] == [f"{own}: clusters[here]", f"{own}: users[me]"]
    assert own.read_bytes() == before
    assert list(own.parent.iterdir()) == [own]
    assert "--prefix" in said(*MERGE, str(other), home=person, code=2)


def test_kubectl_sees_both(person: Home, own: Path, other: Path) -> None:
    before = seen(person)
    found = facts(*MERGE, str(other), "--prefix", "lab-", home=person)
    assert found["added"] == ["cluster lab-here", "user lab-me", "context lab-theirs"]
    assert (found["file"], found["current_context"]) == (str(own), "mine")
    after = seen(person)
    assert after["clusters"][0] in before["clusters"] or after["clusters"][1] in before["clusters"]
    users = {one["name"]: one["user"] for one in after["users"]}
    assert users == {"me": {"token": "token-of-the-person"}, "lab-me": {"token": "another"}}
    contexts = {one["name"]: one["context"] for one in after["contexts"]}
    assert contexts["lab-theirs"] == {"cluster": "lab-here", "user": "lab-me"}
    assert after["current-context"] == "mine"
    assert own.read_text().startswith("# keep me\n")
    assert Path(found["backup"]).read_bytes().startswith(b"# keep me\n")
    assert "has all of it already" in said(*MERGE, str(other), "--prefix", "lab-", home=person)


def test_other_names_and_the_current_context(person: Home, own: Path, other: Path) -> None:
    text = said(*MERGE, str(other), "--rename", "here=lab", "--rename", "me=admin", "--use", home=person)
    assert "the current context is theirs" in text
    assert "another" not in text
    assert by_kubectl("config", "current-context", home=person).stdout == "theirs\n"
    assert seen(person)["current-context"] == "theirs"
    assert own.stat().st_mode & 0o777 == 0o600


def test_a_link_stays_one_for_kubectl(person: Home, own: Path, other: Path) -> None:
    real = person.path / "dotfiles"
    own.rename(real)
    own.symlink_to(real)
    said(*MERGE, str(other), "--prefix", "x-", home=person)
    assert own.readlink() == real
    assert len(seen(person)["clusters"]) == 2
    assert [one.name for one in own.parent.iterdir()] == ["config"]


def test_the_first_file_of_the_list_that_is_there(person: Home, own: Path, other: Path) -> None:
    second = kubeconfig(person.path / "second", "https://second.test", context="second")
    done = kubegate(*MERGE, str(other), "--prefix", "x-", home=person, extra={"KUBECONFIG": f"{person.path}/none:{second}:{own}"})
    assert done.returncode == 0, done.stderr
    assert "x-theirs" in second.read_text()
    assert "x-theirs" not in own.read_text()


def test_what_stands_in_another_file_of_the_list_is_not_hidden(person: Home, own: Path, other: Path) -> None:
    """Of several definitions the first counts for kubectl, so a new one must not come before an old one."""
    first = kubeconfig(person.path / "first", "https://first.test", context="first")
    first.write_text("kind: Config\n")
    extra = {"KUBECONFIG": f"{first}:{own}"}
    done = kubegate(*MERGE, str(other), "--use", "--output", "json", home=person, extra=extra)
    assert done.returncode == 2
    assert [one["where"] for one in problems(done)] == ["--use", f"{own}: clusters[here]", f"{own}: users[me]"]
    assert first.read_text() == "kind: Config\n"
    assert kubegate(*MERGE, str(other), "--prefix", "x-", home=person, extra=extra).returncode == 0
    view = subprocess.run(
        [kubectl(), "config", "view", "--raw", "-o", "json"], env=person.environ(extra), capture_output=True, check=True
    )
    found = json.loads(view.stdout)
    assert (len(found["clusters"]), found["current-context"]) == (2, "mine")


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        (("none",), ["kubeconfig.unreadable"]),
        (("{other}", "--rename", "nothing"), ["kubeconfig.rename"]),
        (("none", "--rename", "=x"), ["kubeconfig.rename", "kubeconfig.unreadable"]),
        (("{other}", "--rename", "a=b"), ["kubeconfig.rename"]),
    ],
)
def test_what_is_wrong_is_told_at_once(person: Home, own: Path, other: Path, words: Sequence[str], codes: list[str]) -> None:
    before = own.read_bytes()
    done = kubegate(*MERGE, *(str(other) if word == "{other}" else word for word in words), "--output", "json", home=person)
    assert (done.returncode, [one["code"] for one in problems(done)]) == (2, codes)
    assert own.read_bytes() == before


def test_kubectl_waits_for_nobody_and_a_merge_for_kubectl(person: Home, own: Path, other: Path) -> None:
    lock = own.with_name("config.lock")
    lock.touch()
    refused = by_kubectl("config", "use-context", "mine", home=person, check=False)
    assert (refused.returncode, FILE_EXISTS in refused.stderr) == (1, True), "it is the lock of kubectl"
    release = threading.Timer(1.0, lock.unlink)
    release.start()
    said(*MERGE, str(other), "--prefix", "x-", home=person)
    release.join()
    assert not lock.exists()
    by_kubectl("config", "use-context", "mine", home=person)


def test_a_lock_that_nobody_gives_back_is_told(person: Home, own: Path, other: Path) -> None:
    own.with_name("config.lock").touch()
    before = own.read_bytes()
    text = said(*MERGE, str(other), "--prefix", "x-", home=person, code=1)
    assert "another program writes the kubeconfig" in text
    assert (own.read_bytes(), own.with_name("config.lock").exists()) == (before, True)


def test_nothing_of_kubectl_is_lost_by_merges_at_the_same_time(person: Home, own: Path, other: Path) -> None:
    written: list[str] = []
    done = threading.Event()

    def set_contexts() -> None:
        for number in range(40):
            if done.is_set() and number > 10:
                return
            for _ in range(200):
                tried = by_kubectl("config", "set-context", f"k{number}", "--namespace", "x", home=person, check=False)
                if tried.returncode == 0:
                    written.append(f"k{number}")
                    break
                assert FILE_EXISTS in tried.stderr, tried.stderr

    writer = threading.Thread(target=set_contexts)
    writer.start()
    for number in range(8):
        said(*MERGE, str(other), "--prefix", f"m{number}-", home=person)
    done.set()
    writer.join(120)
    assert not writer.is_alive()
    # kubectl reads before it takes the lock, so what it lost of ours is merged again.
    for number in range(8):
        said(*MERGE, str(other), "--prefix", f"m{number}-", home=person)
    assert own.stat().st_mode & 0o777 == 0o600
    names = {one["name"] for one in seen(person)["contexts"]}
    assert len(written) > 5
    assert names == {"mine", *written, *(f"m{number}-theirs" for number in range(8))}
