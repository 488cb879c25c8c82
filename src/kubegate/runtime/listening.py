"""Where a gate listens: whether it can, on which interfaces it is reached then, and under which host."""

from kubegate.model.address import Endpoint
from kubegate.model.config import ClusterConfig
from kubegate.model.problem import Problem
from kubegate.model.status import Reach
from kubegate.runtime.generation import Store
from kubegate.system import network


def store_name(listen: Endpoint) -> str:
    """The name of a gate's working folder, by where it listens."""
    return f"{listen.host.replace(':', '_')}-{listen.port}"


def settle_port(listen: Endpoint) -> Endpoint:
    """The same with a free port in the place of port 0. Raises OSError if that address cannot be listened on."""
    return listen if listen.port else Endpoint(listen.host, network.free_port(listen.host))


def listen_problems(listen: Endpoint, store: Store) -> list[Problem]:
    """Why nothing can listen there; a HAProxy that a killed kubegate left there is no reason."""
    if store.leftover():
        return []
    if owner := store.owner():
        message = f"another kubegate ({owner}) serves this address"
        return [Problem(f"--listen {listen}", "listen.taken", message, "stop it, or choose another port")]
    why = network.why_not_bindable(listen.host, listen.port)
    return [unusable(listen, why)] if why else []


def address_problems(where: str, listen: Endpoint) -> list[Problem]:
    """Why nothing can listen at an address that is declared at `where`."""
    why = network.why_not_bindable(listen.host, listen.port)
    return [unusable(listen, why, where)] if why else []


def unusable(listen: Endpoint, why: str, where: str = "") -> Problem:
    """The problem that an address cannot be listened on, with what to do about it."""
    if "in use" in why:
        listener = network.listener_on(listen.port)
        why, hint = f"{listener or 'another program'} listens there already", "stop it, or choose another port"
    elif "denied" in why:
        hint = "ports below 1024 need root or CAP_NET_BIND_SERVICE; choose another port"
    else:
        hint = "choose an address of this machine (ip address lists them)"
    return Problem(
        where or f"--listen {listen}", "listen.unusable", f"{listen if where else 'it'} cannot be listened on: {why}", hint
    )


def reachable(listen: Endpoint) -> tuple[Reach, ...]:
    """On which interfaces and addresses a listener can be reached."""
    if listen.is_wildcard:
        found = network.reachable_addresses(ipv6=":" in listen.host)
        return tuple(Reach(interface=interface, address=address) for interface, address in found)
    return (Reach(interface=network.interface_of(listen.host) or "?", address=listen.host),)


def open_to_others(listen: Endpoint, reach: tuple[Reach, ...], where: str = "") -> list[Problem]:
    """The warning that others than this machine's users reach the gate, declared at `where` or by a flag."""
    if listen.is_loopback:
        return []
    shown = ", ".join(f"{entry.address} ({entry.interface})" for entry in reach)
    limit = "name those who may come (allow), limit them by a firewall" if where else "limit the senders by a firewall"
    return [
        Problem(
            where or f"--listen {listen}",
            "listen.open",
            f"everyone who can reach {shown} can try to log in here",
            f"{limit}, or listen on 127.0.0.1",
        )
    ]


def client_host(cluster: ClusterConfig, listen: Endpoint, reach: tuple[Reach, ...]) -> str:
    """The host that clients are told: the first declared name, else an address that reaches the gate."""
    if cluster.hosts:
        return cluster.hosts[0]
    if not listen.is_wildcard:
        return listen.host
    outside = [entry.address for entry in reach if not Endpoint(entry.address, 0).is_loopback]
    outward = network.outward_address()
    return outward if outward in outside else next(iter(outside), dial_host(listen))


def dial_host(listen: Endpoint) -> str:
    """The address on which this machine itself reaches the gate."""
    if not listen.is_wildcard:
        return listen.host
    return "::1" if ":" in listen.host else "127.0.0.1"
