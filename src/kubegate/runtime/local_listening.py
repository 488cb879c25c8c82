"""Where the local proxy listens: its sockets opened, and what is not safe about that."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from kubegate.model.problem import InvalidInput, Problem
from kubegate.model.proxy_plan import Listener
from kubegate.runtime.local_context import LocalContext
from kubegate.runtime.local_settings import Place, Settings
from kubegate.system import listeners, network
from kubegate.system.files import reason
from kubegate.system.listeners import Listening

_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True)
class Opened:
    """A socket that listens, the context that it leads to, and who is let in."""

    name: str
    listening: Listening
    target: str
    several: bool
    pem: bytes
    token: bool

    @property
    def loopback(self) -> bool:
        """Whether only this machine's users reach it."""
        return self.listening.file is not None or ip_address(self.listening.host).is_loopback

    def planned(self) -> Listener:
        """As the plan has it."""
        return Listener(
            name=self.name,
            descriptor=self.listening.descriptor,
            target=self.target,
            hosts=_hosts(self.listening),
            port=self.listening.port,
            several=self.several,
            pem=self.pem,
            token=self.token,
        )


def open_listeners(settings: Settings, contexts: Sequence[LocalContext]) -> list[Opened]:
    """Open all of them. Raises InvalidInput with every one that cannot be; then none is open."""
    first = contexts[0]
    wanted = [(settings.place, first.key, settings.several)]
    wanted += [(one.place, one.key, False) for one in contexts if one.place is not None]
    opened: list[Opened] = []
    problems: list[Problem] = []
    for number, (place, key, several) in enumerate(wanted):
        try:
            listening = _open(place)
        except InvalidInput as error:
            problems += error.problems
        else:
            opened.append(Opened(f"proxy{number or ''}", listening, key, several, pem=b"", token=settings.token_required))
    if problems:
        for one in opened:
            one.listening.close()
        raise InvalidInput(problems)
    return opened


def _open(place: Place) -> Listening:
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
        message = f"{shown} cannot be listened on: {why}"
    raise InvalidInput([Problem(place.flag, "listen.unusable", message, hint)])


def _explained(place: Place, why: str) -> tuple[str, str]:
    if "in use" in why and place.socket is None:
        occupant = network.listener_on(place.port)
        return f"{occupant or 'another program'} listens there already", "stop it, or choose another port (--port=0: any)"
    if "denied" in why:
        return why, "choose another port or path, or run it as a user who may"
    return why, "choose another address, port or path"


def _hosts(listening: Listening) -> tuple[str, ...]:
    """By which names and addresses browsers reach it, as they write them."""
    if listening.file is not None:
        return ()
    address = ip_address(listening.host)
    own = f"[{address}]" if address.version == 6 else str(address)
    if address.is_loopback:
        return (own, "localhost")
    if not address.is_unspecified:
        return (own,)
    found = network.reachable_addresses(ipv6=address.version == 6)
    return (*_LOOPBACK_HOSTS, *(f"[{one}]" if ":" in one else one for _, one in found))
