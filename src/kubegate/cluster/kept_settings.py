"""New tokens of an auth provider, written back into the kubeconfig: two values change and nothing else, not even a comment."""

import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from kubegate.cluster.document import KubectlYaml, yaml_documents
from kubegate.cluster.kubeconfig_lock import Locked, locked
from kubegate.errors import KubegateError
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput
from kubegate.system.files import reason, write_atomically

_LOCK_SECONDS = 1.0


class NotKept(KubegateError):
    """The settings were not written. The message says why, and no secret."""


def keep_settings(file: Path | None, user: str, before: Mapping[str, str], changes: Mapping[str, str]) -> None:
    """Write `changes` to the auth provider of a user in a kubeconfig, in one step, if what stands there is `before`.

    It holds the lock file that kubectl takes, and only a file of this user is replaced. Raises NotKept.
    """
    changes = {key: value for key, value in changes.items() if before.get(key) != value}
    if file is None or not changes:
        return
    shown = printable(str(file))
    try:
        with locked(file, _LOCK_SECONDS):
            real = file.resolve(strict=True)
            found = real.stat()
            if found.st_uid != os.geteuid() or not stat.S_ISREG(found.st_mode):
                raise NotKept(f"{shown} is not a file of this user")
            text = _changed(real.read_bytes().decode("utf-8"), user, before, changes, shown)
            write_atomically(real, text.encode(), stat.S_IMODE(found.st_mode))
    except Locked as error:
        raise NotKept(error.message, error.hint) from None
    except OSError as error:
        raise NotKept(f"{shown} cannot be written: {reason(error)}") from None
    except (InvalidInput, yaml.YAMLError, ValueError):
        raise NotKept(f"{shown} changed meanwhile, and cannot be read now") from None


def _changed(text: str, user: str, before: Mapping[str, str], changes: Mapping[str, str], shown: str) -> str:
    body: Any = next(yaml_documents(text.encode(), shown), None)
    settings = _settings(body, user)
    if settings is None or any((settings.get(key) or "") != before.get(key, "") for key in changes):
        raise NotKept(f"{shown} says something else by now")
    config = _config_node(next(yaml.compose_all(text, KubectlYaml)), user)
    for start, end, new in sorted(_edits(config, changes), reverse=True):
        text = text[:start] + new + text[end:]
    settings.update(changes)
    if next(yaml_documents(text.encode(), shown), None) != body:
        raise NotKept(f"the tokens in {shown} are written in a form that is not changed by itself", "write each in one line")
    return text


def _settings(body: Any, user: str) -> dict[str, Any] | None:
    """The auth provider's settings of a user inside a kubeconfig, None if there are none."""
    try:
        named = next(one for one in body["users"] if one["name"] == user)
        found = named["user"]["auth-provider"]["config"]
    except (KeyError, TypeError, StopIteration):
        return None
    return found if isinstance(found, dict) else None


def _config_node(root: yaml.Node, user: str) -> yaml.MappingNode:
    for one in _child(root, "users").value:
        if _child(one, "name").value == user:
            found = _child(_child(_child(one, "user"), "auth-provider"), "config")
            if isinstance(found, yaml.MappingNode):
                return found
    raise ValueError("no such user")


def _child(node: yaml.Node, key: str) -> yaml.Node:
    for name, value in node.value:
        if name.value == key:
            return value  # type: ignore[no-any-return]  # PyYAML's nodes are untyped
    raise ValueError("no such key")


def _edits(config: yaml.MappingNode, changes: Mapping[str, str]) -> Iterator[tuple[int, int, str]]:
    """Places in the text, from and to, and what is to stand there. A key that is not there yet comes before the first one."""
    present = {key.value: value for key, value in config.value}
    first = config.value[0][0].start_mark
    for key, value in changes.items():
        quoted = json.dumps(value)
        if key in present:
            yield present[key].start_mark.index, present[key].end_mark.index, quoted
        elif config.flow_style:
            yield first.index, first.index, f"{key}: {quoted}, "
        else:
            yield first.index, first.index, f"{key}: {quoted}\n{' ' * first.column}"
