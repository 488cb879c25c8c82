"""`kubegate certs trust`: the real stores of a machine that is a copy, and of a user who is made up; nothing of it stays."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubegate.pki.ca import Authority
from kubegate.pki.trust_store import nickname
from tests.support.commands import facts
from tests.support.expose import Home, kubegate, problems
from tests.support.forge import Forged, forge, serving
from tests.support.tls import authority
from tests.support.upstream import Upstream

NAMES = ("www.example.test", "www.example.com")
# A mount namespace of its own, in which the folders of the system's store are copies.
_PRIVATE = """
set -e
mkdir copies
for folder in /etc/ssl /usr/local/share/ca-certificates; do
  cp -a "$folder" copies/
  mount --bind "copies/$(basename "$folder")" "$folder"
done
set +e
"""


@pytest.fixture
def ca(person: Home) -> Path:
    folder = person.path / "ca"
    facts("certs", "ca", "init", str(folder), "--name", "example.test", home=person)
    return folder


def stolen(folder: Path) -> Forged:
    """The CA in the hands of somebody who signs what he likes."""
    found = Authority.load(folder)
    return Forged(found.certificate.parsed, found.key)


def privately(person: Home, *steps: str) -> list[int]:
    """How these commands end, one after another, in a machine whose system store is a copy."""
    script = _PRIVATE + "".join(f"{step}\nprintf '\\nended %s\\n' $?\n" for step in steps)
    more = [] if os.geteuid() == 0 else ["--map-root-user"]
    done = subprocess.run(
        ["unshare", *more, "--mount", "sh", "-c", script],
        cwd=person.path,
        env=person.environ(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    ends = [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("ended ")]
    assert len(ends) == len(steps), done.stdout + done.stderr
    return ends


def tree(folder: Path) -> set[str]:
    """Every name below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def trust(*words: str | Path) -> str:
    return shlex.join([sys.executable, "-m", "kubegate", "certs", "trust", *map(str, words)])


def curl(server: Upstream, name: str) -> str:
    url = f"https://{name}:{server.port}/"
    return shlex.join(["curl", "-q", "-sS", "--noproxy", "*", "--resolve", f"{name}:{server.port}:127.0.0.1", url])


def s_client(server: Upstream, name: str) -> str:
    command = ["openssl", "s_client", "-connect", str(server.endpoint), "-servername", name, "-verify_hostname", name]
    return shlex.join([*command, "-verify_return_error"]) + " < /dev/null"


@pytest.fixture
def servers(ca: Path) -> Iterator[tuple[Upstream, Upstream]]:
    """A server of a name that the CA may vouch for, and one of a name that it may not; its key has signed both."""
    own, foreign = (forge(name, stolen(ca), names=[name]) for name in NAMES)
    with (
        Upstream(leaf=None, context=serving(own.key_pem + own.pem)) as first,
        Upstream(leaf=None, context=serving(foreign.key_pem + foreign.pem)) as second,
    ):
        yield first, second


def test_the_system_s_store(person: Home, ca: Path, servers: tuple[Upstream, Upstream]) -> None:
    own, foreign = servers
    before = sorted(Path("/usr/local/share/ca-certificates").iterdir())
    asked = [curl(own, "www.example.test"), s_client(own, "www.example.test")]
    asked += [curl(foreign, "www.example.com"), s_client(foreign, "www.example.com")]
    steps = [*asked, trust("install", ca, "--store", "system"), *asked, trust("remove", ca, "--store", "system"), *asked]
    ends = privately(person, *steps)
    good = [end == 0 for end in ends]
    nobody, own_alone = [False] * 4, [True, True, False, False]
    assert good == [*nobody, True, *own_alone, True, *nobody]
    assert sorted(Path("/usr/local/share/ca-certificates").iterdir()) == before


def certutil(person: Home, *words: str | Path, check: bool = True) -> bool:
    database = person.path / ".pki" / "nssdb"
    command = ["certutil", *map(str, words), "-d", f"sql:{database}"]
    done = subprocess.run(command, env=person.environ(), capture_output=True, check=False, timeout=30, stdin=subprocess.DEVNULL)
    assert not check or done.returncode == 0, done.stderr.decode()
    return done.returncode == 0


