"""YAML in which every value that is text stays text for every reader."""

import sys

import yaml


class Quoted(str):
    """A value that is written in quotes: kubectl would read a plain `12e3` as a number and a plain `y` as true."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes what is `Quoted` in quotes, and all else as usual."""

    def represent_quoted(self, value: Quoted) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", str(value), style='"')

    def ignore_aliases(self, data: object) -> bool:
        # The same text twice is no reason for an anchor, which most readers of kubeconfigs have never met.
        del data
        return True


_Dumper.add_representer(Quoted, _Dumper.represent_quoted)


def quoted(value: object) -> object:
    """The same with all text in it quoted but the keys."""
    if isinstance(value, str):
        return Quoted(value)
    if isinstance(value, dict):
        return {key: quoted(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [quoted(one) for one in value]
    return value


def dump(document: object) -> str:
    """The document as YAML: keys in their order, each value in one line."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=sys.maxsize)
