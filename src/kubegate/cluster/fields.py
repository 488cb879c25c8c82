"""Typed reading of one kubeconfig entry: whatever has the wrong type becomes a problem, and counts as not set."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from pathlib import Path

from kubegate.cluster.files import beside
from kubegate.model.names import kind_of
from kubegate.model.problem import Problem


class Fields:
    """The keys of one mapping in `file`; `where` is its place, as in `FILE: users[name].user`, or `FILE: `.

    As in Go, a key that is missing, null or empty is not set. Keys that nobody asks for are ignored. `flags` has the keys
    whose values come from a flag, and which.
    """

    def __init__(
        self,
        body: Mapping[object, object],
        file: Path,
        where: str,
        problems: list[Problem],
        flags: Mapping[str, str] | None = None,
    ) -> None:
        self._body = body
        self._flags = flags or {}
        self._file = file
        self._problems = problems
        self.where = where

    def at(self, key: str) -> str:
        """The place of a key, for problems."""
        if key in self._flags:
            return self._flags[key]
        return f"{self.where}{key}" if self.where.endswith(" ") else f"{self.where}.{key}"

    def wrong(self, key: str, code: str, message: str, hint: str = "") -> None:
        """Note a problem with a key."""
        self._problems.append(Problem(self.at(key), f"kubeconfig.{code}", message, hint))

    def note(self, problems: Iterable[Problem]) -> None:
        """Note problems that were found elsewhere."""
        self._problems.extend(problems)

    def text(self, key: str) -> str:
        """A text, empty if it is not set."""
        value = self._body.get(key)
        if value is None or isinstance(value, str):
            return value or ""
        hint = "put it in quotes" if isinstance(value, bool | int | float) else ""
        self.wrong(key, "type", f"is {kind_of(value)}, text was expected", hint)
        return ""

    def flag(self, key: str) -> bool:
        """A truth value, false if it is not set."""
        value = self._body.get(key)
        if value is None or isinstance(value, bool):
            return bool(value)
        hint = "write it without quotes" if isinstance(value, str) else ""
        self.wrong(key, "type", f"is {kind_of(value)}, true or false was expected", hint)
        return False

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        value = self._body.get(key)
        if value is None:
            return ()
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return tuple(value)
        self.wrong(key, "type", "a list of texts was expected", "put each in quotes")
        return ()

    def mapping(self, key: str) -> "Fields | None":
        """A nested mapping, None if it is not set."""
        value = self._body.get(key)
        if value is None:
            return None
        if isinstance(value, dict):
            return Fields(value, self._file, self.at(key), self._problems)
        self.wrong(key, "type", f"is {kind_of(value)}, a mapping was expected")
        return None

    def keys(self) -> tuple[str, ...]:
        """The keys that are text."""
        return tuple(key for key in self._body if isinstance(key, str))

    def raw(self, key: str) -> object:
        """Whatever stands there."""
        return self._body.get(key)

    def entries(self, key: str) -> tuple["Fields", ...]:
        """A list of mappings."""
        value = self._body.get(key)
        if value is None:
            return ()
        if isinstance(value, list) and all(isinstance(one, dict) for one in value):
            return tuple(Fields(o, self._file, f"{self.at(key)}[{n}]", self._problems) for n, o in enumerate(value))
        self.wrong(key, "type", "a list of mappings was expected")
        return ()

    def data(self, key: str) -> bytes | None:
        """Bytes in standard base64 with padding (RFC 4648, section 4); line breaks in it are fine, as for Go."""
        text = self.text(key)
        if not text:
            return None
        try:
            return base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
        except (binascii.Error, ValueError):
            self.wrong(key, "base64", "is not base64", f"name a file in {key.removesuffix('-data')} instead")
            return None

    def path(self, key: str) -> Path | None:
        """A file; relative paths start at the folder of the kubeconfig that says so, those of flags at the working folder."""
        text = self.text(key)
        if "\0" in text:
            self.wrong(key, "path", "is not a path: it contains a zero character")
            return None
        if text and key in self._flags:
            return Path.cwd() / text
        return beside(self._file, text) if text else None
