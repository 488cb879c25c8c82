"""The certificate that a gate shows: the operator's, or its own for exactly the names in play, kept as long as it fits."""

import hashlib
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from tests.support.expose import Exposed, Home, expose, kubeconfig, kubegate, problems
from tests.support.forge import Forged, forge
from tests.support.rawhttp import Client, request
from tests.support.tls import authority, client_context
from tests.support.upstream import Upstream

pytestmark = pytest.mark.haproxy


@pytest.fixture
def flags(person: Home, upstream: Upstream) -> tuple[str, ...]:
    """Flags for an honest API server, a free port and a client kubeconfig."""
    config = kubeconfig(person.path / "config.yaml", f"https://127.0.0.1:{upstream.port}")
    return "--kubeconfig", str(config), "--listen", "127.0.0.1:0", "--out", str(person.path / "out.yaml")


def shown(gate: Exposed) -> tuple[x509.Certificate, str]:
    """The certificate of a handshake with the gate, and its SHA-256 fingerprint."""
    der = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", gate.port)))
    return x509.load_der_x509_certificate(der), hashlib.sha256(der).hexdigest()


def fingerprint(gate: Exposed) -> str:
    """What the gate says that it is."""
    return str(gate.facts["certificate"]["sha256"].replace(":", "").lower())


def asked(gate: Exposed) -> int:
    """The status of a request as the client kubeconfig has it: its URL's host, or `tls-server-name`, verified by its CA."""
    with gate.dial() as client:
        return client.ask(request()).status


def given(person: Home, *chain: Forged, name: str = "tls") -> tuple[str, ...]:
    """The flags for a certificate of the operator's."""
    cert, key = person.path / f"{name}.crt", person.path / f"{name}.key"
    cert.write_bytes(b"".join(one.pem for one in chain))
    key.touch(0o600)
    key.write_bytes(chain[0].key_pem)
    return "--cert", str(cert), "--key", str(key)


def test_its_own_certificate(person: Home, flags: tuple[str, ...]) -> None:
    with expose(*flags, home=person) as gate:
        certificate, digest = shown(gate)
        facts = gate.facts["certificate"]
        assert digest == fingerprint(gate)
        assert facts["self_signed"] and facts["newly_made"]
        assert set(facts["names"]) == {"127.0.0.1", "localhost"}
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = {*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))}
        assert found == set(facts["names"])
        assert not any("*" in name for name in found)
        assert certificate.not_valid_after_utc == datetime.fromisoformat(facts["not_after"])
        assert certificate.not_valid_after_utc > datetime.now(UTC) + timedelta(days=300)
        assert gate.codes >= {"certificate.new", "certificate.self-signed"}
        assert asked(gate) == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            gate.dial("other.test")


def test_it_is_kept_while_it_fits(person: Home, flags: tuple[str, ...]) -> None:
    made: dict[str, str] = {}
    for hosts, is_new in (((), True), ((), False), (("--host", "api.test"), True), ((), False)):
        with expose(*flags, *hosts, home=person) as gate:
            assert shown(gate)[1] == fingerprint(gate)
            assert gate.facts["certificate"]["newly_made"] is is_new
            assert ("certificate.new" in gate.codes) is is_new
            if is_new:
                [note] = [note for note in gate.facts["notes"] if note["code"] == "certificate.new"]
                assert all(name in note["message"] for name in gate.facts["certificate"]["names"])
            made.setdefault(" ".join(hosts), fingerprint(gate))
            assert made[" ".join(hosts)] == fingerprint(gate)
    assert len(set(made.values())) == 2


def test_one_that_cannot_be_used_any_more_is_made_anew(person: Home, flags: tuple[str, ...]) -> None:
    names = ["127.0.0.1", "localhost"]
    old = forge("127.0.0.1", names=names, since=timedelta(days=9), until=timedelta(days=-1))
    damaged = [old.pem + old.key_pem, forge("127.0.0.1", names=names).pem + forge("x").key_pem, b""]
    found = set()
    for content in (None, *damaged):
        for file in person.state.rglob("self-signed.pem"):
            file.write_bytes(content or file.read_bytes()[:300])
        with expose(*flags, home=person) as gate:
            found.add(fingerprint(gate))
            assert gate.facts["certificate"]["newly_made"]
            assert asked(gate) == 200
    assert len(found) == 4


