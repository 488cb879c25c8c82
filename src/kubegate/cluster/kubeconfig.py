"""Kubeconfigs as kubectl understands them: files found and merged, a context chosen, and all problems at once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from kubegate.cluster import in_cluster
from kubegate.cluster.cluster_entry import read_cluster
from kubegate.cluster.context import Context
from kubegate.cluster.document import Entries, Entry
from kubegate.cluster.fields import Fields
from kubegate.cluster.merge import Merged, read_merged
from kubegate.cluster.overrides import NO_OVERRIDES, Overrides, with_scheme
from kubegate.cluster.plain_http import ignored
from kubegate.cluster.plugin_policy import read_policy
from kubegate.cluster.user import read_user
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem

__all__ = ["Chosen", "Context", "load"]

_FLAG = "--context"
_MOST_NAMES_SHOWN = 12
_DEFAULT_SERVER = "http://localhost:8080"
_DEFAULT_NAME = "default"


def load(
    kubeconfig: Path | None = None,
    context: str | None = None,
    environ: Mapping[str, str] = os.environ,
    *,
    overrides: Overrides = NO_OVERRIDES,
    fallback: bool = False,
    implicit: bool = False,
) -> Context:
    """The context named `context` (None: the current one) of `kubeconfig` (None: where kubectl looks for one).

    `overrides` win over what it says. With `fallback` there need be no context: then the API server is that of
    `overrides`, the one of the pod that this runs in, `$KUBERNETES_MASTER` or `http://localhost:8080`, as for kubectl;
    `implicit` says that this is to be so whatever the current context is. Raises InvalidInput with every problem of the
    context, its cluster and its user. Files of the user (token, client certificate) are not opened: they matter only to
    those who log in.
    """
    merged = read_merged(kubeconfig, environ, may_be_none=fallback)
    problems, warnings = overrides.problems(), list[Problem]()
    if fallback and (implicit or not (context or merged.current_context)):
        parts = _without_context(merged, overrides, environ, problems, warnings)
    else:
        parts = _of_context(merged, _chosen(merged, context), overrides, problems)
    if overrides.kuberc:
        problems += _kuberc_problems(str(overrides.kuberc), environ)
    return _resolved(parts, merged, overrides, problems, warnings)


class Chosen:
    """The same context each time it is called, whatever the current one is by then. The arguments are those of `load`."""

    def __init__(
        self,
        kubeconfig: Path | None = None,
        context: str | None = None,
        environ: Mapping[str, str] = os.environ,
        *,
        overrides: Overrides = NO_OVERRIDES,
        fallback: bool = False,
    ) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._environ = environ
        self._overrides = overrides
        self._fallback = fallback
        self._implicit = False
        self._place = "" if context is None else _FLAG

    def __call__(self) -> Context:
        """Read it now. Raises InvalidInput."""
        try:
            found = load(
                self._kubeconfig,
                self._context,
                self._environ,
                overrides=self._overrides,
                fallback=self._fallback,
                implicit=self._implicit,
            )
        except InvalidInput as error:
            # The name was read and not given.
            moved = [replace(one, where=self._place) if one.where == _FLAG else one for one in error.problems]
            raise InvalidInput(moved) from None
        self._implicit = found.implicit
        self._place = self._place or ", ".join(printable(str(file)) for file in found.files)
        if not found.implicit:
            self._context = found.name
        return found


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a context is made of, flags counted in; a cluster that is not there is None, and then a problem says so."""

    name: str
    cluster_name: str
    user_name: str
    namespace: str
    cluster: Entry | None = field(repr=False)
    user: Entry = field(repr=False)
    implicit: bool = False


def _resolved(parts: _Parts, merged: Merged, overrides: Overrides, problems: list[Problem], warnings: list[Problem]) -> Context:
    cluster = read_cluster(parts.cluster, problems) if parts.cluster else None
    credential = read_user(parts.user, problems)
    if problems or parts.cluster is None or cluster is None or cluster.server is None:
        raise InvalidInput(problems)
    tls = cluster.server.scheme == "https"
    if not tls:
        warnings += ignored(parts.cluster, parts.user)
    return Context(
        name=parts.name,
        cluster_name=parts.cluster_name,
        user_name=parts.user_name,
        namespace=parts.namespace,
        server=cluster.server,
        ca_pem=cluster.ca_pem if tls else None,
        ca_where=cluster.ca_where if tls else "",
        tls_server_name=cluster.tls_server_name,
        insecure_skip_tls_verify=cluster.insecure_skip_tls_verify and tls,
        proxy_url=cluster.proxy_url,
        disable_compression=cluster.disable_compression,
        credential=credential if tls else credential.over_plain_http(),
        files=merged.files,
        plugin_config=cluster.plugin_config,
        ca_file=cluster.ca_file if tls else None,
        missing=merged.missing,
        declared_server=cluster.declared_server,
        kuberc=str(overrides.kuberc or ""),
        warnings=tuple(warnings),
        implicit=parts.implicit,
    )


