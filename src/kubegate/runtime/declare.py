"""From the flags of `kubegate expose`, as typed, to a Config and what goes with it; every wrong flag becomes a Problem."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from kubegate.model.address import Endpoint, normal_name, parse_listen
from kubegate.model.config import ClusterConfig, Config, FrontFiles, ListenerConfig, Mode, UpstreamConfig, Verify
from kubegate.model.problem import Problem

_T = TypeVar("_T")
_DURATION = re.compile(r"(?=[0-9])(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?")
# RFC 1123 labels and subdomains, as apimachinery's validation has them.
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
# The API server refuses less (authentication.k8s.io/v1, TokenRequestSpec.expirationSeconds).
SHORTEST_TOKEN_SECONDS = 600
_LONGEST_TOKEN_SECONDS = 1 << 32

_LISTEN_HINT = "write an address of this machine and a port, as in 127.0.0.1:6443 or [::1]:6443"
_HOST_HINT = "write the name or address by which clients reach the gate, without port, as in api.example.com"
_ACCOUNT_HINT = "write NAMESPACE/NAME of a service account, as in kube-system/robot"
_FOR_HINT = "write a duration of at least 10 minutes, as in 30m, 1h or 1h30m"


@dataclass(frozen=True, slots=True)
class Flags:
    """What was typed. Texts are not checked yet."""

    kubeconfig: Path | None = None
    context: str | None = None
    listen: str = "127.0.0.1:6443"
    hosts: Sequence[str] = ()
    cert: Path | None = None
    key: Path | None = None
    out: Path | None = None
    account: str | None = None
    lifetime: str | None = None
    passthrough: bool = False
    insecure_upstream: bool = False
    haproxy: Path | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """A service account and for how many seconds its token is asked."""

    namespace: str
    name: str
    seconds: int

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Declared:
    """The declaration, and whose token goes into the client kubeconfig."""

    config: Config
    account: Account | None

    @property
    def cluster(self) -> ClusterConfig:
        """The cluster that is exposed."""
        return self.config.clusters[0]

    @property
    def listen(self) -> Endpoint:
        """Where the gate listens."""
        return self.config.listeners[0].address

    def at(self, listen: Endpoint) -> "Declared":
        """The same declaration for another address."""
        return Declared(Config(listeners=(ListenerConfig(address=listen),), clusters=self.config.clusters), self.account)


def declare(flags: Flags) -> tuple[Declared, list[Problem]]:
    """Read the flags. Where one is wrong a harmless value stands in, so that everything else can be looked at too."""
    problems: list[Problem] = []

    def attempt(flag: str, read: Callable[[], _T], default: _T, hint: str) -> _T:
        try:
            return read()
        except ValueError as error:
            problems.append(Problem(flag, f"flag.{flag.strip('-')}", str(error), hint))
            return default

    listen = attempt("--listen", partial(parse_listen, flags.listen), Endpoint("127.0.0.1", 0), _LISTEN_HINT)
    hosts = [attempt("--host", partial(normal_name, host), "", _HOST_HINT) for host in flags.hosts]
    lifetime = attempt("--for", partial(seconds, flags.lifetime or "1h"), 3600, _FOR_HINT)
    account = attempt("--account", partial(_account, flags.account, lifetime), None, _ACCOUNT_HINT)
    problems += _combinations(flags)
    front = FrontFiles(cert=flags.cert, key=flags.key) if flags.cert and flags.key else None
    cluster = ClusterConfig(
        upstream=UpstreamConfig(
            kubeconfig=flags.kubeconfig,
            context=flags.context,
            verification=Verify.NONE if flags.insecure_upstream else Verify.REQUIRED,
        ),
        hosts=tuple(dict.fromkeys(host for host in hosts if host)),
        mode=Mode.PASSTHROUGH if flags.passthrough else Mode.TERMINATE,
        certificate=front,
    )
    return Declared(Config(listeners=(ListenerConfig(address=listen),), clusters=(cluster,)), account), problems


def _combinations(flags: Flags) -> list[Problem]:
    wrong: list[tuple[bool, str, str, str]] = [
        (
            (flags.cert is None) != (flags.key is None),
            "--cert" if flags.cert else "--key",
            "a certificate and its key are given together",
            f"add {'--key' if flags.cert else '--cert'} FILE",
        ),
        (
            flags.passthrough and bool(flags.cert or flags.key),
            "--passthrough",
            "the gate does not open TLS in this mode, so it shows no certificate of its own",
            "leave out --cert and --key, or --passthrough",
        ),
        (
            flags.passthrough and flags.insecure_upstream,
            "--passthrough",
            "clients verify the API server themselves in this mode; there is nothing that --insecure-upstream could switch off",
            "leave out one of the two",
        ),
        (
            flags.insecure_upstream and flags.account is not None,
            "--account",
            "no token is asked of an API server that nobody verified (--insecure-upstream)",
            "put the CA into the kubeconfig and leave out --insecure-upstream",
        ),
        (
            flags.account is not None and flags.out is None,
            "--account",
            "the token goes into a client kubeconfig, and none is asked for",
            "add --out FILE",
        ),
        (
            flags.lifetime is not None and flags.account is None,
            "--for",
            "it says how long the token of --account lives, and there is no --account",
            "add --account NAMESPACE/NAME",
        ),
    ]
    return [Problem(where, "flag.combination", message, hint) for applies, where, message, hint in wrong if applies]


def _account(text: str | None, lifetime: int) -> Account | None:
    if text is None:
        return None
    namespace, _, name = text.partition("/")
    if not _NAMESPACE.fullmatch(namespace) or not _NAME.fullmatch(name):
        raise ValueError(f"{text!r} is not NAMESPACE/NAME of a service account")
    return Account(namespace, name, lifetime)


def seconds(text: str) -> int:
    """A lifetime such as `1h`, `90m` or `1h30m`, in seconds. Raises ValueError, also if no API server would grant it."""
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is not a duration")
    hours, minutes, rest = (int(part or 0) for part in match.groups())
    total = hours * 3600 + minutes * 60 + rest
    if total < SHORTEST_TOKEN_SECONDS:
        raise ValueError(f"the API server grants no token for less than 10 minutes, and this is {text}")
    if total > _LONGEST_TOKEN_SECONDS:
        raise ValueError(f"the API server grants no token for more than 2^32 seconds, and this is {text}")
    return total
