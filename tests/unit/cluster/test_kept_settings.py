"""New tokens written into a kubeconfig: what changes, what stays as it is, and when nothing is written."""

import os
from pathlib import Path

import pytest
import yaml

from kubegate.cluster.kept_settings import NotKept, keep_settings

TEXT = """\
# of the whole team
users:
- name: other
  user: {auth-provider: {name: oidc, config: {id-token: theirs}}}
- name: jäne  # me
  user:
    auth-provider:
      name: oidc
      config:
        client-id: kube   # registered by ops
        id-token: 'old.id.token'  # short
        refresh-token: old-refresh
        idp-issuer-url: "https://idp.test"
current-context: prod
"""
BEFORE = {"client-id": "kube", "id-token": "old.id.token", "refresh-token": "old-refresh", "idp-issuer-url": "https://idp.test"}
CHANGES = {"id-token": "new.id.token", "refresh-token": "new-refresh"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config"
    path.write_text(TEXT)
    path.chmod(0o640)
    return path


def test_two_values_change(file: Path) -> None:
    keep_settings(file, "jäne", BEFORE, CHANGES)
    expected = TEXT.replace("'old.id.token'", '"new.id.token"').replace("old-refresh", '"new-refresh"')
    assert file.read_text() == expected
    assert file.stat().st_mode & 0o777 == 0o640
    assert list(file.parent.iterdir()) == [file]


def test_what_is_the_same_is_not_written(file: Path) -> None:
    before = file.stat()
    keep_settings(file, "jäne", BEFORE, {"refresh-token": "old-refresh"})
    assert file.stat() == before
    keep_settings(file, "jäne", BEFORE, {"id-token": "n", "refresh-token": "old-refresh"})
    assert file.read_text() == TEXT.replace("'old.id.token'", '"n"')


@pytest.mark.parametrize(
    "config",
    ["\n        client-id: kube\n", " {client-id: kube}\n", " {'client-id': kube, x: y}\n", '\n        "client-id": kube\n'],
)
def test_a_key_that_is_not_there_yet(tmp_path: Path, config: str) -> None:
    file = tmp_path / "config"
    file.write_text(f"users:\n- name: u\n  user:\n    auth-provider:\n      name: oidc\n      config:{config}kind: Config\n")
    keep_settings(file, "u", {"client-id": "kube"}, {"id-token": "new"})
    found = yaml.safe_load(file.read_text())
    assert found["users"][0]["user"]["auth-provider"]["config"]["id-token"] == "new"
    assert found["users"][0]["user"]["auth-provider"]["config"]["client-id"] == "kube"


def test_json(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text('{"users": [{"name": "u", "user": {"auth-provider": {"config": {"id-token": "a"}}}}]}')
    keep_settings(file, "u", {"id-token": "a"}, {"id-token": "b"})
    assert file.read_text() == '{"users": [{"name": "u", "user": {"auth-provider": {"config": {"id-token": "b"}}}}]}'


def test_a_link_stays_one(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)
    keep_settings(link, "jäne", BEFORE, CHANGES)
    assert link.is_symlink()
    assert "new.id.token" in file.read_text()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (TEXT.replace("old.id.token", "another.id.token"), "something else"),
        (TEXT.replace("jäne", "joe"), "something else"),
        ("", "something else"),
        ("users: [", "cannot be read"),
        (TEXT.replace("'old.id.token'", "&a old.id.token").replace("old-refresh", "*a"), "something else"),
    ],
)
def test_what_is_not_written(file: Path, text: str, why: str) -> None:
    file.write_text(text)
    with pytest.raises(NotKept, match=why) as caught:
        keep_settings(file, "jäne", BEFORE, CHANGES)
    assert file.read_text() == text
    assert "token" not in caught.value.message.replace("tokens", "")
    assert list(file.parent.iterdir()) == [file]


def test_an_alias_would_change_too(tmp_path: Path) -> None:
    first = "users:\n- name: u\n  user: {auth-provider: {config: &c {id-token: a}}}\n"
    file = tmp_path / "config"
    file.write_text(f"{first}- name: v\n  user: {{auth-provider: {{config: *c}}}}\n")
    keep_settings(file, "u", {"id-token": "a"}, {"id-token": "b"})
    assert yaml.safe_load(file.read_text())["users"][1]["user"]["auth-provider"]["config"] == {"id-token": "b"}


def test_the_lock_of_kubectl(file: Path) -> None:
    lock = file.with_name("config.lock")
    lock.touch()
    with pytest.raises(NotKept, match="another program"):
        keep_settings(file, "jäne", BEFORE, CHANGES)
    assert file.read_text() == TEXT
    assert lock.exists()


def test_a_file_that_is_gone(file: Path) -> None:
    file.unlink()
    with pytest.raises(NotKept, match="no such file"):
        keep_settings(file, "jäne", BEFORE, CHANGES)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_somebody_else(file: Path) -> None:
    os.chown(file, 65534, 65534)
    with pytest.raises(NotKept, match="of this user"):
        keep_settings(file, "jäne", BEFORE, CHANGES)
