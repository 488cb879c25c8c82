"""How files change under a gate, and what becomes of a change that cannot be used: what runs goes on until it is mended."""

import shutil
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from kubegate.model.gate_status import Refusal
from tests.support.expose import Home, home
from tests.support.forge import Forged, forge
from tests.support.rawhttp import Client, request
from tests.support.run import Document, Running, client, cluster, front_leaf, gate_file, run, write_pair
from tests.support.tls import authority, cluster_authority, front_authority
from tests.support.upstream import Upstream, eventually

pytestmark = pytest.mark.haproxy

SPARE = authority("next CA")


@pytest.fixture
def place() -> Iterator[Home]:
    with home() as place:
        yield place


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def gate(place: Home, upstream: Upstream) -> Iterator[Running]:
    """A gate whose file and certificates lie in one folder."""
    with run(gate_file(place.path, cluster(place.path, "one", upstream)), place) as gate:
        gate.until_up("one")
        yield gate


def text(document: Document) -> bytes:
    return yaml.safe_dump(document, sort_keys=False).encode()


def allowing(document: Document, *ranges: str) -> bytes:
    """The same declaration with other source ranges."""
    document["clusters"][0]["allow"] = ["127.0.0.0/8", *ranges]
    return text(document)


def renamed(path: Path, content: bytes) -> None:
    fresh = path.with_name("fresh")
    fresh.write_bytes(content)
    fresh.replace(path)


