"""One kubeconfig file: YAML to named entries, with the position of what is wrong. Fields are not looked at yet."""

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from kubegate.cluster.fields import Fields
from kubegate.cluster.files import read_file
from kubegate.model.names import kind_of, printable
from kubegate.model.problem import InvalidInput, Problem

_DEEPEST = 100
_NUMBERS = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}


class KubectlYaml(yaml.CSafeLoader):
    """YAML as kubectl's decoder understands kubeconfigs: no dates, no base 60, so names may look like either."""


def _understand_as_kubectl() -> None:
    dropped = _NUMBERS | {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value"}
    KubectlYaml.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in dropped]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }
    KubectlYaml.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?(?:0|[1-9][0-9]{0,18})$"), [*"-+0123456789"])
    number = re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]{1,3})?$")
    KubectlYaml.add_implicit_resolver("tag:yaml.org,2002:float", number, [*"-+0123456789"])
    KubectlYaml.yaml_constructors = {
        tag: construct for tag, construct in yaml.CSafeLoader.yaml_constructors.items() if tag not in dropped - _NUMBERS
    }


_understand_as_kubectl()


@dataclass(frozen=True, slots=True)
class Entry:
    """A named cluster, context or user: its fields (not shown, they hold secrets), its file and its place in it.

    `flags` has the keys whose values come from a flag, and which.
    """

    name: str
    body: Mapping[object, object] = field(repr=False)
    file: Path
    where: str
    flags: Mapping[str, str] = field(default_factory=dict)

    def fields(self, problems: list[Problem]) -> Fields:
        """Its fields; what has the wrong type is added to `problems` as it is read."""
        return Fields(self.body, self.file, self.where, problems, self.flags)


Entries = dict[str, Entry]


@dataclass(frozen=True, slots=True)
class Document:
    """What one kubeconfig file defines."""

    file: Path
    clusters: Entries
    contexts: Entries
    users: Entries
    current_context: str


def read_document(file: Path) -> Document:
    """Read a kubeconfig file; an empty one defines nothing. Raises InvalidInput with everything that is wrong with it."""
    shown = printable(str(file))
    body = _parse(read_file(file, shown, "kubeconfig.unreadable"), shown)
    problems: list[Problem] = []
    fields = Fields(body, file, f"{shown}: ", problems)
    document = Document(
        file=file,
        clusters=_entries(body, "cluster", file, shown, problems),
        contexts=_entries(body, "context", file, shown, problems),
        users=_entries(body, "user", file, shown, problems),
        current_context=fields.text("current-context"),
    )
    for key, expected in (("kind", "Config"), ("apiVersion", "v1")):
        found = fields.text(key)
        if found not in ("", expected):
            message = f"is {printable(found)!r}, a kubeconfig has {key}: {expected}"
            problems.append(Problem(f"{shown}: {key}", "kubeconfig.kind", message))
    if problems:
        raise InvalidInput(problems)
    return document


# Several contexts of one large kubeconfig are read one after another.
@functools.lru_cache(maxsize=8)
def _parse(content: bytes, shown: str) -> Mapping[object, object]:
    # kubectl, too, reads the first document of several.
    body = next(yaml_documents(content, shown), None)
    if body is None:
        return {}
    if not isinstance(body, dict):
        raise InvalidInput([Problem(shown, "kubeconfig.type", f"is {kind_of(body)}, a kubeconfig is a mapping")])
    return body


def yaml_documents(content: bytes, shown: str) -> Iterator[object]:
    """The YAML documents in a file that people know as `shown`, read as kubectl does. Raises InvalidInput."""
    try:
        if _is_deep(content):
            raise InvalidInput([Problem(shown, "kubeconfig.yaml", "is nested too deeply for a kubeconfig")])
        yield from yaml.load_all(content, KubectlYaml)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{shown}:{mark.line + 1}" if mark else shown
        raise InvalidInput([Problem(place, "kubeconfig.yaml", f"is not YAML: {printable(error.problem or '')}")]) from None
    except (yaml.YAMLError, ValueError, KeyError):
        raise InvalidInput(
            [Problem(shown, "kubeconfig.yaml", "is not YAML: it has characters or values that YAML has not")]
        ) from None


def _is_deep(content: bytes) -> bool:
    """Whether building the value would recurse without end: the C library of PyYAML crashes on it."""
    depth = 0
    for event in yaml.parse(content, KubectlYaml):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            return True
    return False


def _entries(body: Mapping[object, object], kind: str, file: Path, shown: str, problems: list[Problem]) -> Entries:
    key, value = f"{kind}s", body.get(f"{kind}s")
    if value is None:
        return {}
    if not isinstance(value, list):
        message = f"is {kind_of(value)}, a list was expected"
        problems.append(Problem(f"{shown}: {key}", "kubeconfig.type", message))
        return {}
    found: Entries = {}
    for number, item in enumerate(value):
        entry = _entry(item, kind, file, f"{shown}: {key}[{number}]", problems)
        if entry is None:
            continue
        if entry.name in found:
            message = f"there are two {key} of this name in the file"
            problems.append(Problem(f"{shown}: {key}[{printable(entry.name)}]", "kubeconfig.duplicate", message))
        found.setdefault(entry.name, entry)
    return found


def _entry(item: object, kind: str, file: Path, place: str, problems: list[Problem]) -> Entry | None:
    if not isinstance(item, dict):
        problems.append(Problem(place, "kubeconfig.type", f"is {kind_of(item)}, a mapping with a name was expected"))
        return None
    name, body = item.get("name"), item.get(kind)
    if not isinstance(name, str | None):
        problems.append(Problem(f"{place}.name", "kubeconfig.type", f"is {kind_of(name)}, text was expected", "put it in quotes"))
        return None
    named = f"{place.rpartition('[')[0]}[{printable(name or '')}].{kind}"
    if not isinstance(body, dict | None):
        problems.append(Problem(named, "kubeconfig.type", f"is {kind_of(body)}, a mapping was expected"))
        return None
    return Entry(name or "", body or {}, file, named)
