"""A declared file as YAML: bytes to plain values, and the spot of each. What the keys mean is not looked at here.

Written on the parser's events, in one pass: so nesting is bounded before anything recurses, every key is seen, also one that
stands twice, and text keeps the form in which it was typed (`on`, `1:30` and `2024-01-01` are no booleans, times or dates).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from kubegate.model.names import printable
from kubegate.model.places import Flaw, Loc, Places, Spot
from kubegate.model.problem import InvalidInput, Problem

_DEEPEST = 50
# How many values aliases may stand for in all: a few lines of aliases of aliases stand for billions.
_MOST_REPEATED = 250_000
_TEXT = "tag:yaml.org,2002:str"
_KNOWN_TAGS = {None, "!", _TEXT, "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}
_NOTHING = {"", "~", "null", "Null", "NULL"}
_TRUTH = {
    form: word in ("true", "yes", "on")
    for word in ("true", "yes", "on", "false", "no", "off")
    for form in (word, word.capitalize(), word.upper())
}
_WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,18})")
_NUMBER = re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]{1,3})?")
# What no YAML file may contain (YAML 1.2, section 5.1).
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_QUOTES = "text with ': ' or ' #' in it, or that begins with one of @ ` % & * ! { [, is put in quotes"


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says, in plain values, where it says so, and what YAML would have let pass."""

    value: object
    places: Places
    flaws: tuple[Flaw, ...]


def read_document(content: bytes, shown: str) -> Document:
    """Read a file. Raises InvalidInput if it is not one YAML document; other flaws are part of the result."""
    text = _decoded(content, shown)
    reader = _Reader(text, shown)
    try:
        return reader.document()
    except yaml.MarkedYAMLError as error:
        raise _refusal(shown, *_syntax(error, text)) from None
    except yaml.YAMLError:
        raise _refusal(shown, 1, "is not YAML", _QUOTES) from None


def _decoded(content: bytes, shown: str) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _refusal(shown, line, "is not UTF-8 text", "save the file as UTF-8") from None
    if found := _FORBIDDEN.search(text):
        message = f"has a character that YAML has not ({printable(found[0])})"
        raise _refusal(
            shown, text.count("\n", 0, found.start()) + 1, message, "take it out; in quotes it can be written as \\xNN"
        )
    return text


def _syntax(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str, str]:
    """Line, message and hint of a syntax error."""
    mark = error.problem_mark or error.context_mark
    number = mark.line + 1 if mark else 1
    begun = error.context_mark.line + 1 if error.context and error.context_mark else number
    what = f"is not YAML: {printable(error.problem or '')}"
    if begun != number:
        what += f" ({printable(error.context or '')} that begins in line {begun})"
    lines = text.split("\n")
    indented = [line[: len(line) - len(line.lstrip())] for line in lines[max(0, number - 2) : number]]
    return number, what, "indent with spaces, never with tabs" if any("\t" in one for one in indented) else _QUOTES


def _refusal(shown: str, line: int, message: str, hint: str) -> InvalidInput:
    return InvalidInput([Problem(f"{printable(shown)}:{line}", "config.yaml", message, hint)])


@dataclass(frozen=True, slots=True)
class _Value:
    """A value, its spot, and how many values it is with those inside it."""

    value: object
    spot: Spot
    size: int