def in_place(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def deleted_first(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


Put = Callable[[Path, bytes], None]
PUTS = pytest.mark.parametrize("put", [renamed, in_place, deleted_first])


def shown(gate: Running) -> bytes:
    """The certificate that a client of the gate gets, by its serial number."""
    with gate.dial() as client:
        return str(client.wire.peer["serialNumber"]).encode()


def serial(leaf: Forged) -> bytes:
    return f"{leaf.certificate.serial_number:X}".encode()


def shows(gate: Running, leaf: Forged) -> None:
    eventually(lambda: shown(gate).lstrip(b"0") == serial(leaf), "the new certificate is shown")


def answers(gate: Running) -> None:
    """Clients are served, whatever the file says at this moment."""
    port = int(gate.status().listeners[0].address.rpartition(":")[2])
    with Client.connect("127.0.0.1", port, client(), "one.test") as connection:
        assert connection.ask(request(host="one.test")).status == 200


def refusal(gate: Running) -> Refusal:
    """The one problem that the file has now; what ran before goes on."""
    eventually(lambda: gate.status().refused, "it is refused")
    [found] = gate.status().refused
    answers(gate)
    return found


def mended(gate: Running) -> None:
    eventually(lambda: not gate.status().refused, "nothing is refused any more")
    answers(gate)


@PUTS
def test_the_declaration(gate: Running, put: Put) -> None:
    put(gate.file, allowing(gate.document, "192.0.2.0/24"))
    eventually(lambda: gate.cluster("one").allow == ("127.0.0.0/8", "192.0.2.0/24"), "the new ranges run")
    assert gate.status().reloads == 0


@PUTS
def test_a_certificate_and_its_key(gate: Running, put: Put) -> None:
    leaf = front_leaf("one.test", "127.0.0.1")
    put(gate.file.with_name("one.key"), leaf.key_pem)
    put(gate.file.with_name("one.crt"), leaf.pem)
    shows(gate, leaf)
    mended(gate)


@PUTS
def test_an_upstream_ca(gate: Running, put: Put) -> None:
    before = gate.status().generation
    put(gate.file.with_name("one-ca.crt"), cluster_authority().pem + SPARE.pem)
    gate.next_generation(before)
    assert gate.tell("show ssl ca-file").count("2 certificate(s)") == 1
    mended(gate)


def test_a_declaration_that_is_half_written(gate: Running) -> None:
    whole = allowing(gate.document, "192.0.2.0/24")
    gate.file.write_bytes(whole[: whole.index(b"serverName:")] + b'serverName: "')
    assert refusal(gate).where.startswith(f"{gate.file}:")
    gate.file.write_bytes(whole)
    mended(gate)
    assert gate.cluster("one").allow == ("127.0.0.0/8", "192.0.2.0/24")


@pytest.mark.parametrize("name", ["one.crt", "one-ca.crt"])
def test_a_certificate_that_is_cut_in_the_middle(gate: Running, name: str) -> None:
    path = gate.file.with_name(name)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    found = refusal(gate)
    assert str(path) in found.where + found.message
    path.write_bytes(whole)
    mended(gate)


@pytest.mark.parametrize("name", ["kubegate.yaml", "one.crt", "one.key", "one-ca.crt"])
def test_a_file_that_is_gone_and_comes_back(gate: Running, name: str) -> None:
    path = gate.file.with_name(name)
    whole = path.read_bytes()
    path.unlink()
    found = refusal(gate)
    assert str(path) in found.where + found.message
    path.write_bytes(whole)
    mended(gate)


def test_a_volume_of_kubernetes(place: Home, upstream: Upstream) -> None:
    """Files are links to `..data/`, a link to a folder that is swapped whole."""
    volume = place.path / "volume"
    volume.mkdir()
    document = gate_file(volume, cluster(volume, "one", upstream))
    names = ["kubegate.yaml", *sorted(path.name for path in volume.iterdir())]

    def project(version: str, files: dict[str, bytes]) -> None:
        (volume / version).mkdir()
        for name, content in files.items():
            (volume / version / name).write_bytes(content)
        (volume / "..data_tmp").symlink_to(version)
        (volume / "..data_tmp").replace(volume / "..data")

    files = {name: (volume / name).read_bytes() for name in names[1:]} | {"kubegate.yaml": text(document)}
    project("..1", files)
    for name in names:
        (volume / name).unlink(missing_ok=True)
        (volume / name).symlink_to(f"..data/{name}")
    gate = Running(volume / "kubegate.yaml", place)
    try:
        gate.until_running()
        leaf = front_leaf("one.test", "127.0.0.1")
        fresh = {"one.crt": leaf.pem, "one.key": leaf.key_pem, "kubegate.yaml": allowing(document, "192.0.2.0/24")}
        project("..2", files | fresh)
        shutil.rmtree(volume / "..1")
        shows(gate, leaf)
        eventually(lambda: gate.cluster("one").allow == ("127.0.0.0/8", "192.0.2.0/24"), "the new ranges run")
        project("..3", files)
        eventually(lambda: gate.cluster("one").allow == (), "the first declaration runs again")
        mended(gate)
    finally:
        gate.end()


def test_a_folder_that_is_replaced(place: Home, upstream: Upstream) -> None:
    folder, aside = place.path / "certificates", place.path / "aside"
    folder.mkdir()
    declared = cluster(folder, "one", upstream)
    declared["certificate"] = {key: f"certificates/{name}" for key, name in declared["certificate"].items()}
    declared["upstream"]["ca"] = "certificates/one-ca.crt"
    with run(gate_file(place.path, declared), place) as gate:
        folder.rename(aside)
        leaf = front_leaf("one.test", "127.0.0.1")
        folder.mkdir()
        for name, content in {"one-ca.crt": cluster_authority().pem, "one.crt": leaf.pem, "one.key": leaf.key_pem}.items():
            (folder / name).write_bytes(content)
        shows(gate, leaf)
        again = front_leaf("one.test", "127.0.0.1")
        renamed(folder / "one.key", again.key_pem)
        renamed(folder / "one.crt", again.pem)
        shows(gate, again)
        mended(gate)


def test_a_key_that_does_not_belong_to_its_certificate(gate: Running) -> None:
    path = gate.file.with_name("one.key")
    whole = path.read_bytes()
    path.write_bytes(front_leaf("one.test").key_pem)
    found = refusal(gate)
    assert str(path) in found.where + found.message
    path.write_bytes(whole)
    mended(gate)


def test_a_ca_that_is_no_certificate(gate: Running) -> None:
    path = gate.file.with_name("one-ca.crt")
    whole = path.read_bytes()
    path.write_bytes(b"\x00garbage\xff")
    found = refusal(gate)
    assert str(path) in found.where + found.message
    path.write_bytes(whole)
    mended(gate)


def test_a_ca_that_verifies_nobody(gate: Running) -> None:
    path = gate.file.with_name("one-ca.crt")
    whole = path.read_bytes()
    path.write_bytes(authority("another CA").pem)
    found = refusal(gate)
    assert found.where.startswith(f"{gate.file}:")
    assert "not trusted" in found.message
    path.write_bytes(whole)
    mended(gate)


def test_files_that_are_declared_before_they_are_there(gate: Running) -> None:
    document = gate.document
    document["clusters"][0]["certificate"] = {"cert": "new.crt", "key": "new.key"}
    gate.rewrite(document)
    eventually(lambda: gate.status().refused, "it is refused")
    told = [one.where + one.message for one in gate.status().refused]
    assert [any(str(gate.file.with_name(name)) in one for one in told) for name in ("new.crt", "new.key")] == [True, True]
    answers(gate)
    leaf = front_leaf("one.test", "127.0.0.1")
    write_pair(gate.file.parent, "new", leaf)
    shows(gate, leaf)
    mended(gate)


def test_a_server_name_that_does_not_resolve(gate: Running) -> None:
    whole, document = gate.file.read_bytes(), gate.document
    document["clusters"][0]["upstream"]["servers"] = ["nobody.invalid:6443"]
    gate.rewrite(document)
    found = refusal(gate)
    assert found.where.startswith(f"{gate.file}:")
    assert "clusters[one].upstream.servers" in found.where
    assert "nobody.invalid" in found.message
    gate.file.write_bytes(whole)
    mended(gate)


def test_a_new_listener_whose_port_is_taken(gate: Running) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        document = gate.document
        document["listeners"].append({"name": "second", "address": address})
        gate.rewrite(document)
        found = refusal(gate)
        assert found.code == "listen.unusable"
        assert found.where.startswith(f"{gate.file}:")
        assert "listeners[second].address" in found.where
        assert "listens there already" in found.message
    mended(gate)
    assert gate.ask(listener="second").status == 200


def test_a_certificate_that_has_expired(gate: Running) -> None:
    names = ["one.test", "127.0.0.1"]
    old = forge("one.test", front_authority(), names=names, since=timedelta(days=20), until=timedelta(days=-1))
    fresh = front_leaf(*names)
    for name, content in (("one.key", old.key_pem), ("one.crt", old.pem)):
        renamed(gate.file.with_name(name), content)
    eventually(lambda: any("expired" in one.message for one in gate.status().refused), "it is refused as expired")
    found = refusal(gate)
    assert str(gate.file.with_name("one.crt")) in found.where + found.message
    for name, content in (("one.key", fresh.key_pem), ("one.crt", fresh.pem)):
        renamed(gate.file.with_name(name), content)
    shows(gate, fresh)
    mended(gate)