def test_the_store_of_nss(person: Home, ca: Path) -> None:
    (person.path / ".pki" / "nssdb").mkdir(parents=True)
    certutil(person, "-N", "--empty-password")
    for name in ("www.example.test", "www.example.com"):
        (person.path / f"{name}.crt").write_bytes(forge(name, stolen(ca), names=[name]).pem)
        certutil(person, "-A", "-n", name, "-t", ",,", "-i", person.path / f"{name}.crt")

    def accepted() -> list[bool]:
        # V: as a server of TLS.
        return [certutil(person, "-V", "-u", "V", "-n", name, check=False) for name in ("www.example.test", "www.example.com")]

    assert accepted() == [False, False]
    found = facts("certs", "trust", "install", str(ca), "--store", "nss", home=person)
    assert len(found["stores"]) == 1
    assert accepted() == [True, False]
    facts("certs", "trust", "install", str(ca), "--store", "nss", home=person)
    assert accepted() == [True, False]
    facts("certs", "trust", "remove", str(ca), "--store", "nss", home=person)
    assert accepted() == [False, False]
    # Where it is not any more there is nothing to do.
    facts("certs", "trust", "remove", str(ca), "--store", "nss", home=person)


def test_profiles_of_firefox(person: Home, ca: Path) -> None:
    profile = person.path / ".mozilla" / "firefox" / "x.default"
    profile.mkdir(parents=True)
    subprocess.run(["certutil", "-N", "--empty-password", "-d", f"sql:{profile}"], check=True, timeout=30, env=person.environ())
    found = facts("certs", "trust", "install", str(ca), "--store", "nss", home=person)
    assert [str(profile) in one for one in found["stores"]] == [True]


def test_where_one_store_does_not_take_it_none_has_it(person: Home, ca: Path) -> None:
    """A database that nobody may write to, beside one that takes it."""
    (person.path / ".pki" / "nssdb").mkdir(parents=True)
    certutil(person, "-N", "--empty-password")
    locked = person.path / ".mozilla" / "firefox" / "x.default"
    locked.mkdir(parents=True)
    (locked / "cert9.db").write_bytes(b"this is no database")
    before = tree(person.path / ".pki")
    done = kubegate("certs", "trust", "install", str(ca), "--store", "nss", home=person)
    assert (done.returncode, done.stdout) == (1, "")
    assert "certutil failed" in done.stderr
    assert not certutil(person, "-L", "-n", nickname(Authority.load(ca).certificate), check=False)
    assert tree(person.path / ".pki") == before


def test_a_browser_trusts_it_until_it_is_removed(person: Home, ca: Path, servers: tuple[Upstream, Upstream]) -> None:
    (person.path / ".pki" / "nssdb").mkdir(parents=True)
    certutil(person, "-N", "--empty-password")

    def browsed() -> list[bool]:
        """Which of the two pages a browser shows."""
        return ['"target": "/"' in browse(person, server, name) for server, name in zip(servers, NAMES, strict=True)]

    assert browsed() == [False, False]
    facts("certs", "trust", "install", str(ca), "--store", "nss", home=person)
    assert browsed() == [True, False]
    facts("certs", "trust", "remove", str(ca), "--store", "nss", home=person)
    assert browsed() == [False, False]


def browse(person: Home, server: Upstream, name: str) -> str:
    """What a browser makes of a page."""
    done = subprocess.run(
        [
            *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "--no-proxy-server"),
            *(f"--host-resolver-rules=MAP {name} 127.0.0.1", f"https://{name}:{server.port}/"),
        ],
        env=person.environ(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout


def test_a_ca_that_could_impersonate_the_web_is_refused(person: Home) -> None:
    path = person.path / "unbound.crt"
    path.write_bytes(authority("unbound").pem)
    leaf = person.path / "leaf.crt"
    leaf.write_bytes(forge("x", names=["x.test"]).pem)
    both = person.path / "both.crt"
    both.write_bytes(authority("one").pem + authority("two").pem)
    for file, words in ((path, "no name constraints"), (leaf, "is no CA certificate"), (both, "holds 2 certificates")):
        done = kubegate("certs", "trust", "install", str(file), "--output", "json", home=person)
        assert done.returncode == 2, done.stdout
        [problem] = problems(done)
        assert words in problem["message"]


def test_stores_that_are_not_there(person: Home, ca: Path) -> None:
    done = kubegate("certs", "trust", "install", str(ca), "--store", "nss", "--output", "json", home=person)
    assert done.returncode == 2
    [problem] = problems(done)
    assert "no NSS store" in problem["message"]


def test_a_user_who_may_not_change_the_system_s_store(person: Home, ca: Path) -> None:
    """What cannot be written is told, and nothing is left behind."""
    readonly = "mount --bind -o ro copies/ca-certificates /usr/local/share/ca-certificates"
    remount = "mount -o remount,ro,bind /usr/local/share/ca-certificates"
    ends = privately(person, f"{readonly}; {remount}", trust("install", ca, "--store", "system"))
    assert ends == [0, 1]
