"""Certificates issued by a CA, or signed by their own key: what is wanted, judged as a whole, then made."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from kubegate.model.address import is_address, normal_name
from kubegate.model.certificate_kinds import Kind, Purpose
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.pki.ca import CLOCK_SKEW, Authority
from kubegate.pki.certificate import Certificate, read_certificate
from kubegate.pki.constraints import permitted
from kubegate.pki.key import FrontKey, make_key
from kubegate.pki.request import PublicKey, alternatives, subject

# X.520: the upper bound of a common name; OpenSSL and Go hold to it.
_LONGEST_COMMON_NAME = 64
# Apple's clients refuse more for servers (support.apple.com/103769); a client's cannot be revoked at a kube-apiserver.
_USUAL = {"server": timedelta(days=397), "client": timedelta(days=90)}
_LONGEST_SERVER = timedelta(days=825)
_PURPOSES = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}
_MASTERS = "system:masters"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A certificate that is wanted. `names` are those of a server (`*.` may lead a DNS name), in normal form (`normal_names`).

    A client's `common_name` is its user, its `organizations` are its groups. `lifetime` None is the usual one, or what the CA has
    left if that is less.
    """

    purpose: Purpose
    common_name: str
    names: tuple[str, ...] = ()
    organizations: tuple[str, ...] = ()
    lifetime: timedelta | None = None
    kind: Kind = Kind.P256


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its issuers, its own first; `key` is None where somebody else has it."""

    chain: tuple[Certificate, ...]
    key: FrontKey | None = field(repr=False)

    @property
    def leaf(self) -> Certificate:
        """The certificate itself."""
        return self.chain[0]


def normal_names(names: Sequence[str], where: str) -> tuple[str, ...]:
    """Names of a server as certificates have them, each once. Raises InvalidInput with each that is none."""
    found, problems = dict[str, None](), list[Problem]()
    for name in names:
        try:
            found[_normal(name)] = None
        except ValueError as error:
            problems.append(_problem(where, "name", printable(str(error)), "write a DNS name, or an address"))
    if problems:
        raise InvalidInput(problems)
    return tuple(found)


def issue(
    authority: Authority, wanted: Wanted, now: datetime | None = None, *, key: FrontKey | PublicKey | None = None
) -> Issued:
    """A certificate of this CA, for a new key, or for `key`, of which the public half is enough.

    Raises InvalidInput with everything for which it would not be accepted, or which its CA may not vouch for.
    """
    now = now or datetime.now(UTC)
    problems = [*_flaws(wanted), *_beyond(authority, wanted, now)]
    if problems:
        raise InvalidInput(problems)
    pair, public = _keys(wanted, key)
    issuer = authority.certificate
    lifetime = wanted.lifetime or min(_USUAL[wanted.purpose], issuer.not_after - now)
    begin = max(now - CLOCK_SKEW, issuer.not_before)
    builder = _builder(wanted, public, issuer.parsed.subject, begin, now + lifetime)
    builder = builder.add_extension(authority.key_identifier, critical=False)
    leaf = read_certificate(builder.sign(authority.key, hashes.SHA256()))
    return Issued((leaf, issuer), pair)


def issue_own(wanted: Wanted, now: datetime | None = None, *, key: FrontKey | None = None) -> Issued:
    """A certificate signed by its own key, which is no CA: clients have to be given this very one. Raises as `issue`."""
    now = now or datetime.now(UTC)
    if problems := _flaws(wanted):
        raise InvalidInput(problems)
    own = key or make_key(wanted.kind)
    lifetime = wanted.lifetime or _USUAL[wanted.purpose]
    name = subject(_common_name(wanted), wanted.organizations)
    builder = _builder(wanted, own.public_key(), name, now - CLOCK_SKEW, now + lifetime)
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(own.public_key()), critical=False)
    return Issued((read_certificate(builder.sign(own, hashes.SHA256())),), own)


def wanted_again(old: Certificate, lifetime: timedelta | None = None) -> Wanted:
    """What a certificate was issued for, to have it once more: the same subject, names and purpose, for as long a time."""
    purpose = Purpose.SERVER if old.may_serve else Purpose.CLIENT
    common = old.parsed.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    groups = old.parsed.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)
    whole = old.not_after - old.not_before - CLOCK_SKEW
    again = Wanted(
        purpose,
        str(common[-1].value) if common else "",
        old.names,
        tuple(str(one.value) for one in groups),
        lifetime or max(whole, timedelta(seconds=1)),
    )
    # What cannot be wanted is told when it is issued.
    return replace(again, names=tuple(one.lower() for one in again.names))


def cautions(wanted: Wanted) -> list[Problem]:
    """What is not secure about a certificate that is wanted."""
    if _MASTERS not in wanted.organizations:
        return []
    message = f"the group {_MASTERS} may do everything where a kube-apiserver trusts this CA, and that cannot be taken back"
    return [_problem("--group", "masters", message, "bind a group of your own to cluster-admin, which can be undone")]


def _flaws(wanted: Wanted) -> list[Problem]:
    problems = []
    if wanted.purpose is Purpose.SERVER and not wanted.names:
        problems.append(_problem("--name", "name", "a server needs a name or an address, and there is none", "give --name"))
    if wanted.purpose is Purpose.CLIENT and not wanted.common_name:
        problems.append(_problem("--user", "name", "a client needs a user name, and there is none", "give --user"))
    for what, text in (("--user", wanted.common_name), *(("--group", one) for one in wanted.organizations)):
        if len(text) > _LONGEST_COMMON_NAME:
            message = f"{printable(text[:20])}... has {len(text)} characters, and certificates hold {_LONGEST_COMMON_NAME}"
            problems.append(_problem(what, "name", message, "choose a shorter one"))
        elif not text.isprintable():
            problems.append(_problem(what, "name", f"{printable(text)} has characters that nobody sees", "leave them out"))
    longest = wanted.purpose is Purpose.SERVER and wanted.lifetime is not None and wanted.lifetime > _LONGEST_SERVER
    if longest:
        message = f"a server's certificate may not be valid for more than {_LONGEST_SERVER.days} days: Apple's clients refuse it"
        problems.append(_problem("--for", "lifetime", message, "choose a shorter time, and renew it"))
    return problems


def _beyond(authority: Authority, wanted: Wanted, now: datetime) -> list[Problem]:
    """What this CA may not, or can no longer, vouch for."""
    ca, where = authority.certificate, authority.where
    problems = []
    if not ca.is_valid_at(now):
        message = f"the CA certificate is valid from {ca.not_before:%Y-%m-%d %H:%M} to {ca.not_after:%Y-%m-%d %H:%M} UTC, not now"
        problems.append(_problem(where, "ca", message, "make a new CA: kubegate certs ca init"))
    elif wanted.lifetime is not None and now + wanted.lifetime > ca.not_after:
        message = f"the CA itself is valid until {ca.not_after:%Y-%m-%d %H:%M} UTC only"
        problems.append(_problem("--for", "lifetime", message, "choose a shorter time, or leave it out"))
    bounds = permitted(ca.parsed)
    if bounds is None:
        return problems
    hint = f"it may vouch for {bounds.shown} and names below these; make a CA for other names: kubegate certs ca init"
    problems += [
        _problem("--name", "constraint", f"the CA may not vouch for {printable(name)}", hint)
        for name in wanted.names
        if not bounds.allows(name)
    ]
    # OpenSSL holds a common name that looks like a DNS name against the constraints, where no DNS name stands beside it.
    common = wanted.common_name
    if wanted.purpose is Purpose.CLIENT and _looks_like_dns(common) and not bounds.allows(common):
        message = f"the user name {printable(common)} looks like a DNS name for which the CA may not vouch, so OpenSSL refuses it"
        problems.append(_problem("--user", "constraint", message, f"choose another one, as {common.replace('.', '-')}"))
    return problems


def _looks_like_dns(name: str) -> bool:
    if "." not in name:
        return False
    try:
        return not is_address(normal_name(name))
    except ValueError:
        return False


def _keys(wanted: Wanted, key: FrontKey | PublicKey | None) -> tuple[FrontKey | None, PublicKey]:
    if key is None:
        key = make_key(wanted.kind)
    if isinstance(key, FrontKey):
        return key, key.public_key()
    return None, key


def _builder(wanted: Wanted, key: PublicKey, issuer: x509.Name, begin: datetime, end: datetime) -> x509.CertificateBuilder:
    builder = (
        x509.CertificateBuilder(issuer, subject(_common_name(wanted), wanted.organizations), key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(enciphers=isinstance(key, rsa.RSAPublicKey)), critical=True)
        .add_extension(x509.ExtendedKeyUsage([_PURPOSES[wanted.purpose]]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
    if wanted.names:
        builder = builder.add_extension(alternatives(wanted.names), critical=False)
    return builder


def _common_name(wanted: Wanted) -> str:
    return wanted.common_name or next((one for one in wanted.names if len(one) <= _LONGEST_COMMON_NAME), "kubegate")


def _usage(*, enciphers: bool) -> x509.KeyUsage:
    # RSA key exchange of TLS 1.2 enciphers (RFC 5246, section 7.4.2).
    return x509.KeyUsage(True, False, enciphers, False, False, False, False, False, False)


def _normal(name: str) -> str:
    bare = name.strip()
    if not bare.startswith("*."):
        return normal_name(bare)
    parent = normal_name(bare[2:])
    if is_address(parent) or "." not in parent:
        raise ValueError(f"{name!r} stands for more names than clients accept: two labels at least follow the *")
    return f"*.{parent}"


def _problem(where: str, code: str, message: str, hint: str = "") -> Problem:
    return Problem(where, f"certs.{code}", message, hint)
