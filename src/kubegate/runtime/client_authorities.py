"""Client certificates of a listener: its CA and its list of what is revoked, read and judged."""

import functools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kubegate.model.config import ClientCertificatesConfig
from kubegate.model.facts import ClientFacts
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.pki.certificate import Certificate, check_ca, load_bundle, pem_chain
from kubegate.pki.revoked import read_revoked
from kubegate.runtime.findings import Findings
from kubegate.system.files import reason

_SOON = timedelta(days=14)
_MOST_BYTES = 32 << 20
_HINT = "give the root CA that issues client certificates, in PEM form"
_EMPTY = "make it: an empty file revokes nothing"
# A list is long, and what changes in between is mostly something else.
_read_list = functools.lru_cache(maxsize=16)(read_revoked)


def files(declared: ClientCertificatesConfig) -> list[Path]:
    """The files that it names."""
    return [declared.ca, *([declared.revoked] if declared.revoked is not None else [])]


def read(declared: ClientCertificatesConfig, at: Callable[..., str]) -> tuple[ClientFacts, list[Problem]]:
    """By what clients are verified, and warnings; `at` gives the places of its keys. Raises InvalidInput with every problem."""
    findings = Findings([])
    shown = printable(str(declared.ca))
    roots: list[Certificate] = []
    revoked: tuple[str, ...] = ()
    with findings.within(at("ca"), "clients", {shown: at("ca")}):
        roots = _authorities(_content(declared.ca), shown)
    if declared.revoked is not None:
        place = at("revoked")
        listed = printable(str(declared.revoked))
        with findings.within(place, "revoked", {listed: place}):
            entries = _read_list(_content(declared.revoked, _EMPTY), listed)
            revoked = tuple(sorted(entry.forms for entry in entries))
    findings.raise_if_any()
    return ClientFacts(pem_chain(roots), revoked), _warnings(roots, shown)


def _authorities(pem: bytes, where: str) -> list[Certificate]:
    """The CA certificates of a bundle. Raises InvalidInput if HAProxy would verify nobody by them."""
    if problems := check_ca(pem, where):
        raise InvalidInput([one if one.hint else replace(one, hint=_HINT) for one in problems])
    found = load_bundle(pem, where)
    if not any(one.is_ca and one.self_signed for one in found):
        message = "holds no root CA, and without one no client certificate can be verified"
        raise InvalidInput([Problem(where, "clients.root", message, "append the root CA certificate to the file")])
    return found


def _content(path: Path, hint: str = "") -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        message = f"cannot be read: {reason(error)}"
        raise InvalidInput([Problem(printable(str(path)), "file.unreadable", message, hint)]) from None
    if len(content) > _MOST_BYTES:
        raise InvalidInput([Problem(printable(str(path)), "file.large", "is larger than 32 MiB, which no list is")])
    return content


def _warnings(roots: list[Certificate], where: str) -> list[Problem]:
    newest = max(roots, key=lambda one: one.not_after)
    if newest.not_after - datetime.now(UTC) >= _SOON:
        return []
    message = f"the CA of client certificates expires on {newest.not_after:%Y-%m-%d %H:%M} UTC, and all its certificates with it"
    return [
        Problem(where, "clients.ca.expires", message, "issue certificates of a new CA, and declare both until the old one ends")
    ]
