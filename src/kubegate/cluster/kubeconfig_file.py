"""Kubeconfig files that are written: a new one, or entries merged into the one that a person has."""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kubegate.cluster.document import Document, Entry, read_document
from kubegate.cluster.files import beside
from kubegate.cluster.kubeconfig_lock import locked
from kubegate.cluster.kubeconfig_text import with_additions
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.model.quoted_yaml import dump, quoted
from kubegate.system.files import explained, reason, write_atomically, write_new

KINDS = {"clusters": "cluster", "users": "user", "contexts": "context"}
LOCK_SECONDS = 10.0
_CLUSTER_FILES = ("certificate-authority",)
_USER_FILES = ("client-certificate", "client-key", "tokenFile")

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Entries:
    """Clusters, users and contexts by name, in their order, each as a kubeconfig writes it; users hold secrets.

    `current_context` is the one that a new file has, and that a merge chooses if it is asked to.
    """

    clusters: Mapping[str, Body] = field(default_factory=dict, repr=False)
    users: Mapping[str, Body] = field(default_factory=dict, repr=False)
    contexts: Mapping[str, Body] = field(default_factory=dict)
    current_context: str = ""

    def of(self, key: str) -> Mapping[str, Body]:
        """The entries of `clusters`, `users` or `contexts`."""
        return {"clusters": self.clusters, "users": self.users, "contexts": self.contexts}[key]


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge did. `added` are `KIND NAME`; `same` were there already; `backup` is None if nothing was written over.

    `file` is what was written: where a link leads to, not the link. `current` is the current context now, perhaps empty.
    """

    file: Path
    added: tuple[str, ...]
    same: tuple[str, ...]
    backup: Path | None
    current: str


def render_kubeconfig(entries: Entries) -> bytes:
    """A whole kubeconfig (`kind: Config`, `v1`) with these entries."""
    body: Body = {key: _items(key, entries.of(key)) for key in ("clusters", "contexts", "users")}
    return dump({"apiVersion": "v1", "kind": "Config"} | _quoted(body | {"current-context": entries.current_context})).encode()


def read_entries(file: Path) -> Entries:
    """The entries of a kubeconfig, with the files that they name as absolute paths. Raises InvalidInput."""
    document = read_document(file)
    clusters = {name: _absolute(_body(entry), file, _CLUSTER_FILES) for name, entry in document.clusters.items()}
    users = {name: _absolute_user(_body(entry), file) for name, entry in document.users.items()}
    contexts = {name: _body(entry) for name, entry in document.contexts.items()}
    return Entries(clusters, users, contexts, document.current_context)


def renamed(entries: Entries, names: Mapping[str, str], prefix: str, where: str) -> Entries:
    """The same with other names: of `names` the old ones, then `prefix` before all. `where` is the place of the flag.

    What contexts refer to is renamed with it. Raises InvalidInput for names that nothing has, or that two would have.
    """
    known = {name for key in KINDS for name in entries.of(key)}
    problems = [
        Problem(f"{where} {printable(old)}", "kubeconfig.rename", "nothing has this name", f"one of: {_listed(known)}")
        for old in names
        if old not in known
    ]
    for key, kind in KINDS.items():
        new = [names.get(name, name) for name in entries.of(key)]
        for twice in sorted({one for one in new if new.count(one) > 1}):
            message = f"two {key} would be called {printable(twice)}"
            problems.append(Problem(where, "kubeconfig.rename", message, f"give each {kind} a name of its own"))
    if problems:
        raise InvalidInput(problems)

    def name(old: object) -> str:
        return f"{prefix}{names.get(str(old), str(old))}"

    contexts = {
        name(old): body | {kind: name(body[kind]) for kind in ("cluster", "user") if body.get(kind)}
        for old, body in entries.contexts.items()
    }
    return Entries(
        {name(old): body for old, body in entries.clusters.items()},
        {name(old): body for old, body in entries.users.items()},
        contexts,
        name(entries.current_context) if entries.current_context else "",
    )


def merge_into(
    path: Path, entries: Entries, *, use: bool = False, beside: Sequence[Path] = (), seconds: float = LOCK_SECONDS
) -> Merged:
    """Add entries to the kubeconfig at `path`, which is made if it is not there; `use` makes theirs the current context.

    `beside` are files that kubectl reads together with it: an entry must not take the place of one of theirs either.

    It holds kubectl's lock file, for which it waits `seconds`. Nothing that is there is changed, so an entry of the same name
    with another content is a problem. The old file stays beside it as a backup. Raises InvalidInput with every problem,
    Locked, or FileTrouble; then nothing was written.
    """
    shown = printable(str(path))
    with explained(f"{shown} cannot be written"):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(path, seconds):
            real = _target(path, shown)
            return _merged(path, real, entries, [read_document(one) for one in beside if one.exists()], use=use)


def _merged(path: Path, real: Path, entries: Entries, beside: Sequence[Document], *, use: bool) -> Merged:
    there = real.exists()
    content = real.read_bytes() if there else b""
    # As `path`, for that is how kubectl resolves what it names, and how a person knows it.
    document = read_document(path) if there else Document(path, {}, {}, {}, "")
    lists = _lists(document)
    problems = [*_conflicts(lists, entries, printable(str(path))), *_nothing_to_use(entries, beside, use=use)]
    problems += _borrowed([document, *beside], entries)
    for one in beside:
        problems += _conflicts(_lists(one), entries, printable(str(one.file)))
    if problems:
        raise InvalidInput(problems)
    additions = {
        key: _items(key, {name: body for name, body in entries.of(key).items() if name not in lists[key]}) for key in KINDS
    }
    current = entries.current_context if use and entries.current_context != document.current_context else None
    added = tuple(f"{KINDS[key]} {item['name']}" for key, items in additions.items() for item in items)
    same = tuple(f"{KINDS[key]} {name}" for key in KINDS for name in entries.of(key) if name in lists[key])
    now = document.current_context if current is None else current
    if not added and current is None:
        return Merged(real, added, same, None, now)
    text = with_additions(_text(content, path), additions, current, printable(str(path)))
    backup = _back_up(real, content) if there else None
    write_atomically(real, text.encode())
    return Merged(real, added, same, backup, now)


def _text(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput([Problem(printable(str(path)), "kubeconfig.form", "is not UTF-8", "write it in UTF-8")]) from None


def _target(path: Path, shown: str) -> Path:
    """The file that is really written, so that a link stays a link. Raises InvalidInput if it must not be."""
    real = Path(os.path.realpath(path))
    try:
        found = real.stat()
    except FileNotFoundError:
        if real.parent.is_dir():
            return real
        message = f"it leads to {printable(str(real))}, whose folder is not there"
        raise InvalidInput([Problem(shown, "kubeconfig.target", message, "mend the link, or name another file")]) from None
    except OSError as error:
        raise InvalidInput([Problem(shown, "kubeconfig.target", f"cannot be used: {reason(error)}", "name another")]) from None
    if not stat.S_ISREG(found.st_mode):
        raise InvalidInput([Problem(shown, "kubeconfig.target", "is no regular file", "name a kubeconfig")])
    if found.st_uid != os.geteuid():
        message = "belongs to another user, who could not read it any more"
        raise InvalidInput([Problem(shown, "kubeconfig.target", message, "merge as that user")])
    return real


def _back_up(real: Path, content: bytes) -> Path:
    """A copy of the file as it was, beside it, readable by this user alone."""
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    for number in range(1000):
        path = real.with_name(f"{real.name}.before-{stamp}{f'-{number}' if number else ''}")
        try:
            write_new(path, content)
        except FileExistsError:
            continue
        return path
    raise FileExistsError(f"{real}.before-{stamp}")


def _conflicts(lists: Mapping[str, Mapping[str, Body]], entries: Entries, shown: str) -> Iterator[Problem]:
    for key, kind in KINDS.items():
        for name, body in entries.of(key).items():
            old = lists[key].get(name)
            if old is None or _plain(old) == _plain(body):
                continue
            message = f"there is another {kind} of this name already, and what it says would be lost"
            hint = f"give the new one another name: --rename '{printable(name)}=NEW', or --prefix NAME- for all"
            yield Problem(f"{shown}: {key}[{printable(name)}]", "kubeconfig.conflict", message, hint)


def _borrowed(documents: Sequence[Document], entries: Entries) -> Iterator[Problem]:
    """Contexts that would use what is there, and not in the file that they come from: its server would get your credential."""
    for name, body in entries.contexts.items():
        for key, kind in (("clusters", "cluster"), ("users", "user")):
            meant = str(body.get(kind) or "")
            if meant and meant not in entries.of(key) and any(meant in _lists(one)[key] for one in documents):
                message = f"the {kind} {printable(meant)} is not in the file that is merged, so it would be the one that you have"
                hint = "add --prefix NAME-, so that it is none of yours; if yours is meant: kubectl config set-context"
                yield Problem(f"contexts[{printable(name)}].{kind}", "kubeconfig.borrowed", message, hint)


def _nothing_to_use(entries: Entries, beside: Sequence[Document], *, use: bool) -> list[Problem]:
    if not use:
        return []
    later = "choose one afterwards: kubectl config use-context NAME"
    if entries.current_context not in entries.contexts:
        message = "the file that is merged has no current context that it defines"
        return [Problem("--use", "kubeconfig.use", message, later)]
    files = ", ".join(printable(str(one.file)) for one in beside if one.current_context)
    if files:
        message = f"of several files of $KUBECONFIG the first one that has a current context counts, and {files} has one"
        return [Problem("--use", "kubeconfig.use", message, later)]
    return []


def _lists(document: Document) -> dict[str, dict[str, Body]]:
    """What a kubeconfig has, in the form of Entries: with absolute paths."""
    file = document.file
    return {
        "clusters": {name: _absolute(_body(one), file, _CLUSTER_FILES) for name, one in document.clusters.items()},
        "users": {name: _absolute_user(_body(one), file) for name, one in document.users.items()},
        "contexts": {name: _body(one) for name, one in document.contexts.items()},
    }


def _body(entry: Entry) -> Body:
    return {str(key): value for key, value in entry.body.items()}


def _absolute(body: Body, file: Path, keys: tuple[str, ...]) -> Body:
    """The same with paths that do not depend on where the kubeconfig stands (client-go's ResolveLocalPaths)."""
    return {
        key: str(beside(file, value)) if key in keys and isinstance(value, str) and value else value
        for key, value in body.items()
    }


def _absolute_user(body: Body, file: Path) -> Body:
    found = _absolute(body, file, _USER_FILES)
    plugin = found.get("exec")
    if isinstance(plugin, dict) and isinstance(plugin.get("command"), str) and "/" in plugin["command"]:
        found["exec"] = plugin | {"command": str(beside(file, plugin["command"]))}
    return found


def _plain(body: Mapping[str, object]) -> dict[str, object]:
    """Without what says nothing: for kubectl a key that is empty is not there."""
    return {key: value for key, value in body.items() if value not in (None, "", [], {}, False)}


def _items(key: str, bodies: Mapping[str, Body]) -> list[Body]:
    return [{"name": name, KINDS[key]: body} for name, body in bodies.items()]


def _quoted(body: Body) -> Body:
    return {key: quoted(value) for key, value in body.items()}


def _listed(names: set[str]) -> str:
    return ", ".join(printable(name) for name in sorted(names)) or "none"
