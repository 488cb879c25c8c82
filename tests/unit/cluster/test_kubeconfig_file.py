"""Entries merged into a kubeconfig: what is added, what stays byte for byte, and when nothing is written."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kubegate.cluster.kubeconfig_file import Entries, Merged, merge_into, read_entries, renamed, render_kubeconfig
from kubegate.cluster.kubeconfig_lock import Locked
from kubegate.cluster.kubeconfig_text import with_additions
from kubegate.model.problem import InvalidInput
from kubegate.system.files import FileTrouble

NEW = Entries(
    clusters={"lab": {"server": "https://lab.test", "certificate-authority-data": "eA=="}},
    users={"lab-user": {"token": "12e3"}},
    contexts={"lab": {"cluster": "lab", "user": "lab-user"}},
    current_context="lab",
)
TEXT = """\
# of the whole team
apiVersion: v1
users:   # people
- name: 'jäne'   # me
  user: {token: "t"}

# where they go
clusters:
  - name: prod
    cluster:
      server: https://prod.test   # do not touch
contexts:
- context:
    cluster: prod
    user: jäne
  name: prod
current-context: "prod" # always
kind: Config
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config"
    path.write_text(TEXT)
    path.chmod(0o600)
    return path


def problems(path: Path, entries: Entries, **more: Any) -> list[tuple[str, str]]:
    before = sorted((one, one.read_bytes()) for one in path.parent.iterdir() if one.is_file())
    with pytest.raises(InvalidInput) as caught:
        merge_into(path, entries, **more)
    assert sorted((one, one.read_bytes()) for one in path.parent.iterdir() if one.is_file()) == before, "nothing is written"
    return [(one.where.removeprefix(f"{path}: "), one.code) for one in caught.value.problems]


