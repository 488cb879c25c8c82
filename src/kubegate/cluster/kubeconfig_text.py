"""Entries added to the text of a kubeconfig: every byte that is there stays, comments, order and spelling with it.

A YAML library that writes the file anew would keep comments, too, but not indentation, quotes and line breaks; so PyYAML says
where each value stands, text is put in there, and what came of it is read again and compared with what it had to become.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from kubegate.cluster.document import KubectlYaml, yaml_documents
from kubegate.model.problem import InvalidInput, Problem
from kubegate.model.quoted_yaml import dump, quoted

Additions = Mapping[str, Sequence[Mapping[str, object]]]
"""New items of `clusters`, `users` and `contexts`, each `{name: ..., KIND: {...}}`."""

_CURRENT = "current-context"
# From, to, and what is to stand there.
_Edit = tuple[int, int, str]


def with_additions(text: str, additions: Additions, current: str | None, shown: str) -> str:
    """The text of a kubeconfig with new entries at the end of its lists, and with another current context unless it is None.

    `shown` is the file for people. Raises InvalidInput if the text is written in a form to which nothing can be added.
    """
    wanted = _wanted(next(yaml_documents(text.encode(), shown), None), additions, current)
    try:
        changed = _applied(text, _edits(text, additions, current))
        found = next(yaml_documents(changed.encode(), shown), None)
    except (InvalidInput, yaml.YAMLError, ValueError):
        found, changed = None, ""
    if found != wanted:
        message = "is written in a form to which nothing can be added without writing all of it anew"
        hint = "kubectl config view --raw --flatten > NEW writes it anew, without its comments; then merge into that"
        raise InvalidInput([Problem(shown, "kubeconfig.form", message, hint)])
    return changed


def _wanted(body: Any, additions: Additions, current: str | None) -> dict[str, Any]:
    wanted = dict(_head() if body is None else body)
    for key, items in additions.items():
        if items:
            wanted[key] = [*(wanted.get(key) or []), *items]
    if current is not None:
        wanted[_CURRENT] = current
    return wanted


def _edits(text: str, additions: Additions, current: str | None) -> list[_Edit]:
    root = next(yaml.compose_all(text, KubectlYaml), None)
    if root is None or isinstance(root, yaml.ScalarNode):
        return [_whole(text, additions, current)]
    if not isinstance(root, yaml.MappingNode):
        raise ValueError("no mapping")
    lists = {key: items for key, items in additions.items() if items}
    present = {key.value: value for key, value in root.value}
    edits: list[_Edit] = []
    for key, items in lists.items():
        if key in present:
            edits += _longer(text, present[key], items, inline=bool(root.flow_style))
    missing: dict[str, object] = {key: list(items) for key, items in lists.items() if key not in present}
    if current is not None and _CURRENT in present:
        value = present[_CURRENT]
        space = " " if text[value.start_mark.index - 1] == ":" else ""
        edits.append((value.start_mark.index, value.end_mark.index, space + _inline(current)))
    elif current is not None:
        missing[_CURRENT] = current
    if missing:
        edits.append(_new_keys(text, root, missing))
    return edits


def _whole(text: str, additions: Additions, current: str | None) -> _Edit:
    """All of a file that says nothing yet; its comments stay before it."""
    start = "" if not text or text.endswith("\n") else "\n"
    return len(text), len(text), start + dump({**_head(), **_body(_wanted(None, additions, current))})


def _head() -> dict[str, str]:
    return {"apiVersion": "v1", "kind": "Config"}


def _body(document: Mapping[str, object]) -> dict[str, object]:
    return {key: quoted(value) for key, value in document.items() if key not in _head()}


def _longer(text: str, node: yaml.Node, items: Sequence[Mapping[str, object]], *, inline: bool) -> list[_Edit]:
    """A list with more at its end."""
    start, end = node.start_mark.index, node.end_mark.index
    if isinstance(node, yaml.SequenceNode) and node.value and not node.flow_style:
        at = _line_end(text, _last(text, node))
        return [(at, at, "\n" + _block(items, node.start_mark.column))]
    if isinstance(node, yaml.SequenceNode) and node.value:
        return [(end - 1, end - 1, ", " + ", ".join(map(_inline, items)))]
    if inline:
        return [(start, end, f"[{', '.join(map(_inline, items))}]")]
    # Nothing in it: a list of its own lines takes the place of `[]` or `null`.
    at = _line_end(text, end)
    return [(start, end, ""), (at, at, "\n" + _block(items, 0))]


def _new_keys(text: str, root: yaml.MappingNode, values: Mapping[str, object]) -> _Edit:
    if root.flow_style:
        at = root.end_mark.index - 1
        pairs = ", ".join(f"{json.dumps(key)}: {_inline(value)}" for key, value in values.items())
        return at, at, f", {pairs}" if root.value else pairs
    at = _line_end(text, _last(text, root))
    return at, at, "\n" + dump({key: quoted(value) for key, value in values.items()}).rstrip("\n")


def _last(text: str, node: yaml.Node) -> int:
    """Where the content of a value ends, what may follow it in the line left out."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _last(text, last[1] if isinstance(last, tuple) else last)
    end: int = node.end_mark.index
    # Text in lines of its own ends where the next thing begins.
    return len(text[:end].rstrip()) if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">") else end


def _line_end(text: str, at: int) -> int:
    found = text.find("\n", at)
    return found if found >= 0 else len(text)


def _block(items: Sequence[Mapping[str, object]], column: int) -> str:
    lines = dump([{key: quoted(value) for key, value in item.items()} for item in items]).splitlines()
    return "\n".join(f"{' ' * column}{line}" for line in lines)


def _inline(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _applied(text: str, edits: Sequence[_Edit]) -> str:
    """The text after all edits; of those at one place the earlier one stands first."""
    for _, (start, end, new) in sorted(enumerate(edits), key=lambda one: (one[1][0], one[0]), reverse=True):
        text = text[:start] + new + text[end:]
    return text
