"""`kubegate render --push`: the whole set or nothing, to a machine whose host key is known, over the real sshd."""

import asyncio
import contextlib
import os
import signal
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
import yaml

from kubegate.render.targets import Artefact, Rendered
from kubegate.runtime import push
from tests.support.commands import facts, said
from tests.support.engines import check
from tests.support.expose import command, home, kubegate
from tests.support.run import cluster, gate_file
from tests.support.sshd import HOST, Machine, keygen, machine
from tests.support.upstream import Upstream, eventually

pytestmark = pytest.mark.haproxy


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def there(upstream: Upstream, tmp_path: Path) -> Iterator[Machine]:
    """A machine, and a declaration in the person's home."""
    with home() as person, machine(person, tmp_path) as there:
        (person.path / "kubegate.yaml").write_text(yaml.safe_dump(gate_file(person.path, cluster(person.path, "one", upstream))))
        yield there


def words(there: Machine, to: str = "") -> list[str]:
    """The command line."""
    file = str(there.person.path / "kubegate.yaml")
    return ["render", "haproxy", "--standalone", "-c", file, "--push", to or there.destination]


def set_name(there: Machine, name: str) -> None:
    """Another name in the declaration, so that another set comes of it."""
    file = there.person.path / "kubegate.yaml"
    document = yaml.safe_load(file.read_text())
    document["clusters"][0]["name"] = name
    file.write_text(yaml.safe_dump(document))


def test_a_set_is_copied_whole_with_keys_for_their_owner_alone(there: Machine) -> None:
    found = facts(*words(there), home=there.person)
    assert there.link.is_symlink()
    assert found["pushed"] == {"folder": str(there.link), "leadsTo": str(there.link.resolve()), "before": ""}
    assert {path.name for path in there.link.iterdir()} == set(found["files"])
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in there.link.iterdir()}
    assert {name for name, mode in modes.items() if mode == 0o600} == {"main.pem", "main-one-" + key_suffix(modes)}
    assert set(modes.values()) == {0o600, 0o644}
    assert found["next"] == [f"haproxy -f {there.link}/haproxy.cfg"]
    done = check("haproxy-wheel", there.link)
    assert done.returncode == 0, done.stderr


def key_suffix(modes: dict[str, int]) -> str:
    """What the name of the only certificate file of cluster `one` ends in."""
    [name] = [name for name in modes if name.startswith("main-one-")]
    return name.removeprefix("main-one-")


def test_the_next_set_takes_its_place_in_one_step_and_the_one_before_stays(there: Machine) -> None:
    stop, missed = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            try:
                text = (there.link / "haproxy.cfg").read_text()
            except OSError as error:
                missed.append(str(error))
                return
            if not text.endswith("\n") or "\nfrontend main\n" not in text:
                missed.append(text[-80:])

    said(*words(there), home=there.person)
    reader = threading.Thread(target=read)
    reader.start()
    led = [there.link.resolve()]
    for name in ("two", "three"):
        set_name(there, name)
        text = said(*words(there), home=there.person)
        assert f"what was there before is still in {led[-1]}" in text
        led.append(there.link.resolve())
    stop.set()
    reader.join()
    assert not missed
    assert there.folders() == {path.name for path in led[1:]}, "the one before is kept, no older one"


def test_a_host_key_that_is_not_known_is_refused_with_its_fingerprint(there: Machine) -> None:
    there.known_hosts.unlink()
    text = said(*words(there), home=there.person, code=1)
    assert f"the host key of [{HOST}]:{there.port} is not known: ssh-ed25519 {there.fingerprint}" in text
    assert f"ssh-keyscan -p {there.port}" in text
    assert not list(there.folder.iterdir())


def test_another_host_key_than_the_known_one_is_refused(there: Machine, tmp_path: Path) -> None:
    there.know(keygen(tmp_path / "other"))
    text = said(*words(there), home=there.person, code=1)
    assert f"shows another host key than the one in ~/.ssh/known_hosts: ssh-ed25519 {there.fingerprint}" in text
    assert f"ssh-keygen -R '[{HOST}]:{there.port}'" in text
    assert not list(there.folder.iterdir())


def test_whoever_is_not_let_in_is_told(there: Machine) -> None:
    for path in (there.person.path / ".ssh").glob("id_ed25519*"):
        path.unlink()
    keygen(there.person.path / ".ssh" / "id_ed25519")
    text = said(*words(there), home=there.person, code=1)
    assert f"{HOST} does not let you in" in text
    assert "authorized_keys" in text


def test_a_folder_that_no_push_has_made_is_left_alone(there: Machine) -> None:
    there.link.mkdir()
    (there.link / "precious").write_text("kept")
    [problem] = facts(*words(there), home=there.person, code=2)["problems"]
    assert problem["code"] == "push.folder"
    assert (there.link / "precious").read_text() == "kept"
    assert not there.folders()


def test_a_link_that_no_push_has_made_is_left_alone(there: Machine) -> None:
    (there.folder / "mine").mkdir()
    there.link.symlink_to("mine")
    [problem] = facts(*words(there), home=there.person, code=2)["problems"]
    assert problem["code"] == "push.folder"
    assert there.link.readlink() == Path("mine")