def modes(folder: Path) -> dict[str, str]:
    """The modes of a folder and everything in it, links left out."""
    entries = [folder, *folder.rglob("*")]
    return {str(path): oct(path.lstat().st_mode & 0o777) for path in entries if not path.is_symlink() and not path.is_socket()}


def test_the_key_stays_in_folders_of_its_own(person: Home, flags: tuple[str, ...]) -> None:
    before = os.umask(0)
    try:
        with expose(*flags, home=person) as gate:
            key = next(person.state.rglob("self-signed.pem")).read_text().partition("-----BEGIN PRIVATE KEY-----")[2]
            kept, working = modes(person.state), modes(person.runtime)
            with_key = [path for path in person.path.rglob("*") if path.is_file() and key in path.read_text()]
            sockets = list(person.runtime.rglob("*.sock"))
            assert {oct(path.stat().st_mode & 0o777) for path in sockets} == {"0o600"}
            assert key not in str(gate.facts)
    finally:
        os.umask(before)
    assert kept[str(person.state)] == working[str(person.runtime)] == "0o700"
    assert {mode for path, mode in (kept | working).items() if Path(path).suffix} <= {"0o600", "0o700"}
    assert {path.name for path in with_key} == {"self-signed.pem", "gate.pem"}
    assert all(path.is_relative_to(person.state) or path.is_relative_to(person.runtime) for path in with_key)
    # Afterwards only the kept one is left.
    assert [path for path in person.path.rglob("*.pem") if key in path.read_text()] == list(person.state.rglob("self-signed.pem"))


def test_folders_of_systemd_come_first(person: Home, flags: tuple[str, ...]) -> None:
    state, runtime = person.path / "systemd-state", person.path / "systemd-runtime"
    for folder in (state, runtime):
        folder.mkdir(mode=0o755)
    extra = {"STATE_DIRECTORY": f"{state}:/nowhere", "RUNTIME_DIRECTORY": f"{runtime}:/nowhere"}
    with expose(*flags, home=person, extra=extra) as gate:
        assert [path.name for path in runtime.iterdir()] == [f"127.0.0.1-{gate.port}"]
        assert list(state.rglob("self-signed.pem"))
        assert {oct(folder.stat().st_mode & 0o777) for folder in (state, runtime)} == {"0o700"}
    assert list(runtime.iterdir()) == []
    assert not person.state.exists()
    assert not person.runtime.exists()


def test_a_home_is_enough(person: Home, flags: tuple[str, ...]) -> None:
    """Relative folders in XDG variables do not count (XDG Base Directory Specification)."""
    with expose(*flags, home=person, extra={"XDG_STATE_HOME": "state"}):
        assert list((person.path / ".local" / "state" / "kubegate").rglob("self-signed.pem"))
    assert not Path("state").exists()


ROOT, BETWEEN = authority("corporate root"), "corporate issuing CA"


def test_a_given_chain(person: Home, flags: tuple[str, ...]) -> None:
    between = forge(BETWEEN, ROOT, ca=True)
    leaf = forge("gate", between, names=["gate.test", "127.0.0.1"], until=timedelta(days=90))
    with expose(*flags, *given(person, leaf, between, ROOT), home=person) as gate:
        assert fingerprint(gate) == shown(gate)[1]
        assert not gate.facts["certificate"]["self_signed"]
        assert gate.ca_pem == ROOT.pem
        assert "certificate.self-signed" not in gate.codes
        assert "tls-server-name" not in gate.cluster()
        assert asked(gate) == 200
        with Client.connect("127.0.0.1", gate.port, client_context(ROOT), "gate.test") as client:
            assert client.ask(request()).status == 200
        assert gate.warnings == []
    assert not person.state.exists()


