"""The certificate that the gate shows, given by the operator: read, judged, and what a person should know about it."""

import os
import stat
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from kubegate.model.facts import FrontCertificate
from kubegate.model.names import covers, printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.pki.certificate import Certificate, load_bundle, pem_chain
from kubegate.pki.key import FrontKey, belongs_to, key_pem, load_key
from kubegate.pki.system import system_ca_file
from kubegate.pki.trust import client_ca

_SOON = timedelta(days=14)
_MOST_BYTES = 1 << 20


def load_given(
    cert: Path, key: Path, names: Sequence[str], now: datetime, *, chain_file: Path | None = None, ca_file: Path | None = None
) -> tuple[FrontCertificate, list[Problem]]:
    """The certificate in `cert` (PEM, leaf first) with its key in `key` (PEM; the same file may hold both), and warnings.

    What is in `chain_file` is sent along after it; what is in `ca_file` goes to clients instead of what the chain says.

    `names` are the DNS names and addresses under which the gate is reached. Raises InvalidInput with everything that
    makes the pair unusable; a name that is not covered or an end that is near is only a warning.
    """
    where, key_where = printable(str(cert)), printable(str(key))
    problems: list[Problem] = []
    chain = _chain(cert, where, problems)
    if chain_file is not None:
        chain += _chain(chain_file, printable(str(chain_file)), problems)
    private, mode = _private(key, key_where, problems)
    given_ca = None if ca_file is None else _chain(ca_file, printable(str(ca_file)), problems)
    if chain:
        problems += _leaf_problems(chain[0], where, now)
    if chain and private and not belongs_to(private, chain[0].parsed):
        problems.append(_mismatch(chain, private, where, key_where))
    if problems or not private:
        raise InvalidInput(problems)
    if given_ca is not None:
        ca: bytes | None = pem_chain(given_ca)
        trust_warnings: list[Problem] = []
    else:
        ca, trust_warnings = client_ca(chain, where, now, system_ca_file())
    warnings = _name_warnings(chain[0], names, where) + _age_warnings(chain[0], now, where) + trust_warnings
    return front(chain, private, ca), warnings + _mode_warnings(mode, key_where)


def front(chain: Sequence[Certificate], key: FrontKey, ca: bytes | None) -> FrontCertificate:
    """The fact about a chain (leaf first) and its key; `ca` is what clients have to trust, None for the system's CAs."""
    leaf = chain[0]
    return FrontCertificate(
        pem=pem_chain(chain) + key_pem(key),
        names=leaf.names,
        sha256=leaf.sha256,
        not_after=leaf.not_after,
        self_signed=leaf.self_signed,
        client_ca_pem=ca,
    )


def _chain(path: Path, where: str, problems: list[Problem]) -> list[Certificate]:
    try:
        return load_bundle(_read(path, where)[0], where)
    except InvalidInput as error:
        problems.extend(error.problems)
        return []


def _private(path: Path, where: str, problems: list[Problem]) -> tuple[FrontKey | None, int]:
    try:
        content, mode = _read(path, where)
        return load_key(content, where), mode
    except InvalidInput as error:
        problems.extend(error.problems)
        return None, 0


def _read(path: Path, where: str) -> tuple[bytes, int]:
    try:
        with path.open("rb") as file:
            content, mode = file.read(_MOST_BYTES + 1), os.fstat(file.fileno()).st_mode
    except OSError as error:
        message = f"cannot be read: {(error.strerror or 'error').lower()}"
        raise InvalidInput([Problem(where, "file.unreadable", message)]) from None
    if len(content) > _MOST_BYTES:
        raise InvalidInput([Problem(where, "file.large", "is larger than 1 MiB, which no certificate or key is")])
    return content, mode


def _leaf_problems(leaf: Certificate, where: str, now: datetime) -> list[Problem]:
    problems = []
    if leaf.not_after < now:
        message = f"the certificate expired on {leaf.not_after:%Y-%m-%d %H:%M} UTC"
        problems.append(Problem(where, "front.cert.expired", message, "renew it"))
    if now < leaf.not_before:
        message = f"the certificate is not valid before {leaf.not_before:%Y-%m-%d %H:%M} UTC"
        problems.append(Problem(where, "front.cert.early", message, "wait, or check the clock of this machine"))
    if not leaf.may_serve:
        message = "the certificate's extended key usage does not include TLS servers, so clients refuse it"
        problems.append(Problem(where, "front.cert.usage", message, "ask its CA for a server certificate (serverAuth)"))
    return problems


def _mismatch(chain: Sequence[Certificate], key: FrontKey, cert: str, where: str) -> Problem:
    number = next((n for n, one in enumerate(chain, 1) if belongs_to(key, one.parsed)), None)
    if number is not None:
        message = f"the key belongs to certificate {number} of {cert}, not to the first"
        return Problem(where, "front.key.order", message, "put the server's own certificate first, then its issuers")
    return Problem(where, "front.key.mismatch", f"the key does not belong to the certificate in {cert}")


def _name_warnings(leaf: Certificate, names: Sequence[str], where: str) -> list[Problem]:
    missed = [name for name in names if not covers(leaf.names, name)]
    if not missed:
        return []
    carried = ", ".join(leaf.names) or "no name in subjectAltName, and clients look nowhere else"
    return [
        Problem(
            where,
            "front.cert.names",
            f"the certificate is not for {', '.join(missed)}: clients that use such a name refuse it (it has: {carried})",
            "reach the gate under a name that it has, or have it issued for all of them",
        )
    ]


def _age_warnings(leaf: Certificate, now: datetime, where: str) -> list[Problem]:
    if leaf.not_after - now >= _SOON:
        return []
    message = f"the certificate expires on {leaf.not_after:%Y-%m-%d %H:%M} UTC"
    return [Problem(where, "front.cert.expires", message, "renew it; a gate that runs takes the new one by itself")]


def _mode_warnings(mode: int, where: str) -> list[Problem]:
    if not mode & (stat.S_IROTH | stat.S_IWOTH):
        return []
    message = f"every user of this machine can read or change the private key (mode {stat.S_IMODE(mode):04o})"
    return [Problem(where, "front.key.mode", message, f"chmod 600 {where}")]
