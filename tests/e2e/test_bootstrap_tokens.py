"""`kubegate bootstrap token` on the real API server."""

import json
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.support.expose import Home, command
from tests.support.upstream import eventually

GROUP = "system:bootstrappers:tests"


class Tokens:
    """The command, and what it made."""

    def __init__(self, cluster: Cluster, person: Home) -> None:
        self.cluster = cluster
        self.person = person
        self.made: list[str] = []

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        environ = self.person.environ({"KUBECONFIG": str(self.cluster.kubeconfig)})
        done = subprocess.run(
            command("bootstrap", "token", *words), env=environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert "Traceback" not in done.stderr
        return done

    def create(self, *words: str) -> str:
        """The whole token."""
        done = self.run("create", *words)
        assert done.returncode == 0, done.stderr
        self.made.append(done.stdout[:6])
        return done.stdout.strip()

    def who(self, token: str) -> str:
        """Who the API server takes a bearer of it for, empty if for nobody."""
        server = self.cluster.servers[0].url
        trusted = ("--certificate-authority", str(self.cluster.ca.certificate))
        asked = ("auth", "whoami", "-o", "json", "--token", token, "--server", server)
        done = self.cluster.kubectl(*asked, *trusted, kubeconfig=Path("/dev/null"), check=False)
        return json.dumps(json.loads(done.stdout)["status"]["userInfo"]) if done.returncode == 0 else ""


@pytest.fixture
def tokens(cluster: Cluster, person: Home) -> Iterator[Tokens]:
    found = Tokens(cluster, person)
    yield found
    for one in found.made:
        cluster.kubectl("-n", "kube-system", "delete", "secret", f"bootstrap-token-{one}", "--ignore-not-found")


def test_a_token_authenticates_until_it_is_deleted(tokens: Tokens) -> None:
    token = tokens.create("--for", "1h", "--group", GROUP, "--description", "rack 7")
    who = tokens.who(token)
    assert f"system:bootstrap:{token[:6]}" in who
    assert GROUP in who
    listed = tokens.run("list")
    assert f"{token[:6]}.****" in listed.stdout
    assert "rack 7" in listed.stdout
    assert token[7:] not in listed.stdout
    facts = json.loads(tokens.run("list", "--output", "json").stdout)["tokens"]
    assert [(one["groups"], one["faults"]) for one in facts if one["id"] == token[:6]] == [([GROUP], [])]
    gone = tokens.run("delete", token[:6])
    assert (gone.returncode, token[:6] in gone.stdout) == (0, True)
    eventually(lambda: tokens.who(token) == "")


def test_one_for_signing_alone_authenticates_nobody(tokens: Tokens) -> None:
    assert tokens.who(tokens.create("--usage", "signing")) == ""


def test_a_token_can_go_into_a_file_of_its_owner(tokens: Tokens, tmp_path: Path) -> None:
    file = tmp_path / "token"
    assert tokens.run("create", "--out", str(file)).stdout.strip() == str(file)
    token = file.read_text().strip()
    tokens.made.append(token[:6])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "system:bootstrap:" in tokens.who(token)
    again = tokens.run("create", "--out", str(file))
    assert (again.returncode, file.read_text().strip()) == (2, token)


def test_what_cannot_be_is_told_at_once_and_nothing_is_made(tokens: Tokens) -> None:
    before = tokens.run("list").stdout
    wrong = tokens.run("create", "--for", "soon", "--group", "system:masters", "--usage", "signing")
    assert wrong.returncode == 2
    assert "3 problems; nothing was made" in wrong.stderr
    unknown = tokens.run("delete", "nobody")
    assert (unknown.returncode, "nobody" in unknown.stderr) == (2, True)
    assert tokens.run("list").stdout == before
