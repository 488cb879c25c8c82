"""The files of a gate change in every way in which files change, and what is wrong in them costs nothing."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from kubegate.system.network import free_port
from tests.support.expose import Home, home
from tests.support.forge import Forged, forge
from tests.support.rawhttp import request
from tests.support.run import Document, Running, cluster, front_leaf, gate_file, run, write_pair
from tests.support.tls import authority, cluster_authority, front_authority
from tests.support.upstream import Upstream, eventually

pytestmark = pytest.mark.haproxy


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as api:
        yield api


@pytest.fixture(scope="module")
def person() -> Iterator[Home]:
    with home() as folder:
        yield folder


@pytest.fixture
def alone() -> Iterator[Home]:
    with home() as folder:
        yield folder


@pytest.fixture(scope="module")
def gate(person: Home, upstream: Upstream) -> Iterator[Running]:
    """A gate whose pair and CA are in a folder of their own, as `files/x`."""
    files = person.path / "files"
    files.mkdir()
    declared = cluster(files, "one", upstream)
    declared["upstream"]["ca"] = "files/one-ca.crt"
    declared["certificate"] = {"cert": "files/one.crt", "key": "files/one.key"}
    with run(gate_file(person.path, declared), person) as running:
        running.until_up("one")
        yield running


@pytest.fixture
def files(gate: Running) -> Path:
    return gate.file.parent / "files"


@pytest.fixture(autouse=True)
def mended(gate: Running, files: Path) -> Iterator[None]:
    """Whatever a test does, and however it ends, the next one begins with a gate of which nothing is refused."""
    declared = gate.file.read_bytes()
    yield
    files.mkdir(exist_ok=True)
    write_pair(files, "one", renewed())
    (files / "one-ca.crt").write_bytes(cluster_authority().pem)
    gate.file.write_bytes(declared)
    eventually(lambda: not gate.status().refused, "all is well again")


def shown(gate: Running) -> int:
    """The serial number of the certificate that the gate shows."""
    with gate.dial() as client:
        return int(str(client.wire.peer["serialNumber"]), 16)


def renewed() -> Forged:
    return front_leaf("one.test", "127.0.0.1")


def shows(gate: Running, leaf: Forged) -> None:
    eventually(lambda: shown(gate) == leaf.certificate.serial_number, f"the new certificate is shown: {gate.said[-2000:]}")
    eventually(lambda: not gate.status().refused, "nothing is refused")


def refuses(gate: Running, *words: str) -> None:
    """What is there now is refused, with these words; and the gate serves as before."""

    def found() -> bool:
        said = [f"{one.where}: {one.message}" for one in gate.status().refused]
        return bool(said) and all(any(word in one for one in said) for word in words)

    before = gate.status().generation
    try:
        eventually(found, f"it is refused for {words}")
    except AssertionError:
        pytest.fail(f"not refused for {words}, but {gate.status().refused}; {gate.said[-2000:]}")
    assert gate.ask().status == 200
    assert gate.status().generation == before
    assert all(one.hint or one.message for one in gate.status().refused)


def rename(folder: Path, name: str, content: bytes) -> None:
    (folder / f"{name}.tmp").write_bytes(content)
    (folder / f"{name}.tmp").replace(folder / name)


def write(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)


def remove_first(folder: Path, name: str, content: bytes) -> None:
    (folder / name).unlink()
    (folder / name).write_bytes(content)


@pytest.mark.parametrize("put", [rename, write, remove_first])
def test_a_pair_is_renewed_file_by_file(gate: Running, files: Path, put: Callable[[Path, str, bytes], None]) -> None:
    leaf, reloads = renewed(), gate.status().reloads
    put(files, "one.key", leaf.key_pem)
    put(files, "one.crt", leaf.pem)
    shows(gate, leaf)
    assert gate.status().reloads == reloads


def test_a_certificate_without_its_key_is_refused_until_it_comes(gate: Running, files: Path) -> None:
    leaf, before = renewed(), shown(gate)
    rename(files, "one.crt", leaf.pem)
    refuses(gate, "key")
    assert shown(gate) == before
    rename(files, "one.key", leaf.key_pem)
    shows(gate, leaf)


def test_a_certificate_that_is_half_written_is_refused_until_it_is_whole(gate: Running, files: Path) -> None:
    leaf, before = renewed(), shown(gate)
    write(files, "one.key", leaf.key_pem)
    write(files, "one.crt", leaf.pem[: len(leaf.pem) // 2])
    refuses(gate, "files/one.crt")
    assert shown(gate) == before
    write(files, "one.crt", leaf.pem)
    shows(gate, leaf)


def test_an_expired_certificate_is_refused(gate: Running, files: Path) -> None:
    expired = forge("one.test", front_authority(), names=["one.test"], since=timedelta(days=9), until=-timedelta(days=1))
    write(files, "one.key", expired.key_pem)
    write(files, "one.crt", expired.pem)
    refuses(gate, "expired")
    leaf = renewed()
    write_pair(files, "one", leaf)
    shows(gate, leaf)


def test_a_ca_that_cannot_be_read_is_refused(gate: Running, files: Path) -> None:
    write(files, "one-ca.crt", b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    refuses(gate, "one-ca.crt")
    # The line that names the file, and the file.
    assert gate.status().refused[0].where.count(str(gate.file)) == 1
    write(files, "one-ca.crt", cluster_authority().pem)
    eventually(lambda: not gate.status().refused, "it is mended")


def test_a_ca_that_verifies_nobody_is_refused_where_somebody_was_verified(gate: Running, files: Path) -> None:
    write(files, "one-ca.crt", authority("another CA").pem)
    refuses(gate, "not trusted")
    write(files, "one-ca.crt", cluster_authority().pem)
    eventually(lambda: not gate.status().refused, "it is mended")


def test_a_file_that_is_gone_and_comes_back(gate: Running, files: Path) -> None:
    key = (files / "one.key").read_bytes()
    (files / "one.key").unlink()
    refuses(gate, "one.key")
    write(files, "one.key", key)
    eventually(lambda: not gate.status().refused, "it is mended")


def test_another_folder_in_the_place_of_theirs(gate: Running, files: Path) -> None:
    """The old one goes, and for a moment there is none."""
    leaf = renewed()
    fresh = files.with_name("fresh")
    shutil.copytree(files, fresh)
    write_pair(fresh, "one", leaf)
    files.rename(files.with_name("old"))
    refuses(gate, "files/one")
    fresh.rename(files)
    shows(gate, leaf)
    # What comes later in the new folder is seen too.
    later = renewed()
    write_pair(files, "one", later)
    shows(gate, later)


def test_a_new_file_that_is_declared_before_it_is_there(gate: Running, files: Path) -> None:
    leaf = renewed()
    document = gate.document
    before = document["clusters"][0]["certificate"]
    gate.rewrite(_declaring(document, {"cert": "files/new.crt", "key": "files/new.key"}))
    refuses(gate, "files/new.crt")
    write_pair(files, "new", leaf)
    shows(gate, leaf)
    gate.edit(lambda now: _declaring(now, before))


def _declaring(document: Document, pair: dict[str, str]) -> Document:
    document["clusters"][0]["certificate"] = pair
    return document


def test_a_projected_volume_is_swapped(alone: Home, upstream: Upstream) -> None:
    """As the kubelet does it: each file is a link by way of `..data`, which is itself a link, and is replaced (KEP 566)."""
    volume = alone.path / "volume"
    first, second = renewed(), renewed()

    def project(stamp: str, leaf: Forged, document: Document) -> None:
        folder = volume / f"..{stamp}"
        folder.mkdir(parents=True)
        write_pair(folder, "tls", leaf)
        (folder / "ca.crt").write_bytes(cluster_authority().pem)
        (folder / "kubegate.yaml").write_text(yaml.safe_dump(document))
        (volume / "..data_tmp").symlink_to(folder.name)
        (volume / "..data_tmp").replace(volume / "..data")

    declared = cluster(alone.path, "one", upstream)
    declared["upstream"]["ca"] = "ca.crt"
    declared["certificate"] = {"cert": "tls.crt", "key": "tls.key"}
    document = gate_file(volume, declared)
    project("2026_11_24_01", first, document)
    for name in ("tls.crt", "tls.key", "ca.crt", "kubegate.yaml"):
        (volume / name).symlink_to(f"..data/{name}")
    with there_already(volume / "kubegate.yaml", alone) as gate:
        assert shown(gate) == first.certificate.serial_number
        project("2026_11_24_02", second, document)
        shows(gate, second)
        shutil.rmtree(volume / "..2026_11_24_01")
        document["clusters"][0]["allow"] = ["192.0.2.0/24"]
        project("2026_11_24_03", second, document)
        eventually(lambda: gate.ask().status == 403, "the declaration is followed, too")
        assert gate.status().reloads == 0


@contextlib.contextmanager
def there_already(file: Path, person: Home) -> Iterator[Running]:
    """A gate of a file that is not written for it."""
    gate = Running(file, person)
    try:
        gate.until_running()
        yield gate
    finally:
        gate.end()


def test_a_declaration_that_is_half_written_is_refused_until_it_is_whole(gate: Running) -> None:
    whole = gate.file.read_text()
    longer = yaml.safe_dump(gate.document | {"dataPlane": {"drain": "7s"}}, sort_keys=False)
    with gate.dial() as client:
        gate.file.write_text(longer[: longer.index("upstream") + 4])
        eventually(lambda: gate.status().refused, "it is refused")
        assert gate.status().refused[0].where.startswith(f"{gate.file}:1")
        assert client.ask(request(host="one.test")).status == 200
    gate.file.write_text(longer)
    eventually(lambda: not gate.status().refused, "it is whole")
    gate.file.write_text(whole)
    eventually(lambda: not gate.status().refused, "it is as it was")


def test_what_is_declared_wrongly_is_told_with_its_place_until_it_is_mended(gate: Running) -> None:
    before = gate.document
    wrong = gate.document
    wrong["clusters"][0]["balance"] = "fairest"
    wrong["clusters"][0]["upstream"]["servers"] = ["nowhere.invalid:6443"]
    gate.rewrite(wrong)
    refuses(gate, "balance")
    assert gate.status().refused[0].where.startswith(f"{gate.file}:")
    del wrong["clusters"][0]["balance"]
    gate.rewrite(wrong)
    refuses(gate, "nowhere.invalid")
    gate.rewrite(before)
    eventually(lambda: not gate.status().refused, "it is mended")


def test_a_port_in_use_is_refused_and_taken_once_it_is_free(gate: Running) -> None:
    port = free_port("127.0.0.1")
    with Upstream(port=port):
        document = gate.document
        document["listeners"].append({"name": "more", "address": f"127.0.0.1:{port}"})
        gate.rewrite(document)
        refuses(gate, str(port))
    eventually(lambda: not gate.status().refused, "the port is free, and taken")
    assert gate.ask(listener="more").status == 200
    document["listeners"].pop()
    gate.rewrite(document)
    eventually(lambda: len(gate.status().listeners) == 1, "it goes again")
