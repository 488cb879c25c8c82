"""Certificates as somebody found them, looked at: who issued whom, what is missing or too much, and who would trust them."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store, VerificationError

from kubegate.model.address import is_address
from kubegate.model.names import covers, printable
from kubegate.pki.certificate import UNPARSABLE, Certificate
from kubegate.pki.trust import system_authorities, system_store
from kubegate.system.files import reason

# What a file with more of them holds is a bundle of CAs.
_LONGEST = 20
_STACK = re.compile(r" ?\(encountered processing .*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Arrangement:
    """A chain out of certificates: the certificate itself, then who issued it, as far as these are there.

    `in_order` says that they stood so. `missing` is the issuer that is not there, empty if the last one signed itself.
    `superfluous` are those that are no part of the chain, and copies.
    """

    chain: tuple[Certificate, ...]
    in_order: bool
    missing: str
    superfluous: tuple[Certificate, ...]

    @property
    def leaf(self) -> Certificate:
        """The certificate itself."""
        return self.chain[0]

    @property
    def root_is_sent(self) -> bool:
        """Whether the root stands behind others: whoever trusts it has it, and nobody else will because of that."""
        return len(self.chain) > 1 and self.chain[-1].self_signed

    @property
    def until(self) -> datetime:
        """When the first of the chain ends, and the chain with it."""
        return min(one.not_after for one in self.chain)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether somebody would trust a certificate, and why, as the end of a sentence."""

    trusted: bool
    why: str


def is_bundle(given: Sequence[Certificate]) -> bool:
    """Whether these are CAs that somebody trusts, rather than a chain."""
    return len(given) > _LONGEST or (len(given) > 1 and all(one.is_ca and one.self_signed for one in given))


def arrange(given: Sequence[Certificate]) -> Arrangement:
    """The chain in certificates as they stood; at least one."""
    distinct = list({one.sha256: one for one in given}.values())
    leaf = given[0]
    if any(one is not leaf and one.is_issued_by(leaf) for one in distinct):
        leaf = next((one for one in distinct if not _issues_any(one, distinct)), leaf)
    chain = [leaf]
    while not chain[-1].self_signed:
        issuer = next((one for one in distinct if one not in chain and chain[-1].is_issued_by(one)), None)
        if issuer is None:
            break
        chain.append(issuer)
    used = {one.sha256 for one in chain}
    superfluous, seen = [], set[str]()
    for one in given:
        if one.sha256 not in used or one.sha256 in seen:
            superfluous.append(one)
        seen.add(one.sha256)
    stood = [one.sha256 for one in given if one.sha256 in used]
    missing = "" if chain[-1].self_signed else chain[-1].issuer
    return Arrangement(tuple(chain), stood[: len(chain)] == [one.sha256 for one in chain], missing, tuple(superfluous))


def by_browser(chain: Sequence[Certificate], name: str | None, now: datetime, system: Path | None) -> Verdict:
    """Whether a browser would trust a server for this name (None: its own first): by the CAs that this machine trusts."""
    if (why := _unfit(chain[0], name, now)) is not None:
        return Verdict(False, why)
    if system is None:
        return Verdict(False, "this machine has no CAs that it trusts")
    try:
        said = _failure(chain, name, now, PolicyBuilder().store(system_store(system)))
        if said is None:
            return Verdict(True, f"a CA in {system} vouches for it")
        anchors = system_authorities(system, arrange(chain).chain[-1])
    except OSError as error:
        return Verdict(False, f"{system} cannot be read: {reason(error)}")
    return Verdict(False, _reason(chain, said, now, anchors))


def by_bundle(chain: Sequence[Certificate], name: str | None, now: datetime, authorities: Sequence[Certificate]) -> Verdict:
    """Whether a client that trusts these certificates and no others, as kubectl does by a kubeconfig, would trust a server.

    As for Go an intermediate CA, or the certificate itself, is trusted where it stands among them.
    """
    if (why := _unfit(chain[0], name, now)) is not None:
        return Verdict(False, why)
    if not authorities:
        return Verdict(False, "it holds no CA")
    anchors = [one.parsed for one in authorities]
    said = _failure(chain, name, now, _lenient(PolicyBuilder().store(Store(anchors))))
    return Verdict(True, "its CA vouches for it") if said is None else Verdict(False, _reason(chain, said, now, authorities))


def _lenient(builder: PolicyBuilder) -> PolicyBuilder:
    """What Go asks for, and no more: clusters have CAs that no public CA could be."""
    everything = ExtensionPolicy.permit_all()
    return builder.extension_policies(
        ca_policy=everything.require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None),
        ee_policy=everything.require_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None),
    )


def _failure(chain: Sequence[Certificate], name: str | None, now: datetime, builder: PolicyBuilder) -> str | None:
    """What the library says against a chain, None if it is verified for this name (None: its own first)."""
    wanted = name or chain[0].names[0]
    asked = x509.IPAddress(ipaddress.ip_address(wanted)) if is_address(wanted) else x509.DNSName(wanted.replace("*", "any", 1))
    try:
        builder.time(now).build_server_verifier(asked).verify(chain[0].parsed, [one.parsed for one in chain[1:]])
    except (VerificationError, *UNPARSABLE) as error:
        return str(error)
    return None


def _unfit(leaf: Certificate, name: str | None, now: datetime) -> str | None:
    """Why nobody would trust a server that shows this certificate, whoever issued it."""
    if leaf.not_after < now:
        return f"it expired on {leaf.not_after:%Y-%m-%d %H:%M} UTC"
    if now < leaf.not_before:
        return f"it is not valid before {leaf.not_before:%Y-%m-%d %H:%M} UTC"
    if not leaf.may_serve:
        return "it is not for TLS servers"
    if not leaf.names:
        return "it has no name in subjectAltName, and clients look nowhere else"
    if name is not None and not covers(leaf.names, name):
        return f"it is not for {printable(name)}"
    return None


def _reason(chain: Sequence[Certificate], said: str, now: datetime, authorities: Sequence[Certificate]) -> str:
    if "name constraints" in said:
        return "a CA above it may not vouch for its names"
    if expired := next((one for one in chain[1:] if not one.is_valid_at(now)), None):
        return f"the CA {expired.subject} is not valid now"
    last = arrange(chain).chain[-1]
    known = {one.sha256 for one in authorities}
    of_same_name = [one for one in authorities if one.parsed.subject == last.parsed.issuer]
    if any(not one.is_valid_at(now) for one in of_same_name) and any(last.is_issued_by(one) for one in of_same_name):
        return f"the CA {last.issuer} is not valid now"
    if of_same_name and not any(last.is_issued_by(one) for one in of_same_name):
        return f"its CA has the expected name ({last.issuer}) but another key"
    if last.self_signed and last.sha256 not in known:
        what = "it is self-signed, and" if last is chain[0] else f"its root ({last.subject}) is"
        return f"{what} not among those that are trusted"
    if not last.self_signed and not of_same_name:
        return f"its issuer ({last.issuer}) is not among those that are trusted"
    words = _STACK.sub("", said).removeprefix("validation failed: ").removeprefix("candidates exhausted: ")
    return f"nobody who is trusted vouches for it: {printable(words)}"


def _issues_any(one: Certificate, others: Sequence[Certificate]) -> bool:
    return any(other is not one and other.is_issued_by(one) for other in others)
