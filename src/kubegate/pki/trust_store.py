"""The stores in which a machine keeps the CAs that it trusts: the system's, and those of NSS (Chromium, Firefox).

A CA goes in under a name that begins with `kubegate-` and says its fingerprint, so that it is found again, and nothing else is.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kubegate.errors import KubegateError
from kubegate.model.certificate_kinds import Store
from kubegate.model.names import printable
from kubegate.model.problem import Problem
from kubegate.pki.certificate import Certificate
from kubegate.pki.constraints import impersonates
from kubegate.system.files import reason, write_atomically

_SECONDS = 120.0
# Debian and its kin (update-ca-certificates(8)); Fedora and its kin (update-ca-trust(8)).
_SYSTEMS = (
    ("update-ca-certificates", Path("/usr/local/share/ca-certificates"), ".crt", ()),
    ("update-ca-trust", Path("/etc/pki/ca-trust/source/anchors"), ".pem", ("extract",)),
)
# Where programs are that only root is expected to call.
_MORE_PATH = "/usr/local/sbin:/usr/sbin:/sbin"
_FIREFOX = (".mozilla/firefox", "snap/firefox/common/.mozilla/firefox", ".var/app/org.mozilla.firefox/.mozilla/firefox")


class StoreFailed(KubegateError):
    """A store did not take a CA, or did not let one go."""


class TrustStore(Protocol):
    """A store that there is on this machine."""

    @property
    def shown(self) -> str:
        """What it is, for people."""
        ...

    def holds(self, ca: Certificate) -> bool:
        """Whether kubegate has put this CA into it."""
        ...

    def install(self, ca: Certificate) -> None:
        """Put a CA into it. Raises StoreFailed."""
        ...

    def remove(self, ca: Certificate) -> None:
        """Take a CA out of it. Raises StoreFailed."""
        ...


def stores(kinds: Sequence[Store], environ: Mapping[str, str]) -> tuple[list[TrustStore], list[str]]:
    """The stores of these kinds on this machine, and why there is none of a kind: a sentence each."""
    found: list[TrustStore] = []
    lacking = []
    if Store.SYSTEM in kinds:
        system = _system(environ)
        if system is not None:
            found.append(system)
        else:
            lacking.append("no system store: neither update-ca-certificates nor update-ca-trust is here")
    if Store.NSS in kinds:
        databases = _databases(environ)
        program = _program("certutil", environ)
        if databases and program is None:
            lacking.append("no NSS store can be changed: certutil is not here (Debian: libnss3-tools; Fedora: nss-tools)")
        elif not databases:
            lacking.append("no NSS store: this user has no ~/.pki/nssdb, and no profile of Firefox")
        else:
            assert program is not None
            found += [_Nss(program, database, dict(environ)) for database in databases]
    return found, lacking


def unfit(ca: Certificate, where: str) -> list[Problem]:
    """Why a CA may not be trusted on this machine: its key could impersonate others than it is for."""
    if not ca.is_ca:
        message = "is no CA certificate (its basic constraints do not say so)"
        return [Problem(where, "certs.trust", message, "name the folder or the certificate of a CA")]
    hint = "make a CA that may vouch for your names alone: kubegate certs ca init FOLDER --name NAME"
    return [Problem(where, "certs.trust", f"is not safe to trust: {why}", hint) for why in impersonates(ca.parsed)]


def nickname(ca: Certificate) -> str:
    """The name under which a CA stands in a store."""
    return f"kubegate-{ca.sha256.replace(':', '').lower()[:32]}"


@dataclass(frozen=True, slots=True)
class _System:
    program: str
    folder: Path
    ending: str
    arguments: tuple[str, ...]
    environ: Mapping[str, str]

    @property
    def shown(self) -> str:
        return f"the system's store ({self.folder})"

    def holds(self, ca: Certificate) -> bool:
        return self._file(ca).exists()

    def install(self, ca: Certificate) -> None:
        self._may_write()
        try:
            write_atomically(self._file(ca), ca.pem, 0o644)
        except OSError as error:
            raise StoreFailed(f"{self._file(ca)} cannot be written: {reason(error)}", "run this as root") from None
        try:
            _run([self.program, *self.arguments], self.environ)
        except StoreFailed:
            # What is not taken now must not be by the next update.
            self._file(ca).unlink(missing_ok=True)
            raise

    def remove(self, ca: Certificate) -> None:
        self._may_write()
        try:
            self._file(ca).unlink(missing_ok=True)
        except OSError as error:
            raise StoreFailed(f"{self._file(ca)} cannot be removed: {reason(error)}", "run this as root") from None
        _run([self.program, *self.arguments], self.environ)

    def _file(self, ca: Certificate) -> Path:
        return self.folder / f"{nickname(ca)}{self.ending}"

    def _may_write(self) -> None:
        if not os.access(self.folder, os.W_OK | os.X_OK):
            hint = "run this as root, or name the other store: --store nss"
            raise StoreFailed(f"{self.shown} cannot be changed by this user", hint)


@dataclass(frozen=True, slots=True)
class _Nss:
    program: str
    database: Path
    environ: Mapping[str, str]

    @property
    def shown(self) -> str:
        return f"the NSS store in {printable(str(self.database))}"

    def holds(self, ca: Certificate) -> bool:
        return self._certutil("-L", "-n", nickname(ca), check=False)

    def install(self, ca: Certificate) -> None:
        # C: a CA that is trusted to issue servers' certificates (certutil(1)).
        self._certutil("-A", "-t", "C,,", "-n", nickname(ca), given=ca.pem)

    def remove(self, ca: Certificate) -> None:
        if self.holds(ca):
            self._certutil("-D", "-n", nickname(ca))

    def _certutil(self, *arguments: str, given: bytes = b"", check: bool = True) -> bool:
        command = [self.program, *arguments, "-d", f"sql:{self.database}", *(["-a"] if given else [])]
        return _run(command, self.environ, given=given, check=check)


def _system(environ: Mapping[str, str]) -> _System | None:
    for name, folder, ending, arguments in _SYSTEMS:
        program = _program(name, environ)
        if program is not None and folder.is_dir():
            return _System(program, folder, ending, arguments, environ)
    return None


def _databases(environ: Mapping[str, str]) -> list[Path]:
    home = Path(environ.get("HOME") or Path.home())
    found = [home / ".pki" / "nssdb"]
    for firefox in _FIREFOX:
        found += sorted(path.parent for path in (home / firefox).glob("*/cert9.db"))
    return [path for path in found if (path / "cert9.db").exists()]


def _program(name: str, environ: Mapping[str, str]) -> str | None:
    return shutil.which(name, path=f"{environ.get('PATH', os.defpath)}:{_MORE_PATH}")


def _run(command: Sequence[str], environ: Mapping[str, str], *, given: bytes = b"", check: bool = True) -> bool:
    """Run a program to its end. Returns whether it succeeded; raises StoreFailed if it did not and has to."""
    path = f"{environ.get('PATH', os.defpath)}:{_MORE_PATH}"
    try:
        done = subprocess.run(
            command,
            input=given,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            env={**environ, "PATH": path},
            # It may ask for the password of a database: nobody answers.
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        raise StoreFailed(f"{command[0]} does not come to an end", "run it by hand to see what it waits for") from None
    except OSError as error:
        raise StoreFailed(f"{command[0]} cannot be run: {reason(error)}") from None
    if done.returncode == 0:
        return True
    if check:
        said = printable((done.stderr or done.stdout).decode("utf-8", "replace").strip()[-300:])
        raise StoreFailed(f"{Path(command[0]).name} failed: {said or 'it gave no reason'}")
    return False
