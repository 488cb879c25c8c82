"""Which kubeconfig files count, and how several become one: client-go's ClientConfigLoadingRules."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kubegate.cluster.document import Document, Entries, read_document
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem


@dataclass(frozen=True, slots=True)
class Merged:
    """All definitions in force. `current_where` is the place that chose the current context, empty if none did.

    `files` were read; `missing` were not there, and count as soon as they are.
    """

    clusters: Entries
    contexts: Entries
    users: Entries
    current_context: str
    current_where: str
    files: tuple[Path, ...]
    missing: tuple[Path, ...] = ()


def read_merged(kubeconfig: Path | None, environ: Mapping[str, str], *, may_be_none: bool = False) -> Merged:
    """Read `kubeconfig` alone, else what `$KUBECONFIG` lists, else `~/.kube/config`.

    Files of the list that do not exist are skipped, though one has to, unless there `may_be_none`. Raises InvalidInput
    with the problems of all.
    """
    if kubeconfig is not None:
        return merge(_read([kubeconfig]))
    if listed := environ.get("KUBECONFIG"):
        paths = [Path(text) for text in dict.fromkeys(listed.split(os.pathsep)) if text]
        present = [path for path in paths if _exists(path)]
        if not present and not may_be_none:
            names = ", ".join(printable(str(path)) for path in paths) or "it names none"
            message = f"not one of its files exists: {names}"
            raise InvalidInput([Problem("$KUBECONFIG", "kubeconfig.missing", message, "name one with --kubeconfig FILE")])
        return replace(merge(_read(present)), missing=tuple(path for path in paths if path not in present))
    default = default_file(environ)
    if may_be_none and (default is None or not _exists(default)):
        return replace(merge([]), missing=(default,) if default else ())
    return merge(_read([_needed(default)]))


def default_file(environ: Mapping[str, str], name: str = "config") -> Path | None:
    """`~/.kube/config`, or another file beside it; None if this user has no home folder."""
    try:
        return Path(environ.get("HOME") or Path.home()) / ".kube" / name
    except RuntimeError:
        return None


def merge(documents: Sequence[Document]) -> Merged:
    """Of each name the first definition counts, whole; the first file with a current-context sets it."""
    chosen = next((one for one in documents if one.current_context), None)
    return Merged(
        clusters=_first([one.clusters for one in documents]),
        contexts=_first([one.contexts for one in documents]),
        users=_first([one.users for one in documents]),
        current_context=chosen.current_context if chosen else "",
        current_where=f"{printable(str(chosen.file))}: current-context" if chosen else "",
        files=tuple(one.file for one in documents),
    )


def _first(layers: Sequence[Entries]) -> Entries:
    merged: Entries = {}
    for layer in reversed(layers):
        merged |= layer
    return merged


def _read(paths: Sequence[Path]) -> list[Document]:
    documents: list[Document] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            documents.append(read_document(path))
        except InvalidInput as error:
            problems.extend(error.problems)
    if problems:
        raise InvalidInput(problems)
    return documents


def _exists(path: Path) -> bool:
    """Whether opening it would not end in "no such file"; what is there but cannot be opened is a problem, not a gap."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _needed(path: Path | None) -> Path:
    hint = "name one with --kubeconfig FILE, or set KUBECONFIG"
    if path is None:
        message = "there is no kubeconfig: this user has no home folder"
        raise InvalidInput([Problem("$HOME", "kubeconfig.missing", message, hint)])
    if not _exists(path):
        raise InvalidInput([Problem(printable(str(path)), "kubeconfig.missing", "there is no kubeconfig", hint)])
    return path
