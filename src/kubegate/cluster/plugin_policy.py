"""Which credential plugins a person lets run: `credentialPluginPolicy` of a kuberc (kubectl.config.k8s.io/v1beta1)."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kubegate.cluster.document import yaml_documents
from kubegate.cluster.fields import Fields
from kubegate.cluster.files import read_file
from kubegate.cluster.merge import default_file
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem

_VERSIONS = ("kubectl.config.k8s.io/v1beta1", "kubectl.config.k8s.io/v1alpha1")
_KINDS = ("", "AllowAll", "DenyAll", "Allowlist")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")


@dataclass(frozen=True, slots=True)
class PluginPolicy:
    """`kind` is AllowAll (or empty), DenyAll or Allowlist; `commands` are those allowed by the last, `where` the file."""

    where: str = ""
    kind: str = ""
    commands: tuple[str, ...] = ()

    def allows(self, command: str, program: str, path: str | None) -> bool:
        """Whether a plugin may run: `command` as it is declared, found as `program`; names are looked up in `path`."""
        if self.kind != "Allowlist":
            return self.kind != "DenyAll"
        if os.path.normpath(command) in self.commands or program in self.commands:
            return True
        alike = [one for one in self.commands if Path(one).name == Path(program).name]
        return any(shutil.which(one, path=path) == program for one in alike)


def read_policy(kuberc: str, environ: Mapping[str, str]) -> PluginPolicy:
    """The policy of the file `kuberc` (empty: `$KUBERC`, else `~/.kube/kuberc`); `KUBERC=off` switches it off.

    Raises InvalidInput if a named file cannot be read or holds no preferences, and if what it says about plugins is
    wrong. Where nobody named it, only a file that is not YAML is an error: a rule about security must not get lost by a typo.
    """
    if environ.get("KUBERC") == "off":
        if kuberc:
            raise InvalidInput([Problem("--kuberc", "kuberc.off", "is given though KUBERC=off switches it off", "use one")])
        return PluginPolicy()
    if environ.get("KUBECTL_KUBERC") in _FALSE:
        return PluginPolicy()
    named = kuberc or environ.get("KUBERC", "")
    file = Path(named) if named else default_file(environ, "kuberc")
    if file is None or (not named and not file.exists()):
        return PluginPolicy()
    shown = printable(str(file))
    content = read_file(file, shown, "kuberc.unreadable")
    preferences = (one for one in yaml_documents(content, shown) if isinstance(one, dict) and _is_preference(one))
    found = next(preferences, None)
    if found is not None:
        return _policy(found, file, shown)
    if named and content.strip():
        hint = f"begin with apiVersion: {_VERSIONS[0]} and kind: Preference"
        raise InvalidInput([Problem(shown, "kuberc.none", "holds no preferences", hint)])
    return PluginPolicy()


def _is_preference(document: Mapping[object, object]) -> bool:
    return document.get("kind") == "Preference" and document.get("apiVersion") in _VERSIONS


def _policy(document: Mapping[object, object], file: Path, shown: str) -> PluginPolicy:
    problems: list[Problem] = []
    fields = Fields(document, file, f"{shown}: ", problems)
    kind, entries = fields.text("credentialPluginPolicy"), fields.entries("credentialPluginAllowlist")
    given = fields.raw("credentialPluginAllowlist") is not None
    if kind not in _KINDS:
        _wrong(fields, "credentialPluginPolicy", "is none of AllowAll, DenyAll, Allowlist")
    elif kind != "Allowlist" and given:
        _wrong(fields, "credentialPluginAllowlist", f"is given, though the policy is {kind or 'AllowAll'}")
    elif kind == "Allowlist" and not entries:
        _wrong(fields, "credentialPluginAllowlist", "is missing or empty", "use DenyAll to allow none")
    commands = tuple(_command(entry) for entry in entries)
    if problems:
        raise InvalidInput(problems)
    return PluginPolicy(shown, kind, commands)


def _command(entry: Fields) -> str:
    name, command = entry.text("name"), entry.text("command")
    if name and command and name != command:
        _wrong(entry, "name", "and command name different programs", "keep command")
    found = command or name
    if not found:
        _wrong(entry, "command", "is missing")
    elif os.path.normpath(found) != found:
        _wrong(entry, "command", "is not in its normal form", f"write {printable(os.path.normpath(found))}")
    return found


def _wrong(fields: Fields, key: str, message: str, hint: str = "") -> None:
    fields.note([Problem(fields.at(key), "kuberc.plugins", message, hint)])