def parsed(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def names(path: Path, key: str) -> list[str]:
    return [one["name"] for one in parsed(path)[key] or []]


def test_it_is_added_and_every_line_stays(file: Path) -> None:
    done = merge_into(file, NEW)
    assert done.added == ("cluster lab", "user lab-user", "context lab")
    left = file.read_text().splitlines()
    for line in TEXT.splitlines():
        assert left[left.index(line)] == line
        left.remove(line)
    keys = [line.lstrip(" -").partition(":")[0] for line in left]
    cluster = ["name", "cluster", "server", "certificate-authority-data"]
    assert keys == ["name", "user", "token", *cluster, "name", "context", "cluster", "user"]
    assert names(file, "clusters") == ["prod", "lab"]
    assert names(file, "users") == ["jäne", "lab-user"]
    assert names(file, "contexts") == ["prod", "lab"]
    assert parsed(file)["users"][1]["user"] == {"token": "12e3"}
    assert parsed(file)["current-context"] == "prod"


def test_the_lines_keep_their_order(file: Path) -> None:
    merge_into(file, NEW)
    rest = iter(file.read_text().splitlines())
    assert all(line in rest for line in TEXT.splitlines())


def test_the_file_is_private_and_the_old_one_is_kept(file: Path) -> None:
    file.chmod(0o644)
    done = merge_into(file, NEW)
    assert done.backup is not None
    assert done.backup.read_text() == TEXT
    assert [one.stat().st_mode & 0o777 for one in (file, done.backup)] == [0o600, 0o600]
    assert sorted(file.parent.iterdir()) == sorted([file, done.backup])
    assert merge_into(file, Entries(clusters={"x": {"server": "https://x"}})).backup not in (None, done.backup)


def test_the_current_context_changes_if_asked(file: Path) -> None:
    assert merge_into(file, NEW, use=True).current == "lab"
    assert 'current-context: "lab" # always' in file.read_text()


def test_what_is_there_already_is_not_written_again(file: Path) -> None:
    merge_into(file, NEW)
    before, state = file.read_bytes(), file.stat()
    assert merge_into(file, NEW) == Merged(file, (), ("cluster lab", "user lab-user", "context lab"), None, "prod")
    assert (file.read_bytes(), file.stat()) == (before, state)
    assert merge_into(file, NEW, use=True).backup is not None


def test_what_says_nothing_is_no_difference(file: Path) -> None:
    same = {"server": "https://prod.test", "certificate-authority-data": "", "insecure-skip-tls-verify": False}
    assert merge_into(file, Entries(clusters={"prod": same})).same == ("cluster prod",)


def test_every_conflict_at_once_and_nothing_written(file: Path) -> None:
    other = Entries(
        clusters={"prod": {"server": "https://elsewhere.test"}, "new": {"server": "https://new.test"}},
        users={"jäne": {"token": "another"}},
        contexts={"prod": {"cluster": "new", "user": "jäne"}},
    )
    assert problems(file, other) == [
        ("clusters[prod]", "kubeconfig.conflict"),
        ("users[jäne]", "kubeconfig.conflict"),
        ("contexts[prod]", "kubeconfig.conflict"),
    ]


def test_a_conflict_shows_no_secret_and_how_to_go_on(file: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        merge_into(file, Entries(users={"jäne": {"token": "very-secret"}}))
    [problem] = caught.value.problems
    assert "very-secret" not in repr(problem)
    assert "--rename 'jäne=NEW'" in problem.hint
    assert "--prefix" in problem.hint


def test_a_context_borrows_nothing_of_what_is_there(file: Path) -> None:
    """Else a server of whoever made the file would be shown the credential that is in yours."""
    theirs = Entries(
        clusters={"lab": {"server": "https://evil.test"}},
        contexts={"lab": {"cluster": "lab", "user": "jäne"}, "other": {"cluster": "prod", "user": "nobody"}},
        current_context="lab",
    )
    found = problems(file, theirs, use=True)
    assert [code for _, code in found] == ["kubeconfig.borrowed"] * 2
    assert {where for where, _ in found} == {"contexts[lab].user", "contexts[other].cluster"}
    beside = file.with_name("beside")
    beside.write_text(render_kubeconfig(Entries(users={"nobody": {"token": "t"}})).decode())
    assert len(problems(file, theirs, beside=[beside])) == 3
    done = merge_into(file, renamed(theirs, {}, "their-", "--rename"))
    assert "context their-lab" in done.added
    assert {one["context"]["user"] for one in parsed(file)["contexts"]} == {"jäne", "their-jäne", "their-nobody"}


def test_use_needs_a_context(file: Path) -> None:
    assert problems(file, Entries(clusters=NEW.clusters), use=True) == [("--use", "kubeconfig.use")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing yet\n",
        "---\n",
        "clusters: []   # none\nusers: null\ncontexts:\ncurrent-context: ''\n",
        "kind: Config\nclusters: [{name: a, cluster: {server: x}}]\nusers: [ ]\ncontexts: ~\n",
        '{"clusters":[{"name":"a","cluster":{"server":"x"}}],"users":null,"contexts":[]}',
        "{}",
        "users:\n- name: a\n  user:\n    token: |\n      abc\n\n\nclusters:\n- name: a\n  cluster:\n    server: >-\n      https://x\n",
        "users:\r\n- name: a\r\n  user: {}\r\n",
        "users:\n- name: a\n  user:\n",
        "users:\n    - name: a\n      user: {}\n  # a comment at the end",
        "clusters:\n- name: a\n  cluster:\n    server: x\n...\n---\nother: document\n",
        "preferences: {colors: true}\nextensions:\n- name: x\n  extension: {a: [1, 2]}\n",
    ],
)
def test_every_form_of_a_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config"
    file.write_bytes(text.encode())
    old = next(yaml.safe_load_all(text), None) or {}
    merge_into(file, NEW, use=True)
    new = next(yaml.safe_load_all(file.read_text()))
    for key in ("clusters", "users", "contexts"):
        assert new[key] == (old.get(key) or []) + [{"name": n, key[:-1]: dict(b)} for n, b in NEW.of(key).items()]
    assert new["current-context"] == "lab"
    assert {k: v for k, v in old.items() if k not in ("clusters", "users", "contexts", "current-context")}.items() <= new.items()
    rest = iter(file.read_bytes().decode().splitlines())
    comments = [line[line.index("#") :] for line in text.splitlines() if "#" in line]
    assert all(any(comment in line for line in rest) for comment in comments)


@pytest.mark.parametrize("text", ["users: &a\n- name: a\n  user: {}\nother: *a\n", "users: &a [{name: a, user: {}}]\nmine: *a\n"])
def test_a_form_that_cannot_be_added_to(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    assert problems(file, NEW) == [(str(file), "kubeconfig.form")]


@pytest.mark.parametrize("text", ["users: 5\n", "- a\n", "users: [\n", "\xff"])
def test_a_file_that_is_no_kubeconfig(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config"
    file.write_bytes(text.encode("latin-1"))
    assert problems(file, NEW)


def test_a_new_file_in_a_new_folder(tmp_path: Path) -> None:
    file = tmp_path / ".kube" / "config"
    done = merge_into(file, NEW)
    assert (done.backup, done.current) == (None, "")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert read_entries(file) == Entries(NEW.clusters, NEW.users, NEW.contexts, "")


def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "config"
    link.symlink_to(Path("..") / "config")
    done = merge_into(link, NEW)
    assert link.is_symlink()
    assert (done.file, done.backup.parent if done.backup else None) == (file, tmp_path)
    assert names(file, "clusters") == ["prod", "lab"]
    assert list(link.parent.iterdir()) == [link]


def test_a_link_to_nowhere(tmp_path: Path) -> None:
    link = tmp_path / "config"
    link.symlink_to(tmp_path / "none" / "config")
    assert problems(link, NEW) == [(str(link), "kubeconfig.target")]


def test_a_folder_is_no_kubeconfig(tmp_path: Path) -> None:
    assert problems(tmp_path, NEW) == [(str(tmp_path), "kubeconfig.target")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user(file: Path) -> None:
    os.chown(file, 4242, 4242)
    assert problems(file, NEW) == [(str(file), "kubeconfig.target")]


def test_a_lock_is_waited_for(file: Path) -> None:
    lock = file.with_name("config.lock")
    lock.touch()
    release = threading.Timer(0.3, lock.unlink)
    release.start()
    merge_into(file, NEW, seconds=10)
    release.join()
    assert names(file, "clusters") == ["prod", "lab"]
    assert not lock.exists()


def test_a_lock_of_somebody_who_died_is_told_with_its_age_and_stays(file: Path) -> None:
    lock = file.with_name("config.lock")
    lock.touch()
    hours = time.time() - 3 * 3600
    os.utime(lock, (hours, hours))
    with pytest.raises(Locked, match="3 hours old") as caught:
        merge_into(file, NEW, seconds=0.1)
    assert f"rm {lock}" in caught.value.hint
    assert (lock.exists(), file.read_text()) == (True, TEXT)


def test_a_fresh_lock_is_not_to_be_removed_lightly(file: Path) -> None:
    file.with_name("config.lock").touch()
    with pytest.raises(Locked, match=" s old") as caught:
        merge_into(file, NEW, seconds=0.1)
    assert "rm " not in caught.value.hint


def test_the_lock_is_gone_after_a_refusal(file: Path) -> None:
    problems(file, Entries(users={"jäne": {"token": "x"}}))
    assert not file.with_name("config.lock").exists()


def test_a_signal_leaves_no_lock_behind(tmp_path: Path) -> None:
    """The whole program: it ends by the signal, and kubectl can write."""
    script = "from pathlib import Path; from kubegate.cluster.kubeconfig_lock import locked; import os, signal, sys\n"
    script += "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
    script += "with locked(Path(sys.argv[1]), 1): os.kill(os.getpid(), signal.SIGINT); print('still here', flush=True)\n"
    script += "print('never')"
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "config")], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (-signal.SIGINT, "still here\n"), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileTrouble, match="cannot be written"):
        merge_into(Path("/proc/none/config"), NEW)
    assert list(tmp_path.iterdir()) == []


# Where the entries come from.


def test_relative_files_are_named_by_their_own_place(tmp_path: Path, file: Path) -> None:
    source = tmp_path / "there" / "source"
    source.parent.mkdir()
    user = {"client-certificate": "me.crt", "client-key": "/abs/me.key", "tokenFile": "../token"}
    source.write_bytes(
        render_kubeconfig(
            Entries(
                clusters={"a": {"server": "https://a", "certificate-authority": "ca.crt"}},
                users={"u": user, "p": {"exec": {"command": "./login", "args": ["x"]}}, "q": {"exec": {"command": "login"}}},
            )
        )
    )
    merge_into(file, read_entries(source))
    found = {one["name"]: one["user"] for one in parsed(file)["users"]}
    assert parsed(file)["clusters"][1]["cluster"]["certificate-authority"] == str(tmp_path / "there" / "ca.crt")
    there = str(tmp_path / "there")
    assert found["u"] == {"client-certificate": f"{there}/me.crt", "client-key": "/abs/me.key", "tokenFile": f"{tmp_path}/token"}
    assert found["p"]["exec"] == {"command": f"{there}/login", "args": ["x"]}
    assert found["q"]["exec"] == {"command": "login"}
    assert merge_into(file, read_entries(source)).added == ()


def test_other_names() -> None:
    found = renamed(NEW, {"lab-user": "me"}, "x-", "--rename")
    assert list(found.clusters) == ["x-lab"]
    assert list(found.users) == ["x-me"]
    assert found.contexts == {"x-lab": {"cluster": "x-lab", "user": "x-me"}}
    assert found.current_context == "x-lab"


def test_names_that_cannot_be() -> None:
    two = Entries(clusters={"a": {}, "b": {}})
    with pytest.raises(InvalidInput) as caught:
        renamed(two, {"none": "x", "a": "b"}, "", "--rename")
    assert [(one.where, one.message) for one in caught.value.problems] == [
        ("--rename none", "nothing has this name"),
        ("--rename", "two clusters would be called b"),
    ]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    hard = ["y", "12e3", "null", "a: b", "# no", "ä\u2028\n", "'\"", "2020-01-01", "*x", " "]
    entries = Entries(users={name: {"token": name, "as-groups": hard} for name in hard}, clusters={"c": {"server": "https://c"}})
    file = tmp_path / "config"
    file.write_bytes(render_kubeconfig(entries))
    assert read_entries(file) == entries
    other = tmp_path / "other"
    other.write_text(TEXT)
    merge_into(other, read_entries(file))
    assert {name: dict(read_entries(other).users[name]) for name in hard} == entries.users


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Co", "Cn"]), min_size=1, max_size=8)
BODIES = st.dictionaries(st.sampled_from(["server", "token", "namespace", "x"]), NAMES | st.lists(NAMES, max_size=2), max_size=3)
LISTS = st.dictionaries(NAMES, BODIES, max_size=3)


@given(
    lists=st.fixed_dictionaries(
        {}, optional={key: st.none() | LISTS for key in ("clusters", "users", "contexts", "preferences")}
    ),
    flow=st.sampled_from([None, True, False]),
    indent=st.integers(2, 5),
    use=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_any_file_that_yaml_can_write(lists: dict[str, Any], flow: bool | None, indent: int, use: bool) -> None:
    document: dict[str, Any] = {
        key: value if value is None or key == "preferences" else [{"name": name, key[:-1]: body} for name, body in value.items()]
        for key, value in lists.items()
    }
    # No alias stands for something that is there twice.
    text = yaml.dump(
        json.loads(json.dumps(document)), default_flow_style=flow, indent=indent, sort_keys=False, allow_unicode=True
    )
    items = {"clusters": [{"name": "kubegate-new", "cluster": {"server": "s"}}], "users": [{"name": "kubegate-new", "user": {}}]}
    changed = with_additions(text, items, "now" if use else None, "FILE")
    expected = document | {key: [*(document.get(key) or []), *new] for key, new in items.items()}
    assert yaml.safe_load(changed) == (expected | {"current-context": "now"} if use else expected)
    if flow is False:
        rest = iter([_without_value(line) for line in changed.splitlines()])
        assert all(_without_value(line) in rest for line in text.splitlines() if line != "{}")


def _without_value(line: str) -> str:
    """A line without the nothing in whose place a list stands now."""
    return line.removesuffix("null").removesuffix("[]").rstrip()
