"""Values as YAML: the same value gives the same bytes, and every text stays text for every reader."""

import re
import sys
from typing import Any

import yaml

Object = dict[str, Any]

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*")
# What YAML 1.1 takes for something else (yaml.org/type/bool.html, null.html).
_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])


class _Dumper(yaml.SafeDumper):
    """Quotes what any reader might take for a number or a truth value, and shows text of several lines as it is."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True

    def represent_text(self, value: str) -> yaml.ScalarNode:
        if "\n" in value and not re.search(r"[ \t]\n|\t|\r", value) and value.isprintable() | value.isascii():
            return self.represent_scalar("tag:yaml.org,2002:str", value, style="|")
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
        return self.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else '"')


_Dumper.add_representer(str, _Dumper.represent_text)


def dumped(value: object) -> str:
    """One value as YAML in block style."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=sys.maxsize, allow_unicode=False)