def _of_context(merged: Merged, entry: Entry, overrides: Overrides, problems: list[Problem]) -> _Parts:
    fields = entry.fields(problems)
    cluster_name = overrides.cluster or fields.text("cluster")
    user_name = overrides.user or fields.text("user")
    if overrides.cluster:
        cluster = _flagged(merged.clusters, cluster_name, "cluster", problems)
    elif not cluster_name and overrides.server:
        cluster = _of_flags(entry.file)
    else:
        cluster = _named(merged.clusters, cluster_name, fields, "cluster")
    if overrides.user:
        user = _flagged(merged.users, user_name, "user", problems)
    else:
        user = _named(merged.users, user_name, fields, "user") if user_name else None
    return _Parts(
        name=entry.name,
        cluster_name=cluster_name,
        user_name=user_name,
        namespace=fields.text("namespace") or "default",
        cluster=overrides.on_cluster(cluster) if cluster else None,
        user=overrides.on_user(user or _of_flags(entry.file)),
    )


def _without_context(
    merged: Merged, overrides: Overrides, environ: Mapping[str, str], problems: list[Problem], warnings: list[Problem]
) -> _Parts:
    name, namespace = _DEFAULT_NAME, "default"
    user = _flagged(merged.users, overrides.user, "user", problems) if overrides.user else None
    if overrides.cluster:
        cluster = _flagged(merged.clusters, overrides.cluster, "cluster", problems)
    elif overrides.server:
        cluster = _of_flags(Path())
    elif in_cluster.possible(environ):
        name, namespace = in_cluster.NAME, in_cluster.namespace(environ)
        cluster = in_cluster.cluster(environ, warnings)
        user = user or in_cluster.user()
    else:
        cluster = _default_cluster(environ)
    return _Parts(
        name=name,
        cluster_name=overrides.cluster,
        user_name=overrides.user,
        namespace=namespace,
        cluster=overrides.on_cluster(cluster) if cluster else None,
        user=overrides.on_user(user or _of_flags(Path())),
        implicit=True,
    )


def _default_cluster(environ: Mapping[str, str]) -> Entry:
    master = with_scheme(environ.get("KUBERNETES_MASTER", ""))
    place = "$KUBERNETES_MASTER" if master else "without a kubeconfig: server"
    return Entry("", {"server": master or _DEFAULT_SERVER}, Path(), "without a kubeconfig: ", {"server": place})


def _of_flags(file: Path) -> Entry:
    """An entry that says nothing by itself."""
    return Entry("", {}, file, "flags: ")


def _chosen(merged: Merged, context: str | None) -> Entry:
    name, where = (context, _FLAG) if context else (merged.current_context, merged.current_where)
    if not name:
        where = ", ".join(printable(str(file)) for file in merged.files)
        message = "no context is chosen, and there is no current-context"
        raise InvalidInput([Problem(where, "kubeconfig.context.none", message, _offer(merged.contexts, "", "--context "))])
    if name not in merged.contexts:
        message = f"there is no context '{printable(name)}'"
        raise InvalidInput([Problem(where, "kubeconfig.context.unknown", message, _offer(merged.contexts, name))])
    return merged.contexts[name]


def _named(entries: Entries, name: str, fields: Fields, kind: str) -> Entry | None:
    if not name:
        if fields.raw(kind) in (None, ""):
            fields.wrong(kind, f"{kind}.none", f"the context names no {kind}")
    elif name not in entries:
        fields.wrong(kind, f"{kind}.unknown", f"there is no {kind} '{printable(name)}'", _offer(entries, name))
    return entries.get(name) if name else None


def _kuberc_problems(kuberc: str, environ: Mapping[str, str]) -> tuple[Problem, ...]:
    """What is wrong with a kuberc that a flag names, whether or not there is a plugin."""
    try:
        read_policy(kuberc, environ)
    except InvalidInput as error:
        return error.problems
    return ()


def _flagged(entries: Entries, name: str, kind: str, problems: list[Problem]) -> Entry | None:
    if name not in entries:
        message = f"there is no {kind} '{printable(name)}'"
        problems.append(Problem(f"--{kind}", f"kubeconfig.{kind}.unknown", message, _offer(entries, name)))
    return entries.get(name)


def _offer(entries: Entries, wanted: str, before: str = "") -> str:
    """A hint with the names that do exist, the most similar first."""
    # Only a mistake waits for it to be loaded.
    from difflib import get_close_matches

    close = get_close_matches(wanted, entries, n=3) if wanted else []
    names = [printable(name) for name in dict.fromkeys([*close, *sorted(entries)])]
    if not names:
        return "none is defined"
    more = f" and {len(names) - _MOST_NAMES_SHOWN} more" if len(names) > _MOST_NAMES_SHOWN else ""
    return f"{before}one of: {', '.join(names[:_MOST_NAMES_SHOWN])}{more}"
