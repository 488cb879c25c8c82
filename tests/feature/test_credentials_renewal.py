"""A context's credential while a proxy runs: what is renewed, when, how often, and what happens if it is not."""

import asyncio
import json
import time
from pathlib import Path

import pytest
import yaml

from tests.support.credentials import Desk, quiet
from tests.support.identity import CLIENT as CLIENT_ID
from tests.support.identity import SECRET, IdentityProvider, id_token
from tests.support.tls import cluster_authority


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


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


def test_a_login_that_fails_at_first(desk: Desk) -> None:
    async def scene(desk: Desk) -> None:
        assert desk.first.authorization == ""
        desk.grants("second")
        await desk.publishes()

    desk.plugin(f"cat {desk.folder}/answer")
    desk.write()
    desk.may_fail = True
    desk.run(scene)
    assert (desk.sent(), desk.said) == (["Bearer second"], ["context x can be used again"])


def test_a_file_that_is_missing_at_first(desk: Desk) -> None:
    async def scene(desk: Desk) -> None:
        (desk.folder / "token").write_text("second")
        await desk.publishes(within=1.5)

    desk.user = {"tokenFile": "token"}
    desk.write()
    desk.may_fail = True
    desk.run(scene)
    assert desk.sent() == ["Bearer second"]


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