def test_what_cannot_be_written_here_is_not_pushed_and_what_is_not_pushed_is_not_left_here(there: Machine) -> None:
    out = there.person.path / "set"
    out.mkdir()
    [problem] = facts(*words(there), "--out", str(out), home=there.person, code=2)["problems"]
    assert problem["code"] == "out.folder"
    assert not list(there.folder.iterdir()), "nothing was changed there"
    out.rmdir()
    facts(*words(there, f"{there.destination}/no/such/gate"), "--out", str(out), home=there.person, code=1)
    assert not out.exists()


def test_a_set_that_is_in_its_place_is_not_removed_by_what_comes_after(there: Machine) -> None:
    to = push.destination(there.destination)

    class Late:
        """Is ended after the link was switched, before that is heard of; and cannot list what is beside it."""

        def __init__(self, sftp: Any, *, ended: bool) -> None:
            self._sftp, self._ended = sftp, ended

        def __getattr__(self, name: str) -> Any:
            return getattr(self._sftp, name)

        async def posix_rename(self, *paths: str) -> None:
            await self._sftp.posix_rename(*paths)
            if self._ended:
                raise asyncio.CancelledError

        async def listdir(self, path: str) -> list[str]:
            raise asyncssh.SFTPPermissionDenied(path)

    made = Rendered((Artefact("one", b"1"),))
    options = {"known_hosts": str(there.known_hosts), "client_keys": [str(there.person.path / ".ssh" / "id_ed25519")]}

    async def twice() -> None:
        async with (
            asyncssh.connect("127.0.0.1", there.port, host_key_alias=HOST, config=None, **options) as connection,
            connection.start_sftp_client() as sftp,
        ):
            with pytest.raises(asyncio.CancelledError):
                await push._copy(Late(sftp, ended=True), made, to)  # type: ignore[arg-type]
            assert (there.link / "one").read_text() == "1"
            await push._copy(Late(sftp, ended=False), made, to)  # type: ignore[arg-type]

    asyncio.run(twice())
    assert (there.link / "one").read_text() == "1"


def test_a_parent_folder_that_is_missing_is_told_with_the_command_that_makes_it(there: Machine) -> None:
    text = said(*words(there, f"{there.destination}/no/such/gate"), home=there.person, code=1)
    assert f"mkdir -p {there.link}/no/such" in text


@pytest.mark.parametrize(
    "to",
    ["agent.test", "agent.test:", "agent.test:relative/folder", ":/srv/gate", "-oProxyCommand=x:/srv", "agent.test:/", "a b:/x"],
)
def test_what_is_no_folder_of_a_machine_is_refused(there: Machine, to: str) -> None:
    done = kubegate(*words(there)[:-1], to, "--output", "json", home=there.person)
    assert done.returncode == 2, done.stdout
    assert '"code":"push.destination"' in done.stdout


def test_a_push_that_is_killed_changes_nothing_that_is_seen(there: Machine) -> None:
    said(*words(there), home=there.person)
    before = there.link.resolve()
    set_name(there, "two")
    process = subprocess.Popen(
        command(*words(there)), env=there.person.environ(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    with contextlib.suppress(ProcessLookupError):
        eventually(lambda: len(there.folders()) > 1 or process.poll() is not None, "the second has begun")
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    now = there.link.resolve()
    assert (now / "haproxy.cfg").read_text().endswith("\n")
    assert now == before or check("haproxy-wheel", there.link).returncode == 0
    # Another one repairs what is left.
    said(*words(there), home=there.person)
    assert check("haproxy-wheel", there.link).returncode == 0


def test_an_unreachable_machine_is_told(there: Machine) -> None:
    config = there.person.path / ".ssh" / "config"
    config.write_text(config.read_text().replace(f"Port {there.port}", "Port 1"))
    text = said(*words(there), home=there.person, code=1)
    assert f"no connection to {HOST}: connection refused" in text


def test_as_this_machine_would_run_it_is_not_pushed(there: Machine) -> None:
    file = str(there.person.path / "kubegate.yaml")
    [problem] = facts("render", "haproxy", "-c", file, "--push", there.destination, home=there.person, code=2)["problems"]
    assert (problem["code"], problem["hint"]) == ("render.standalone", "add --standalone")


def test_the_commands_of_the_page_do_what_it_says(there: Machine) -> None:
    page = Path(__file__).parents[2] / "docs" / "targets.md"
    lines = [line.partition("#")[0].split() for line in page.read_text().splitlines() if line.startswith("kubegate render ")]
    assert [line[2] for line in lines] == ["haproxy", "haproxy", "envoy", "marathon", "systemd", "haproxy"]
    seen = there.person.path / "kubegate.yaml"
    for number, line in enumerate(lines):
        others = {"kubegate.yaml": str(seen), "set": str(there.person.path / f"set-{number}")}
        others |= {"root@10.0.0.7:/srv/gate": there.destination}
        if line[2] == "systemd":
            # The page's file is one that a unit can see; this one is not.
            assert "does not see /tmp" in said("render", "systemd", "-c", str(seen), home=there.person, code=2)
            continue
        done = kubegate(*(others.get(word, word) for word in line[1:]), home=there.person)
        assert done.returncode == 0, done.stderr
    assert {path.name for path in there.person.path.glob("set-*")} == {"set-1", "set-2", "set-3"}
    assert there.link.is_symlink()