def test_a_given_certificate_with_another_name(person: Home, flags: tuple[str, ...]) -> None:
    """Clients dial the address and verify the name."""
    leaf = forge("gate", ROOT, names=["*.wild.test", "gate.test", "other.test"], until=timedelta(days=90))
    with expose(*flags, *given(person, leaf, ROOT), home=person) as gate:
        [warning] = gate.warnings
        assert warning["code"] == "front.cert.names"
        assert "127.0.0.1" in warning["message"]
        assert gate.cluster()["tls-server-name"] == "gate.test"
        assert gate.url == f"https://127.0.0.1:{gate.port}"
        assert asked(gate) == 200


@pytest.mark.parametrize("names", [["api.gate.test"], ["*.gate.test"]])
def test_a_given_certificate_that_covers_the_declared_name(person: Home, flags: tuple[str, ...], names: list[str]) -> None:
    leaf = forge("gate", ROOT, names=names, until=timedelta(days=90))
    with expose(*flags, *given(person, leaf, ROOT), "--host", "api.gate.test", home=person) as gate:
        assert gate.warnings == []
        assert gate.cluster()["server"] == f"https://api.gate.test:{gate.port}"
        assert "tls-server-name" not in gate.cluster()


def test_a_given_certificate_that_does_not_cover_the_declared_name(person: Home, flags: tuple[str, ...]) -> None:
    leaf = forge("gate", ROOT, names=["gate.test"], until=timedelta(days=90))
    with expose(*flags, *given(person, leaf, ROOT), "--host", "api.test", home=person) as gate:
        [warning] = gate.warnings
        assert "not for api.test" in warning["message"]
        assert gate.cluster()["tls-server-name"] == "gate.test"


def test_a_given_certificate_for_another_address(person: Home, flags: tuple[str, ...]) -> None:
    leaf = forge("gate", ROOT, names=["10.1.2.3"], until=timedelta(days=90))
    with expose(*flags, *given(person, leaf, ROOT), home=person) as gate:
        assert gate.cluster()["tls-server-name"] == "10.1.2.3"
        assert asked(gate) == 200


def test_a_wildcard_alone_needs_a_host(person: Home, flags: tuple[str, ...]) -> None:
    leaf = forge("gate", ROOT, names=["*.gate.test"], until=timedelta(days=90))
    [found] = problems(kubegate("expose", "--output", "json", *flags, *given(person, leaf, ROOT), home=person))
    assert found["code"] == "front.cert.no-name"
    assert "--host" in found["hint"]


def test_a_given_certificate_of_a_public_ca_is_not_embedded(person: Home, flags: tuple[str, ...]) -> None:
    leaf = forge("gate", ROOT, names=["127.0.0.1"], until=timedelta(days=90))
    bundle = person.path / "public.crt"
    bundle.write_bytes(ROOT.pem)
    with expose(*flags, *given(person, leaf), home=person, extra={"SSL_CERT_FILE": str(bundle)}) as gate:
        assert gate.warnings == []
        assert gate.cluster() == {"server": gate.url}
        with Client.connect("127.0.0.1", gate.port, client_context(ROOT), "127.0.0.1") as client:
            assert client.ask(request()).status == 200


def test_a_given_certificate_of_an_unknown_ca_is_pinned(person: Home, flags: tuple[str, ...]) -> None:
    leaf = forge("gate", ROOT, names=["127.0.0.1"], until=timedelta(days=90))
    with expose(*flags, *given(person, leaf), home=person) as gate:
        assert gate.codes >= {"front.trust.pinned"}
        assert gate.ca_pem == leaf.pem


def test_a_given_certificate_that_ends_soon_and_a_key_that_all_can_read(person: Home, flags: tuple[str, ...]) -> None:
    leaf = forge("gate", ROOT, names=["127.0.0.1"], until=timedelta(days=3))
    files = given(person, leaf, ROOT)
    Path(files[3]).chmod(0o644)
    with expose(*flags, *files, home=person) as gate:
        assert gate.codes >= {"front.cert.expires", "front.key.mode"}
        assert all(warning["hint"] for warning in gate.warnings)
