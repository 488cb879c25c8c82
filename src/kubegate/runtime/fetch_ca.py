"""`kubegate certs fetch-ca`: a cluster's CA, which is kept only once a pin or a person has confirmed it."""

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from kubegate.cluster import cluster_info
from kubegate.cluster.client import ApiClient
from kubegate.cluster.errors import Untrusted
from kubegate.cluster.probe import probe
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.pki.certificate import Certificate, pem_chain
from kubegate.pki.pin import pin_of, pinned
from kubegate.runtime.ca_flags import Flags, Source, read
from kubegate.runtime.ca_sources import Found, find
from kubegate.system.files import explained, write_atomically, write_once

Ask = Callable[[Found], bool]


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The certificates that may be trusted now, how that was confirmed, and what was left out of what was found."""

    found: Found
    authorities: tuple[Certificate, ...]
    how: str
    left_out: tuple[Certificate, ...] = ()
    proven: str = ""

    @property
    def pem(self) -> bytes:
        """The file's content."""
        return pem_chain(self.authorities)


def run(flags: Flags, ask: Ask | None, environ: Mapping[str, str] = os.environ) -> Confirmed:
    """Find the CA, have it confirmed, let the server prove itself by it, and write it where it was asked for.

    Raises InvalidInput with everything that is wrong with the flags, NoAuthority, a ClusterError or FileTrouble.
    """
    wanted = read(flags, environ)
    # Asking has its own loop each time: a Ctrl-C at the question ends the command.
    decided = asyncio.run(prove(decide(asyncio.run(find(wanted, environ)), ask)))
    keep(flags, decided.pem)
    return decided


def decide(found: Found, ask: Ask | None) -> Confirmed:
    """The found CA, confirmed by a pin, by the kubeconfig that trusts it already, or by `ask` (None: nobody can be asked).

    Of several only those that are pinned count. Raises InvalidInput or Untrusted.
    """
    if found.pins:
        good = tuple(pinned(found.authorities, found.pins))
        if not good:
            raise Untrusted(_mismatch(found), "do not trust it: it is another cluster, or somebody is in the middle")
        left_out = tuple(one for one in found.authorities if one not in good)
        return Confirmed(found, good, "its public key is the pinned one", left_out)
    if found.trusted:
        return Confirmed(found, found.authorities, "this kubeconfig trusts it already")
    if ask is None:
        raise InvalidInput([_nobody_to_ask(found)])
    if not ask(found):
        raise Untrusted("the fingerprint was not confirmed", "nothing was written")
    return Confirmed(found, found.authorities, "the fingerprint was said to be right")


async def prove(decided: Confirmed) -> Confirmed:
    """Let the server prove itself by what is trusted now, where it came from that server. Raises Untrusted or Unreachable."""
    found, context = decided.found, decided.found.context
    if found.source not in (Source.CLUSTER_INFO, Source.HANDSHAKE):
        return decided
    if found.source is Source.CLUSTER_INFO:
        await _reread(decided)
    else:
        await probe(context.host, context.port, context.verified_name, decided.pem, as_kubectl=True)
    proven = f"{context.server.endpoint} proves by it that it is {context.verified_name}"
    return replace(decided, proven=proven)


async def _reread(decided: Confirmed) -> None:
    """As kubeadm does: the same has to come over a connection that is verified."""
    found = decided.found
    async with ApiClient(replace(found.context, ca_pem=decided.pem)) as client:
        answer = await client.call("GET", cluster_info.PATH)
    if answer.status != 200 or cluster_info.read(answer.body).kubeconfig != found.reread:
        message = f"{cluster_info.SHOWN} is another one over a verified connection: what came before was changed on the way"
        raise Untrusted(message, "nothing was written; do not use this connection")


def _mismatch(found: Found) -> str:
    have = ", ".join(map(pin_of, found.authorities))
    return f"the CA of {found.origin} is not the pinned one: it is {have}"


def _nobody_to_ask(found: Found) -> Problem:
    have = " ".join(f"--pin {pin_of(one)}" for one in found.authorities)
    message = f"nobody is here to be asked whether the CA of {found.origin} is the right one"
    return Problem("--pin", "fetch-ca.unconfirmed", message, f"compare it with what the cluster's operator has, then add: {have}")


def keep(flags: Flags, content: bytes) -> None:
    """Write the CA where it was asked for, readable by all. Raises FileTrouble."""
    if flags.out is None:
        return
    with explained(f"{printable(str(flags.out))} cannot be written"):
        if flags.force:
            write_atomically(flags.out, content, 0o644)
        else:
            write_once(flags.out, content, 0o644)


def facts(decided: Confirmed, out: Path | None) -> dict[str, object]:
    """What was found and confirmed, for scripts."""
    found = decided.found
    return {
        "source": str(found.source),
        "origin": found.origin,
        "authorities": [described(one) for one in decided.authorities],
        "leftOut": [described(one) for one in decided.left_out],
        "confirmed": decided.how,
        "proven": decided.proven,
        "remarks": list(found.remarks),
        "file": None if out is None else str(out),
        "pem": decided.pem.decode(),
    }


def described(one: Certificate) -> dict[str, object]:
    """A certificate for scripts."""
    return {
        "subject": one.subject,
        "issuer": one.issuer,
        "notAfter": one.not_after.isoformat(),
        "daysLeft": (one.not_after - datetime.now(UTC)).days,
        "pin": pin_of(one),
        "sha256": one.sha256,
        "isCA": one.is_ca,
    }
