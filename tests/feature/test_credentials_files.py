"""A context's credential while a proxy runs: the kubeconfig and the files that it names change in every way."""

import asyncio
import os
import statistics
import time
from pathlib import Path

import pytest
import yaml

from tests.support.credentials import Desk, quiet, replace_file
from tests.support.forge import CLIENT, forge

CA, OTHER_CA = (forge(name, ca=True) for name in ("one", "two"))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


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


def test_everything_is_in_force_within_a_second(desk: Desk) -> None:
    took: dict[str, list[float]] = {"rotation": [], "removal": [], "return": []}

    async def timed(desk: Desk, what: str, contexts: list[object] | None = None) -> None:
        began, count = time.monotonic(), len(desk.published)
        desk.write(**({} if contexts is None else {"contexts": contexts}))
        await desk.publishes(count + 1)
        took[what].append(time.monotonic() - began)

    async def scene(desk: Desk) -> None:
        for number in range(5):
            desk.user = {"token": f"number-{number}"}
            await timed(desk, "rotation")
            await timed(desk, "removal", [])
            await timed(desk, "return")

    desk.write()
    desk.run(scene)
    assert all(statistics.median(times) < 1 for times in took.values()), took


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
    assert desk.said[1:] == ["context x can be used again"]


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
