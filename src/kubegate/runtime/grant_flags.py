"""The flags of `kubegate grant`, as typed, to what is wanted; every wrong one becomes a Problem."""

import os
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from kubegate.cluster.authority import certificates_only
from kubegate.cluster.context import Context
from kubegate.cluster.files import read_file
from kubegate.cluster.kubeconfig import load
from kubegate.cluster.server import host_name, parse_server
from kubegate.model.grant import Can, Grant, Kind, Rule, name_flaw, parse_can
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.pki.certificate import check_ca
from kubegate.render.kubeconfig import ClientAccess
from kubegate.runtime.declare import seconds
from kubegate.runtime.outfile import CONTEXT_PREFIX, target_of

# RFC 1123 label, as apimachinery's validation has it.
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_FOR_HINT = "write a duration of at least 10 minutes, as in 30m, 8h or 1h30m"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class GrantFlags:
    """What was typed. Texts are not checked yet."""

    name: str
    namespaces: Sequence[str] = ()
    everywhere: bool = False
    can: Sequence[str] = ()
    lifetime: str | None = None
    certificate: bool = False
    kubeconfig: Path | None = None
    context: str | None = None
    server: str | None = None
    server_name: str | None = None
    ca: Path | None = None
    out: Path | None = None
    print_only: bool = False


@dataclass(frozen=True, slots=True)
class WantedGrant:
    """The flags, read: what `can` means in this cluster is found out later. `access` is the kubeconfig without credential.

    `given_server` says that it is another server than the kubeconfig's, such as a gate.
    """

    name: str
    kind: Kind
    namespaces: tuple[str, ...]
    home: str
    cans: tuple[Can, ...]
    seconds: int
    context: Context
    access: ClientAccess
    target: Path
    given_server: bool
    lifetime: str

    def grant(self, rules: tuple[Rule, ...]) -> Grant:
        """The grant with these rules; that of a certificate gets a user name that nobody ever had."""
        user = f"system:serviceaccount:{self.home}:{self.name}"
        if self.kind is Kind.CERTIFICATE:
            user = f"kubegate:{self.name}:{secrets.token_hex(6)}"
        return Grant(self.name, self.kind, user, self.home, self.namespaces, rules)


def read(flags: GrantFlags, environ: Mapping[str, str] = os.environ) -> WantedGrant:
    """What is wanted. Raises InvalidInput with everything that is wrong with it, the kubeconfig and files included."""
    problems: list[Problem] = []

    def attempt(flag: str, read: Callable[[], _T], default: _T, hint: str = "") -> _T:
        try:
            return read()
        except ValueError as error:
            problems.append(Problem(flag, f"grant.{flag.strip('-')}", str(error), hint))
        except InvalidInput as error:
            problems.extend(error.problems)
        return default

    if flaw := name_flaw(flags.name):
        problems.append(Problem("NAME", "grant.name", *flaw))
    problems += _scope(flags)
    cans = _cans(flags, problems)
    lifetime = flags.lifetime or "1h"
    span = attempt("--for", partial(seconds, lifetime), 3600, _FOR_HINT)
    context = attempt("--context", partial(load, flags.kubeconfig, flags.context, environ), None)
    access = attempt("--server", partial(_access, flags, context), None, "write https://HOST:PORT") if context else None
    target = Path()
    if context is not None:
        problems += _unsafe(context)
        out = flags.out or Path(f"{flags.name}.kubeconfig")
        if not flags.print_only and not name_flaw(flags.name):
            target = attempt("--out", partial(target_of, out, context.files), Path())
    if problems or context is None or access is None:
        raise InvalidInput(problems)
    return WantedGrant(
        name=flags.name,
        kind=Kind.CERTIFICATE if flags.certificate else Kind.TOKEN,
        namespaces=tuple(dict.fromkeys(flags.namespaces)),
        home=flags.namespaces[0] if flags.namespaces else context.namespace,
        cans=cans,
        seconds=span,
        context=context,
        access=access,
        target=target,
        given_server=flags.server is not None,
        lifetime=lifetime,
    )


def _cans(flags: GrantFlags, problems: list[Problem]) -> tuple[Can, ...]:
    if not flags.can:
        message, hint = "it is not said what the account can do", "as in --can 'get,list,watch pods,pods/log'"
        problems.append(Problem("--can", "grant.can", message, hint))
    found = []
    for text in flags.can:
        can, flaws = parse_can(text)
        problems += flaws
        if can:
            found.append(can)
    return tuple(found)


def _scope(flags: GrantFlags) -> list[Problem]:
    problems = []
    if flags.everywhere and flags.namespaces:
        message = "stands beside --all-namespaces, and the two exclude one another"
        problems.append(Problem("--namespace", "grant.scope", message, "leave out one of them"))
    if not flags.everywhere and not flags.namespaces:
        message = "it is not said where the account may do that"
        problems.append(Problem("--namespace", "grant.scope", message, "add --namespace NAME, or --all-namespaces"))
    for one in flags.namespaces:
        if not _NAMESPACE.fullmatch(one):
            message = f"'{printable(one)}' is no namespace"
            problems.append(Problem("--namespace", "grant.namespace", message, "use lower-case letters, digits and dashes"))
    if flags.certificate and flags.print_only:
        message = "a certificate needs a key that is made when it is granted, and manifests hold no keys"
        problems.append(Problem("--print", "grant.combination", message, "leave out --certificate or --print"))
    if flags.server is None and (flags.ca is not None or flags.server_name is not None):
        where = "--ca" if flags.ca is not None else "--tls-server-name"
        message = "belongs to --server; the kubeconfig's server has its own"
        problems.append(Problem(where, "grant.combination", message, "add --server https://HOST:PORT, or leave it out"))
    return problems


def _unsafe(context: Context) -> list[Problem]:
    where = f"{', '.join(printable(str(file)) for file in context.files)}: clusters[{printable(context.cluster_name)}].cluster"
    if context.scheme == "http":
        message = f"{context.url} has no TLS: the account's token would be read by everyone on the way"
        return [Problem(f"{where}.server", "grant.http", message, "use the https URL of the API server")]
    if context.insecure_skip_tls_verify:
        message = "nobody would verify the API server: whoever answers would get your credential, and the account's"
        hint = "put the cluster's CA there instead: kubegate certs fetch-ca"
        return [Problem(f"{where}.insecure-skip-tls-verify", "grant.unverified", message, hint)]
    return []


def _access(flags: GrantFlags, context: Context) -> ClientAccess:
    """How the account's kubeconfig reaches the cluster. Raises ValueError or InvalidInput."""
    name, namespace = f"{CONTEXT_PREFIX}{flags.name}", next(iter(flags.namespaces), None)
    if flags.server is None:
        return ClientAccess(
            name=name,
            url=context.url,
            ca_pem=context.ca_pem,
            tls_server_name=context.tls_server_name,
            user=flags.name,
            namespace=namespace,
        )
    server = parse_server(flags.server if "://" in flags.server else f"https://{flags.server}", "--server")
    if server.scheme != "https":
        raise ValueError("has no TLS: the account's credential would be read by everyone on the way")
    ca_pem = None
    if flags.ca is not None:
        where = f"--ca {printable(str(flags.ca))}"
        content = read_file(flags.ca, where, "grant.ca")
        if flaws := check_ca(content, where):
            raise InvalidInput(flaws)
        ca_pem = certificates_only(content, where)
    server_name = host_name(flags.server_name) if flags.server_name else None
    return ClientAccess(
        name=name, url=server.url, ca_pem=ca_pem, tls_server_name=server_name, user=flags.name, namespace=namespace
    )
