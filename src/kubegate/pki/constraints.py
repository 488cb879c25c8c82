"""Which names a CA may vouch for: name constraints (RFC 5280, section 4.2.1.10), made, read and judged.

Without them the key of a CA that is trusted on a machine can impersonate the whole web there.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509

from kubegate.model.address import is_address, normal_name
from kubegate.model.names import printable

LOOPBACK = ("localhost", "127.0.0.0/8", "::1/128")
# Names of one label that nobody can register (RFC 6761 and 6762, RFC 9476, and what ICANN has set aside).
_NOBODYS = frozenset({"localhost", "test", "example", "invalid", "local", "internal", "alt", "onion"})
# Shorter prefixes hold more than any one network.
_SHORTEST_PREFIX = {4: 8, 6: 32}

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Permitted:
    """The names that a CA may vouch for; `dns` stand for themselves and all names below, `excluded` are taken out again.

    `of_every_kind` says that both DNS names and addresses are restricted: a kind that is not named is free.
    """

    dns: tuple[str, ...]
    networks: tuple[Network, ...]
    excluded: tuple[str | Network, ...]
    critical: bool
    of_every_kind: bool

    def allows(self, name: str) -> bool:
        """Whether a certificate may have this DNS name, with or without `*.`, or this address."""
        if is_address(name):
            address = ipaddress.ip_address(name)
            free = not self.networks and not self.of_every_kind
            return (free or any(address in one for one in self.networks)) and not any(
                not isinstance(one, str) and address in one for one in self.excluded
            )
        free = not self.dns and not self.of_every_kind
        return (free or any(_below(name, one) for one in self.dns)) and not any(
            isinstance(one, str) and _below(name, one) for one in self.excluded
        )

    @property
    def shown(self) -> str:
        """What is permitted, for people; text of the certificate is escaped."""
        return ", ".join((*map(printable, self.dns), *map(str, self.networks))) or "nothing"


def parse_permitted(text: str) -> str:
    """A name that a CA is to vouch for in its normal form: a DNS name, an address or a network. Raises ValueError."""
    bare = text.strip()
    if "*" in bare:
        raise ValueError(f"{text!r} is a wildcard; the name without *. stands for itself and all names below")
    if "/" in bare:
        try:
            return str(ipaddress.ip_network(bare))
        except ValueError as error:
            raise ValueError(f"{text!r} is not a network: {error}") from None
    name = normal_name(bare)
    if is_address(name):
        return str(ipaddress.ip_network(name))
    return name


def too_broad(names: Sequence[str]) -> list[str]:
    """Why some of these names, as `parse_permitted` gives them, would let a CA vouch for strangers: a sentence for each."""
    found = []
    for name in names:
        if "/" in name:
            network = ipaddress.ip_network(name)
            if network.prefixlen < _SHORTEST_PREFIX[network.version]:
                found.append(f"{name} is larger than any one network")
        elif "." not in name.strip(".") and name.strip(".") not in _NOBODYS:
            found.append(f"{printable(name) or 'the empty name'} stands for a whole top-level domain")
    return found


def constraints(names: Sequence[str]) -> x509.NameConstraints:
    """The extension that permits loopback and these names (as `parse_permitted` gives them), and nothing else."""
    return x509.NameConstraints([_general(name) for name in dict.fromkeys((*LOOPBACK, *names))], None)


def permitted(certificate: x509.Certificate) -> Permitted | None:
    """What a CA certificate permits; None if it has no name constraints. Raises one of `certificate.UNPARSABLE`."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    except x509.ExtensionNotFound:
        return None
    inside = found.value.permitted_subtrees or []
    dns = tuple(one.value for one in inside if isinstance(one, x509.DNSName))
    networks = tuple(one.value for one in inside if isinstance(one, x509.IPAddress))
    outside = [one.value for one in found.value.excluded_subtrees or [] if isinstance(one, x509.DNSName | x509.IPAddress)]
    kinds = str | ipaddress.IPv4Network | ipaddress.IPv6Network
    return Permitted(
        dns,
        tuple(one for one in networks if isinstance(one, ipaddress.IPv4Network | ipaddress.IPv6Network)),
        tuple(one for one in outside if isinstance(one, kinds)),
        found.critical,
        of_every_kind=bool(dns) and bool(networks),
    )


def impersonates(certificate: x509.Certificate) -> list[str]:
    """Why the key of a CA could impersonate strangers where it is trusted: a sentence for each reason, none if it could not."""
    found = permitted(certificate)
    if found is None:
        return ["it has no name constraints, so its key can vouch for every name there is"]
    reasons = [] if found.critical else ["its name constraints are not critical, so some clients ignore them"]
    if not found.dns:
        reasons.append("its name constraints do not restrict DNS names")
    if not found.networks:
        reasons.append("its name constraints do not restrict addresses")
    return reasons + too_broad([*found.dns, *map(str, found.networks)])


def _below(name: str, permitted_name: str) -> bool:
    bare, above = name.lower().removeprefix("*.").rstrip("."), permitted_name.lower().lstrip(".")
    return not above or bare == above or bare.endswith(f".{above}")


def _general(name: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_network(name)) if "/" in name else x509.DNSName(name)
