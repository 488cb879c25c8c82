"""The certificate that a gate shows: the one that was given, or the gate's own for exactly the names in play."""

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kubegate.model.address import Endpoint, is_address
from kubegate.model.config import ClusterConfig
from kubegate.model.facts import FrontCertificate
from kubegate.model.names import covers
from kubegate.model.problem import InvalidInput, Problem
from kubegate.model.status import Reach
from kubegate.pki.front import load_given
from kubegate.pki.self_signed import self_signed
from kubegate.system.files import explained, private_folder, write_atomically
from kubegate.system.folders import state_folder

_SELF_SIGNED = Problem(
    "the certificate",
    "certificate.self-signed",
    "the certificate is self-signed: a client that skips its verification gives its token to whoever stands in between",
    "give clients the kubeconfig of --out, or show a certificate of a CA that they trust (--cert, --key)",
)


@dataclass(frozen=True, slots=True)
class Front:
    """What clients see: the certificate, a file with which they can verify it, and what is worth saying about it.

    `file` is None where the system's CAs verify it.
    """

    certificate: FrontCertificate
    file: Path | None
    newly_made: bool
    warnings: tuple[Problem, ...]

    def name_for(self, host: str) -> str | None:
        """The name by which clients that dial `host` verify the gate; None if there is none that they could ask for."""
        names = self.certificate.names
        if covers(names, host):
            return host
        plain = sorted((name for name in names if not name.startswith("*.")), key=is_address)
        return plain[0] if plain else None


def names_in_play(cluster: ClusterConfig, listen: Endpoint, reach: Sequence[Reach]) -> list[str]:
    """The names and addresses by which clients may reach the gate: what its own certificate has to carry, no more."""
    names = [*cluster.hosts, *(entry.address for entry in reach)]
    if listen.is_loopback or listen.is_wildcard:
        names.append("localhost")
    return list(dict.fromkeys(names))


def given_front(cluster: ClusterConfig, host: str) -> Front | None:
    """The operator's certificate, None if none was given. Raises InvalidInput if clients that dial `host` could not verify it."""
    if cluster.certificate is None:
        return None
    certificate, warnings = load_declared(cluster, cluster.hosts or [host])
    file = cluster.certificate.cert.absolute() if certificate.client_ca_pem is not None else None
    front = Front(certificate, file, newly_made=False, warnings=tuple(warnings))
    if front.name_for(host) is None:
        message = (
            f"the certificate is only for {', '.join(certificate.names) or 'no name at all'}, and clients would ask for {host}"
        )
        hint = "name the gate by one of its names: --host NAME"
        raise InvalidInput([Problem(f"--cert {cluster.certificate.cert}", "front.cert.no-name", message, hint)])
    return front


def load_declared(cluster: ClusterConfig, names: Sequence[str]) -> tuple[FrontCertificate, list[Problem]]:
    """The certificate that is declared, and warnings. Raises InvalidInput with everything that makes it unusable."""
    given = cluster.certificate
    assert given is not None, "a certificate is declared"
    return load_given(given.cert, given.key, names, datetime.now(UTC), chain_file=given.chain, ca_file=given.ca)


def own_front(names: Sequence[str], environ: Mapping[str, str], *, lasting: bool = True) -> Front:
    """The gate's own certificate for exactly these names, kept and used again; other names have another one.

    One that is not to be `lasting` is kept nowhere, unless it is there already. Raises InvalidInput, UnsafeFolder or FileTrouble
    if it cannot be kept, NoFolder if there is no place for it.
    """
    folder = own_folder(names, environ)
    if not lasting and not folder.exists():
        with tempfile.TemporaryDirectory(prefix="kubegate-") as place:
            return own_front(names, {**environ, "STATE_DIRECTORY": place})
    with explained(f"the state folder {folder} cannot be used", "see that there is space, and that this user may write there"):
        private_folder(state_folder(environ))
        private_folder(folder.parent)
        certificate, newly_made, key_file = self_signed(folder, names, datetime.now(UTC))
        # Clients are pointed at a file without the key.
        file = key_file.with_name("certificate.pem")
        content = certificate.client_ca_pem or b""
        if not file.exists() or file.read_bytes() != content:
            write_atomically(file, content)
    return Front(certificate, file, newly_made=newly_made, warnings=(_SELF_SIGNED,))


def own_folder(names: Sequence[str], environ: Mapping[str, str]) -> Path:
    """Where the gate's own certificate for these names is kept."""
    digest = hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:12]
    first = names[0].replace(":", "_")[:60]
    return state_folder(environ) / "front" / f"{first}-{digest}"
