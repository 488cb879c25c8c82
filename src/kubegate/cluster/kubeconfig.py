"""Kubeconfigs as kubectl understands them: files found and merged, a context chosen, and all problems at once."""

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from kubegate.cluster.cluster_entry import read_cluster
from kubegate.cluster.context import Context
from kubegate.cluster.credential import Credential
from kubegate.cluster.document import Entries, Entry
from kubegate.cluster.fields import Fields
from kubegate.cluster.merge import Merged, read_merged
from kubegate.cluster.user import read_user
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem

__all__ = ["Context", "load"]

_MOST_NAMES_SHOWN = 12


def load(kubeconfig: Path | None = None, context: str | None = None, environ: Mapping[str, str] = os.environ) -> Context:
    """The context named `context` (None: the current one) of `kubeconfig` (None: where kubectl looks for one).

    Raises InvalidInput with every problem of the context, its cluster and its user. Files of the user (token, client
    certificate) are not opened: they matter only to those who log in.
    """
    merged = read_merged(kubeconfig, environ)
    entry = _chosen(merged, context)
    problems: list[Problem] = []
    fields = entry.fields(problems)
    cluster_name, user_name = fields.text("cluster"), fields.text("user")
    cluster_entry = _named(merged.clusters, cluster_name, fields, "cluster")
    user_entry = _named(merged.users, user_name, fields, "user") if user_name else None
    cluster = read_cluster(cluster_entry, problems) if cluster_entry else None
    credential = read_user(user_entry, problems) if user_entry else Credential()
    namespace = fields.text("namespace") or "default"
    if problems or cluster is None or cluster.server is None:
        raise InvalidInput(problems)
    tls = cluster.server.scheme == "https"
    return Context(
        name=entry.name,
        cluster_name=cluster_name,
        user_name=user_name,
        namespace=namespace,
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
    )


def _chosen(merged: Merged, context: str | None) -> Entry:
    name, where = (context, "--context") if context else (merged.current_context, merged.current_where)
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


def _offer(entries: Entries, wanted: str, before: str = "") -> str:
    """A hint with the names that do exist, the most similar first."""
    close = get_close_matches(wanted, entries, n=3) if wanted else []
    names = [printable(name) for name in dict.fromkeys([*close, *sorted(entries)])]
    if not names:
        return "none is defined"
    more = f" and {len(names) - _MOST_NAMES_SHOWN} more" if len(names) > _MOST_NAMES_SHOWN else ""
    return f"{before}one of: {', '.join(names[:_MOST_NAMES_SHOWN])}{more}"
