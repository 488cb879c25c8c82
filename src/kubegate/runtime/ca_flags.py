"""The flags of `kubegate certs fetch-ca`, as typed, to what is wanted; every wrong one becomes a Problem."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TypeVar

from kubegate.cluster.cluster_info import BootstrapToken, parse_token
from kubegate.cluster.context import Context
from kubegate.cluster.credential import Credential
from kubegate.cluster.kubeconfig import load
from kubegate.cluster.server import host_name, parse_server
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.pki.pin import parse_pin
from kubegate.system.files import reason

TOKEN_VARIABLE = "KUBEGATE_BOOTSTRAP_TOKEN"  # noqa: S105 - the name of a variable
_MOST_TOKEN_BYTES = 4096
_PIN_HINT = "write sha256: and 64 hexadecimal digits, as `kubeadm token create --print-join-command` shows them"
_T = TypeVar("_T")


class Source(StrEnum):
    """Where a CA is taken from."""

    KUBECONFIG = "kubeconfig"
    CONFIGMAP = "configmap"
    CLUSTER_INFO = "cluster-info"
    HANDSHAKE = "handshake"


@dataclass(frozen=True, slots=True)
class Flags:
    """What was typed. Texts are not checked yet. Without `source` it is the kubeconfig, or with `server` the handshake."""

    source: Source | None = None
    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str | None = None
    server: str | None = None
    server_name: str | None = None
    token_file: Path | None = None
    pins: Sequence[str] = ()
    out: Path | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """The flags, read."""

    source: Source
    context: Context
    pins: tuple[str, ...]
    namespace: str
    token: BootstrapToken | None


def read(flags: Flags, environ: Mapping[str, str]) -> Wanted:
    """What is wanted. Raises InvalidInput with everything that is wrong with it, the kubeconfig included."""
    problems: list[Problem] = []

    def attempt(flag: str, code: str, read: Callable[[], _T], hint: str) -> _T | None:
        try:
            return read()
        except ValueError as error:
            problems.append(Problem(flag, f"fetch-ca.{code}", str(error), hint))
        except InvalidInput as error:
            problems.extend(error.problems)
        return None

    source = flags.source or (Source.HANDSHAKE if flags.server else Source.KUBECONFIG)
    pins = [attempt("--pin", "pin", partial(parse_pin, pin), _PIN_HINT) for pin in flags.pins]
    token = attempt("--token-file", "token", partial(_token, flags, source, environ), "")
    problems += _combinations(flags, source)
    context = attempt("--server", "server", partial(_context, flags, environ), "write https://HOST:PORT")
    if context is not None:
        problems += _unsuited(source, context)
        problems += _too_late(source, context) if flags.pins else []
    if flags.out is not None:
        problems += _no_place(flags.out, flags.force)
    if problems or context is None:
        raise InvalidInput(problems)
    namespace = flags.namespace or context.namespace
    return Wanted(source, context, tuple(dict.fromkeys(pin for pin in pins if pin)), namespace, token)


def _context(flags: Flags, environ: Mapping[str, str]) -> Context:
    if flags.server is None:
        return load(flags.kubeconfig, flags.context, environ)
    text = flags.server if "://" in flags.server else f"https://{flags.server}"
    return Context(
        name="",
        cluster_name="",
        user_name="",
        namespace="default",
        server=parse_server(text, "--server"),
        ca_pem=None,
        ca_where="",
        tls_server_name=host_name(flags.server_name) if flags.server_name else None,
        insecure_skip_tls_verify=False,
        proxy_url=None,
        disable_compression=False,
        credential=Credential(),
        files=(),
    )


def _token(flags: Flags, source: Source, environ: Mapping[str, str]) -> BootstrapToken | None:
    """The bootstrap token, None if none is given. Raises InvalidInput."""
    if source is not Source.CLUSTER_INFO:
        return None
    if flags.token_file is None:
        given = environ.get(TOKEN_VARIABLE)
        return _parsed(given, f"${TOKEN_VARIABLE}") if given else None
    where = f"--token-file {printable(str(flags.token_file))}"
    try:
        with flags.token_file.open("rb") as file:
            content = file.read(_MOST_TOKEN_BYTES)
    except OSError as error:
        raise InvalidInput([Problem(where, "fetch-ca.token", f"cannot be read: {reason(error)}", "check the path")]) from None
    return _parsed(content.decode("ascii", "replace"), where)


def _parsed(text: str, where: str) -> BootstrapToken:
    try:
        return parse_token(text)
    except ValueError as error:
        hint = "it has the token alone, as `kubeadm token create` prints it"
        raise InvalidInput([Problem(where, "fetch-ca.token", str(error), hint)]) from None


def _combinations(flags: Flags, source: Source) -> list[Problem]:
    by_kubeconfig = source in (Source.KUBECONFIG, Source.CONFIGMAP)
    wrong = [
        (
            flags.server is not None and by_kubeconfig,
            "--server",
            f"names a server, and --from {source} means the one of a kubeconfig",
            "use --from cluster-info or --from handshake, or leave out --server",
        ),
        (
            flags.server is not None and (flags.kubeconfig is not None or flags.context is not None),
            "--server",
            "and a kubeconfig each name a server",
            "leave out one of them",
        ),
        (
            flags.server_name is not None and flags.server is None,
            "--tls-server-name",
            "belongs to --server; a kubeconfig has its own",
            "add --server, or leave it out",
        ),
        (
            flags.token_file is not None and source is not Source.CLUSTER_INFO,
            "--token-file",
            "has a bootstrap token, which signs cluster-info only",
            "add --from cluster-info, or leave it out",
        ),
        (
            flags.namespace is not None and source is not Source.CONFIGMAP,
            "--namespace",
            "says where the ConfigMap kube-root-ca.crt is read",
            "add --from configmap, or leave it out",
        ),
    ]
    return [Problem(where, "fetch-ca.combination", message, hint) for applies, where, message, hint in wrong if applies]


def _unsuited(source: Source, context: Context) -> list[Problem]:
    if source is Source.KUBECONFIG:
        return [] if context.ca_pem is not None else [_no_ca_in(context)]
    where = named(context)
    problems = []
    if context.scheme == "http":
        message = f"{context.url} has no TLS: whatever came from there could be anybody's"
        problems.append(Problem(where, "fetch-ca.http", message, "use the https URL of the API server"))
    elif source is Source.CONFIGMAP and context.insecure_skip_tls_verify:
        message = "skips the verification of the server, and the credential that reads the ConfigMap would go to whoever answers"
        hint = "use --from cluster-info with --pin, which sends none; or put the CA into the kubeconfig"
        problems.append(Problem(where, "fetch-ca.unverified", message, hint))
    if source is Source.HANDSHAKE and context.proxy_url:
        message = "reaches its server through a proxy, and a handshake is looked at on a direct way only"
        problems.append(
            Problem(where, "fetch-ca.proxy", message, "use --from cluster-info, or run this where the server is reached")
        )
    return problems


def _too_late(source: Source, context: Context) -> list[Problem]:
    """A pin that could only be compared after a credential was sent."""
    if source is not Source.CONFIGMAP or context.ca_pem is not None or context.insecure_skip_tls_verify:
        return []
    message = "could only be compared after the credential was sent, for the kubeconfig has no CA that could be the pinned one"
    hint = "use --from cluster-info, which sends none; or leave it out, and what this machine's CAs verify counts, as for kubectl"
    return [Problem("--pin", "fetch-ca.late", message, hint)]


def _no_ca_in(context: Context) -> Problem:
    why = "skips verification" if context.insecure_skip_tls_verify else "trusts the system's CAs"
    hint = "take it elsewhere: --from handshake, --from cluster-info" + (
        "" if context.insecure_skip_tls_verify else ", or --from configmap"
    )
    return Problem(named(context), "fetch-ca.none", f"names no CA: it {why}", hint)


def _no_place(out: Path, force: bool) -> list[Problem]:
    where = f"--out {printable(str(out))}"
    if not out.parent.is_dir():
        return [Problem(where, "fetch-ca.out", "is in a folder that does not exist", "make it (mkdir -p), or name another file")]
    if out.is_dir():
        return [Problem(where, "fetch-ca.out", "is a folder", "name a file in it")]
    if os.path.lexists(out) and not force:
        return [Problem(where, "fetch-ca.out", "exists already", "name another file, or add --force to overwrite it")]
    return []


def named(context: Context) -> str:
    """The place of a context, or the flag that stands for one."""
    if not context.name:
        return "--server"
    return f"{', '.join(printable(str(file)) for file in context.files)}: contexts[{printable(context.name)}]"
