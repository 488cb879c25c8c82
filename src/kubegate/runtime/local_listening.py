"""Where the local proxy listens: its sockets opened, their certificates, and who may come."""

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from ipaddress import ip_address

from kubegate.model.problem import InvalidInput, Problem
from kubegate.model.proxy_plan import Listener
from kubegate.runtime.local_contexts import key_of
from kubegate.runtime.local_settings import Place, Settings, Tls
from kubegate.runtime.process import Say
from kubegate.system import listeners, network
from kubegate.system.files import reason
from kubegate.system.listeners import Listening

_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True)
class Opened:
    """A socket that listens, and the context that it leads to. `ca_pem` is what clients verify its certificate by, if not the
    system's CAs do."""

    name: str
    listening: Listening
    place: Place
    target: str
    several: bool
    pem: bytes = field(default=b"", repr=False)
    ca_pem: bytes | None = None
    token: bool = False

    @property
    def loopback(self) -> bool:
        """Whether only this machine's users reach it."""
        return self.listening.file is not None or ip_address(self.listening.host).is_loopback

    @property
    def hosts(self) -> tuple[str, ...]:
        """By which names and addresses browsers reach it, as they write them."""
        if self.listening.file is not None:
            return ()
        address = ip_address(self.listening.host)
        own = f"[{address}]" if address.version == 6 else str(address)
        if address.is_loopback:
            return (own, "localhost")
        if not address.is_unspecified:
            return (own,)
        found = network.reachable_addresses(ipv6=address.version == 6)
        return (*_LOOPBACK_HOSTS, *(f"[{one}]" if ":" in one else one for _, one in found if one not in ("127.0.0.1", "::1")))

    @property
    def url(self) -> str:
        """Where this machine reaches it; empty for a unix socket."""
        if self.listening.file is not None:
            return ""
        return f"{'https' if self.pem else 'http'}://{self.hosts[0]}:{self.listening.port}"

    def planned(self) -> Listener:
        """As the plan has it."""
        return Listener(
            name=self.name,
            descriptor=self.listening.descriptor,
            target=self.target,
            hosts=self.hosts,
            port=self.listening.port,
            several=self.several,
            pem=self.pem,
            token=self.token,
        )


def open_listeners(settings: Settings) -> list[Opened]:
    """Open all of them. Raises InvalidInput with every one that cannot be; then none is open."""
    wanted = [(settings.place, key_of(0), settings.several)]
    wanted += [(one.place, key_of(number), False) for number, one in enumerate(settings.named, 1) if one.place is not None]
    opened: list[Opened] = []
    problems: list[Problem] = []
    for number, (place, key, several) in enumerate(wanted):
        try:
            opened.append(Opened(f"proxy{number or ''}", _open(place), place, key, several))
        except InvalidInput as error:
            problems += error.problems
    problems += [found for one in opened for found in _open_to_others(one, settings)]
    if problems:
        for one in opened:
            one.listening.close()
        raise InvalidInput(problems)
    return opened


def _open_to_others(one: Opened, settings: Settings) -> list[Problem]:
    if one.loopback or settings.open_to_others or settings.tls is not None:
        return []
    message = f"{one.listening.shown} is reached by others than this machine's users, who would have your rights in the cluster"
    hint = "add --tls, and clients show a token; or serve anybody by --i-know-this-is-open"
    return [Problem(one.place.flag if one.place.socket else "--address", "listen.open", message, hint)]


def secured(opened: Sequence[Opened], settings: Settings, environ: Mapping[str, str], say: Say) -> list[Opened]:
    """The same with their certificates, and who has to show the proxy's token. Raises InvalidInput or KubegateError."""
    found = []
    for one in opened:
        token = settings.token_required or not (one.loopback or settings.open_to_others)
        if not one.loopback and settings.open_to_others and not settings.token_required:
            say(f"warning: whoever reaches {one.listening.shown} has your rights in the cluster (--i-know-this-is-open)")
        pem, ca_pem = _certificate(settings.tls, one, environ, say)
        found.append(replace(one, token=token, pem=pem, ca_pem=ca_pem))
    return found


def _certificate(tls: Tls | None, one: Opened, environ: Mapping[str, str], say: Say) -> tuple[bytes, bytes | None]:
    if tls is None or one.listening.file is not None:
        return b"", None
    names = [host.strip("[]") for host in one.hosts]
    # What it needs takes a while to load, and most proxies speak no TLS.
    if tls.cert is not None and tls.key is not None:
        from kubegate.pki.front import load_given

        certificate, warnings = load_given(tls.cert, tls.key, names, datetime.now(UTC))
        for warning in warnings:
            say(f"warning: {warning.where}: {warning.message}")
        return certificate.pem, certificate.client_ca_pem
    from kubegate.runtime.front import own_front

    own = own_front(names, environ)
    say(f"clients verify the certificate of {one.listening.shown} by {own.file}")
    return own.certificate.pem, own.certificate.client_ca_pem


def _open(place: Place) -> Listening:
    where = place.flag
    try:
        if place.socket is not None:
            return listeners.unix(place.socket)
        return listeners.tcp(place.address, place.port)
    except listeners.Occupied as error:
        message = f"{place.socket} cannot be listened on: {error}"
        hint = "choose another path, or remove what is there"
    except OSError as error:
        shown = str(place.socket or f"{place.address}:{place.port}")
        why, hint = _explained(place, reason(error))
        if where == "--port" and error.errno not in (errno.EADDRINUSE, errno.EACCES):
            where = "--address"
        message = f"{shown} cannot be listened on: {why}"
    raise InvalidInput([Problem(where, "listen.unusable", message, hint)])


def _explained(place: Place, why: str) -> tuple[str, str]:
    if "in use" in why and place.socket is None:
        occupant = network.listener_on(place.port)
        return f"{occupant or 'another program'} listens there already", "stop it, or choose another port (--port=0: any)"
    if "denied" in why:
        return why, "choose another port or path, or run it as a user who may"
    return why, "choose another address, port or path"
