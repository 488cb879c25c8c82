"""A context's credential while a proxy runs: files that change in every way, and what is renewed, when, and how often."""

import asyncio
import errno
import json
import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubegate.cluster.kubeconfig import Chosen
from kubegate.cluster.login import Login
from kubegate.proxy.credentials import Credentials
from tests.support.forge import CLIENT, forge
from tests.support.identity import CLIENT as CLIENT_ID
from tests.support.identity import SECRET, IdentityProvider, id_token
from tests.support.tls import cluster_authority

V1 = "client.authentication.k8s.io/v1"
WITHIN_SECONDS = 1.0
QUIET_SECONDS = 0.9
CA, OTHER_CA = (forge(name, ca=True) for name in ("one", "two"))


class Desk:
    """A folder with a kubeconfig, and credentials made of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kubeconfig = folder / "config"
        self.environ = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder)}
        self.published: list[tuple[Login | None, str]] = []
        self.said: list[str] = []
        self.user: dict[str, Any] = {"token": "first"}
        self.cluster: dict[str, Any] = {"server": "https://api.test:6443"}
        self.credentials: Credentials
        self.first = Login()
        self.refuses = 0

    def document(self, **top: Any) -> dict[str, Any]:
        return {
            "clusters": [{"name": "c", "cluster": self.cluster}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}, {"name": "y", "context": {"cluster": "c"}}],
            "users": [{"name": "u", "user": self.user}],
            "current-context": "x",
        } | top

    def write(self, **top: Any) -> None:
        """The kubeconfig anew, in one step."""
        replace_file(self.kubeconfig, yaml.safe_dump(self.document(**top)))

    def plugin(self, script: str, **more: Any) -> None:
        """A plugin, which counts how often it runs."""
        path = self.folder / "login"
        path.write_text(f"#!/bin/sh\necho run >> {self.folder}/runs\n{script}\n")
        path.chmod(0o755)
        self.user = {"exec": {"command": str(path), "apiVersion": V1, "interactiveMode": "IfAvailable"} | more}

    def grants(self, token: str, seconds: float | None = None) -> None:
        """What the plugin answers from now on."""
        status = {"token": token}
        if seconds is not None:
            status["expirationTimestamp"] = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
        answer = json.dumps({"kind": "ExecCredential", "apiVersion": V1, "status": status})
        replace_file(self.folder / "answer", answer)

    @property
    def runs(self) -> int:
        return len((self.folder / "runs").read_text().splitlines())

    def sent(self) -> list[str | None]:
        """What was published, as the value of Authorization."""
        return [login.authorization if login else None for login, _ in self.published]

    async def publishes(self, count: int = 1, within: float = WITHIN_SECONDS) -> None:
        """Wait until so much was published since the start."""
        began = time.monotonic()
        while len(self.published) < count:
            assert time.monotonic() - began < within, f"not within {within} s: {self.published} {self.said}"
            await asyncio.sleep(0.01)

    def run(self, scene: Callable[["Desk"], Awaitable[None]], *, patience: float = 5.0) -> None:
        """Play a scene with credentials that have started."""

        async def publish(login: Login | None, why: str) -> None:
            if self.refuses:
                self.refuses -= 1
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.published.append((login, why))

        async def play() -> None:
            load = Chosen(self.kubeconfig, None, self.environ)
            self.credentials = Credentials(load, self.environ, publish, self.said.append, patience=patience, timeout=10)
            self.first = await self.credentials.start()
            running = asyncio.create_task(self.credentials.run())
            await asyncio.sleep(0.3)
            try:
                await scene(self)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

        asyncio.run(play())
        assert not any("first" in text or "secret" in text for text in self.said)


def replace_file(path: Path, content: str | bytes) -> None:
    """Another file of the same name, in one step."""
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content if isinstance(content, bytes) else content.encode())
    new.replace(path)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def quiet(desk: Desk) -> None:
    """Nothing is published for a while."""
    before = len(desk.published)
    await asyncio.sleep(QUIET_SECONDS)
    assert len(desk.published) == before, desk.published[before:]


def test_a_token_in_the_kubeconfig(desk: Desk) -> None:
    async def scene(desk: Desk) -> None:
        desk.user = {"token": "second"}
        desk.write()
        await desk.publishes()
        desk.kubeconfig.write_text(desk.kubeconfig.read_text().replace("second", "third"))
        await desk.publishes(2)

    desk.write()
    desk.run(scene)
    assert (desk.first.authorization, desk.sent(), desk.said) == ("Bearer first", ["Bearer second", "Bearer third"], [])


def test_the_context_stays_the_one_of_the_start(desk: Desk) -> None:
    async def scene(desk: Desk) -> None:
        desk.write(**{"current-context": "y"})
        await quiet(desk)
        desk.user = {"token": "second"}
        desk.write(**{"current-context": "y"})
        await desk.publishes()

    desk.write()
    desk.run(scene)
    assert (desk.sent(), desk.said) == (["Bearer second"], [])


@pytest.mark.parametrize("how", ["in place", "renamed", "another link"])
def test_a_token_file(desk: Desk, how: str) -> None:
    token = desk.folder / "token"
    for name in ("one", "two"):
        (desk.folder / name).mkdir()
        (desk.folder / name / "token").write_text("first" if name == "one" else "second")
    if how == "another link":
        # As Kubernetes projects a volume: the file is a link through a link of a folder.
        (desk.folder / "..data").symlink_to("one")
        token.symlink_to("..data/token")
    else:
        token.write_text("first")

    async def scene(desk: Desk) -> None:
        if how == "in place":
            token.write_text("second")
        elif how == "renamed":
            replace_file(token, "second\n")
        else:
            (desk.folder / "..tmp").symlink_to("two")
            (desk.folder / "..tmp").replace(desk.folder / "..data")
        await desk.publishes()

    desk.user = {"tokenFile": "token"}
    desk.write()
    desk.run(scene)
    assert (desk.sent(), desk.said) == (["Bearer second"], [])


def test_a_token_file_that_is_gone_for_a_while(desk: Desk) -> None:
    token = desk.folder / "token"
    token.write_text("first")

    async def scene(desk: Desk) -> None:
        token.unlink()
        await quiet(desk)
        token.write_text("")
        await quiet(desk)
        token.write_text("second")
        await desk.publishes()

    desk.user = {"tokenFile": "token"}
    desk.write()
    desk.run(scene)
    assert desk.sent() == ["Bearer second"]
    assert len(desk.said) == 2
    assert all("the credential that was good last goes on" in text for text in desk.said)


def test_a_certificate_and_its_key_one_after_another(desk: Desk) -> None:
    old, new = (forge(name, CA, usages=[CLIENT]) for name in ("old", "new"))
    certificate, key = desk.folder / "c.crt", desk.folder / "c.key"
    certificate.write_bytes(old.pem)
    key.write_bytes(old.key_pem)

    async def scene(desk: Desk) -> None:
        certificate.write_bytes(new.pem)
        await asyncio.sleep(0.2)
        key.write_bytes(new.key_pem)
        await desk.publishes()
        await quiet(desk)

    desk.user = {"client-certificate": "c.crt", "client-key": "c.key"}
    desk.write()
    desk.run(scene)
    ((login, why),) = desk.published
    assert login is not None
    assert (login.certificate_pem, login.key_pem, why, desk.said) == (new.pem, new.key_pem, "its files changed", [])


def test_another_server_and_ca_are_told(desk: Desk) -> None:
    (desk.folder / "ca.crt").write_bytes(CA.pem)
    desk.cluster["certificate-authority"] = "ca.crt"

    async def scene(desk: Desk) -> None:
        desk.cluster["server"] = "https://other.test"
        desk.write()
        await desk.publishes()
        assert desk.credentials.context.url == "https://other.test"
        replace_file(desk.folder / "ca.crt", OTHER_CA.pem)
        await desk.publishes(2)
        assert desk.credentials.context.ca_pem == OTHER_CA.pem

    desk.write()
    desk.run(scene)
    assert desk.said == [
        "context x: its server is https://other.test now, and was https://api.test:6443",
        "context x: its CA is another one",
    ]
    assert [why for _, why in desk.published] == [text.removeprefix("context x: ") for text in desk.said]


@pytest.mark.parametrize("what", ["context", "cluster", "user", "file"])
def test_what_is_removed_and_comes_back(desk: Desk, what: str) -> None:
    async def scene(desk: Desk) -> None:
        if what == "file":
            desk.kubeconfig.unlink()
        else:
            desk.write(**{f"{what}s": []})
        await desk.publishes()
        assert desk.sent() == [None]
        desk.write()
        await desk.publishes(2)

    desk.write()
    desk.run(scene)
    assert desk.sent() == [None, "Bearer first"]
    assert "requests are refused until it is back" in desk.said[0]
    assert desk.said[1:] == ["context x is there again"]


def test_a_file_that_is_written_slowly(desk: Desk) -> None:
    async def scene(desk: Desk) -> None:
        desk.user = {"token": "second"}
        content = yaml.safe_dump(desk.document())
        with desk.kubeconfig.open("w") as file:
            await asyncio.sleep(0.15)
            for start in range(0, len(content), 60):
                file.write(content[start : start + 60])
                file.flush()
                await asyncio.sleep(0.03)
        await desk.publishes()

    desk.write()
    desk.run(scene)
    assert (desk.sent(), desk.said) == (["Bearer second"], [])


def test_a_file_that_is_wrong_is_told_once(desk: Desk) -> None:
    async def scene(desk: Desk) -> None:
        replace_file(desk.kubeconfig, "users: [")
        await asyncio.sleep(3.0)
        assert desk.published == []
        desk.user = {"token": "second"}
        desk.write()
        await desk.publishes()

    desk.write()
    desk.run(scene)
    assert desk.sent() == ["Bearer second"]
    (said,) = desk.said
    assert "is not YAML" in said
    assert "the credential that was good last goes on" in said


def test_what_cannot_be_handed_over_is_tried_again(desk: Desk) -> None:
    async def scene(desk: Desk) -> None:
        desk.refuses = 3
        desk.user = {"token": "second"}
        desk.write()
        await desk.publishes(within=4)
        assert desk.refuses == 0

    desk.write()
    desk.run(scene)
    assert desk.sent() == ["Bearer second"]
    assert desk.said == ["context x: no space left on device; the credential that was good last goes on"]


def test_a_kubeconfig_of_the_list_that_comes_later(desk: Desk) -> None:
    first = desk.folder / "first"
    desk.environ["KUBECONFIG"] = f"{first}{os.pathsep}{desk.kubeconfig}"

    async def scene(desk: Desk) -> None:
        first.write_text(yaml.safe_dump({"users": [{"name": "u", "user": {"token": "second"}}]}))
        await desk.publishes()
        first.unlink()
        await desk.publishes(2)

    desk.write()
    listed, desk.kubeconfig = desk.kubeconfig, None  # type: ignore[assignment]
    desk.run(scene)
    desk.kubeconfig = listed
    assert desk.sent() == ["Bearer second", "Bearer first"]


def test_a_plugin_runs_only_when_it_has_to(desk: Desk) -> None:
    async def scene(desk: Desk) -> None:
        desk.cluster["server"] = "https://other.test"
        desk.write()
        await desk.publishes()
        assert desk.runs == 1
        desk.user["exec"]["args"] = ["more"]
        desk.grants("second")
        desk.write()
        await desk.publishes(2)
        assert desk.runs == 2

    desk.plugin(f"cat {desk.folder}/answer")
    desk.grants("first")
    desk.write()
    desk.run(scene)
    assert desk.sent() == ["Bearer first", "Bearer second"]


def test_a_401_renews_once_for_all(desk: Desk) -> None:
    async def scene(desk: Desk) -> None:
        desk.grants("second")
        began = time.monotonic()
        found = await asyncio.gather(*(desk.credentials.refresh() for _ in range(20)))
        assert all(found)
        assert time.monotonic() - began < 2
        assert (desk.runs, desk.sent()) == (2, ["Bearer second"])
        assert json.loads((desk.folder / "info").read_text())["spec"] == {"interactive": False}
        # What came before it does not begin another one.
        assert not await desk.credentials.refresh()
        assert desk.runs == 2
        await asyncio.sleep(2.1)
        desk.grants("third")
        assert await desk.credentials.refresh()

    desk.plugin(f'printf %s "$KUBERNETES_EXEC_INFO" > {desk.folder}/info; sleep 0.3; cat {desk.folder}/answer')
    desk.grants("first")
    desk.write()
    desk.run(scene)
    assert desk.sent() == ["Bearer second", "Bearer third"]


def test_a_401_waits_for_a_bounded_time(desk: Desk) -> None:
    async def scene(desk: Desk) -> None:
        desk.grants("second")
        (desk.folder / "slow").touch()
        began = time.monotonic()
        assert not await desk.credentials.refresh()
        assert 0.4 < time.monotonic() - began < 1
        await desk.publishes(within=3)

    desk.plugin(f"test -e {desk.folder}/slow && sleep 1.5; cat {desk.folder}/answer")
    desk.grants("first")
    desk.write()
    desk.run(scene, patience=0.5)
    assert desk.sent() == ["Bearer second"]


def test_a_401_reads_files_that_nobody_told_of(desk: Desk) -> None:
    async def scene(desk: Desk) -> None:
        desk.user = {"token": "second"}
        desk.write()
        assert await desk.credentials.refresh()

    desk.write()
    desk.run(scene)
    assert desk.sent() == ["Bearer second"]


def test_a_plugin_that_fails_later(desk: Desk) -> None:
    async def scene(desk: Desk) -> None:
        (desk.folder / "answer").unlink()
        for _ in range(2):
            assert not await desk.credentials.refresh()
            await asyncio.sleep(2.1)
        assert desk.published == []
        desk.grants("second")
        assert await desk.credentials.refresh()

    desk.plugin(f"cat {desk.folder}/answer")
    desk.grants("first")
    desk.write()
    desk.run(scene)
    assert desk.sent() == ["Bearer second"]
    (said,) = desk.said
    assert "exec plugin login: it failed with exit code 1" in said


def test_a_plugin_that_has_to_ask_is_not_begun(desk: Desk) -> None:
    async def scene(desk: Desk) -> None:
        desk.user["exec"]["interactiveMode"] = "Always"
        desk.write()
        await quiet(desk)

    desk.plugin(f"cat {desk.folder}/answer")
    desk.grants("first")
    desk.write()
    desk.run(scene)
    assert desk.runs == 1
    assert "it has to ask a person" in desk.said[0]


def test_renewed_ahead_of_its_end_while_in_use(desk: Desk) -> None:
    async def scene(desk: Desk) -> None:
        desk.credentials.used()
        desk.grants("second", 2.0)
        await desk.publishes(within=1.9)
        # Nobody has used it since.
        desk.grants("third", 60.0)
        await asyncio.sleep(2.5)
        assert desk.runs == 2
        desk.credentials.used()
        await desk.publishes(2)

    desk.plugin(f"cat {desk.folder}/answer")
    desk.grants("first", 2.0)
    desk.write()
    desk.run(scene)
    assert (desk.sent(), desk.runs) == (["Bearer second", "Bearer third"], 3)


def test_a_plugin_that_gives_the_same_until_the_end(desk: Desk) -> None:
    async def scene(desk: Desk) -> None:
        for _ in range(40):
            desk.credentials.used()
            await asyncio.sleep(0.1)

    desk.plugin(f"cat {desk.folder}/answer")
    desk.grants("first", 4.0)
    desk.write()
    desk.run(scene)
    assert desk.runs <= 4
    assert desk.published == []


def test_an_id_token_is_renewed_ahead_of_its_end(desk: Desk) -> None:
    with IdentityProvider() as provider:
        desk.user = {
            "auth-provider": {
                "name": "oidc",
                "config": {
                    "idp-issuer-url": provider.issuer,
                    "client-id": CLIENT_ID,
                    "client-secret": SECRET,
                    "idp-certificate-authority": str(desk.folder / "ca.crt"),
                    "id-token": id_token("first", 13),
                    "refresh-token": "refresh-1",
                },
            }
        }
        (desk.folder / "ca.crt").write_bytes(cluster_authority().pem)

        async def scene(desk: Desk) -> None:
            desk.credentials.used()
            await desk.publishes(within=8)
            await quiet(desk)

        desk.write()
        desk.run(scene)
        assert desk.sent() == [f"Bearer {provider.answer['id_token']}"]
        assert len(provider.forms) == 1
    kept = yaml.safe_load(desk.kubeconfig.read_text())["users"][0]["user"]["auth-provider"]["config"]
    assert kept["id-token"] == provider.answer["id_token"]