class _Reader:
    """One pass over the events of a text."""

    def __init__(self, text: str, shown: str) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, yaml.CSafeLoader)
        self._shown = shown
        self._anchors: dict[str, _Value] = {}
        self._repeated = 0
        self._flaws: list[Flaw] = []

    def document(self) -> Document:
        """The one document of the text. Raises InvalidInput if there is none, or another."""
        next(self._events)
        begin = next(self._events)
        if isinstance(begin, yaml.StreamEndEvent):
            raise _refusal(self._shown, 1, "is empty", "begin with apiVersion and kind; a listener and a cluster follow")
        read = self._value(next(self._events), ())
        next(self._events)
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            message = "begins a second document, and a gate is declared in one"
            raise _refusal(self._shown, _line(after), message, "leave out the line ---, or write another file for another gate")
        return Document(read.value, Places(self._shown, read.spot), tuple(self._flaws))

    def _value(self, event: yaml.Event, loc: Loc) -> _Value:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, event.anchor or "", loc)
        assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
        if len(loc) > _DEEPEST:
            raise _refusal(self._shown, _line(event), "is nested too deeply", f"no value stands deeper than {_DEEPEST} levels")
        if event.tag not in _KNOWN_TAGS:
            self._flaw(loc, event, "tag", f"has the tag {printable(str(event.tag))}, and tags mean nothing here", "leave it out")
        if isinstance(event, yaml.MappingStartEvent):
            read = self._mapping(event, loc)
        elif isinstance(event, yaml.SequenceStartEvent):
            read = self._sequence(event, loc)
        else:
            assert isinstance(event, yaml.ScalarEvent)
            read = _Value(_scalar(event), Spot(_line(event)), 1)
        if event.anchor:
            self._anchors[event.anchor] = read
        return read

    def _alias(self, event: yaml.Event, anchor: str, loc: Loc) -> _Value:
        read = self._anchors.get(anchor)
        if read is None:
            name = printable(anchor)
            self._flaw(
                loc, event, "alias", f"is *{name}, and no value before it ends with that anchor", f"put &{name} before a value"
            )
            return _Value(None, Spot(_line(event)), 1)
        self._repeated += read.size
        if self._repeated > _MOST_REPEATED:
            message = f"repeats values by aliases more than {_MOST_REPEATED} times"
            raise _refusal(self._shown, _line(event), message, "write them out")
        return read

    def _mapping(self, start: yaml.Event, loc: Loc) -> _Value:
        found: dict[str, object] = {}
        spots: dict[str, Spot] = {}
        size = 1
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, loc)
            read = self._value(next(self._events), (*loc, "?" if key is None else key))
            size += read.size
            if key is None:
                continue
            if key in found:
                message = f"is set in line {spots[key].line} already, and YAML would silently take one of the two"
                self._flaw((*loc, key), event, "duplicate-key", message, "keep one of them")
                continue
            found[key] = read.value
            spots[key] = Spot(_line(event), read.spot.below, read.spot.name)
        name = found.get("name")
        return _Value(found, Spot(_line(start), spots, name if isinstance(name, str) else ""), size)

    def _key(self, event: yaml.Event, loc: Loc) -> str | None:
        """A key as it was typed; None, and a flaw, where it is no text."""
        if not isinstance(event, yaml.ScalarEvent):
            self._flaw((*loc, "?"), event, "type", "is a key that is no text", "write KEY: VALUE")
            self._value(event, (*loc, "?"))
            return None
        key: str = event.value
        if key == "<<" and event.implicit[0]:
            self._flaw((*loc, key), event, "unknown-key", "merges mappings, which is not done here", "write the keys out")
            return None
        return key

    def _sequence(self, start: yaml.Event, loc: Loc) -> _Value:
        found: list[object] = []
        spots: list[Spot] = []
        size = 1
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            read = self._value(event, (*loc, len(found)))
            size += read.size
            found.append(read.value)
            spots.append(Spot(_line(event), read.spot.below, read.spot.name))
        return _Value(found, Spot(_line(start), spots), size)

    def _flaw(self, loc: Loc, event: yaml.Event, code: str, message: str, hint: str) -> None:
        self._flaws.append(Flaw(loc, code, message, hint, line=_line(event)))


def _line(event: yaml.Event) -> int:
    assert event.start_mark is not None
    return event.start_mark.line + 1


def _scalar(event: yaml.ScalarEvent) -> object:
    """Text, unless it stands plain, without quotes or tag, and looks like something else."""
    text: str = event.value
    if event.tag is not None or not event.implicit[0]:
        return text
    if text in _NOTHING:
        return None
    if text in _TRUTH:
        return _TRUTH[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text
