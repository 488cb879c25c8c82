"""Patterns with the meaning that Go's `regexp` gives them, by RE2, and the lists of them that flags carry.

RE2 differs from Go in some things, which are made up for here: it takes `\\C` and names of groups that are not ASCII; a byte
that is not UTF-8 fits nothing in it, where Go reads U+FFFD; and `\\B` fits within a character.
"""

import re
from collections.abc import Iterator, Sequence

import re2

from kubegate.model.patterns import Pattern, read_pattern
from kubegate.model.problem import Problem

_HINT = "patterns are those of Go's regexp (RE2): no look-around, no back-references"
_LIST_HINT = "give the flag once for each pattern, or write \\, for a comma that belongs to one"
# A method has none (RFC 9110, 5.6.2), a host in practice neither.
_WITHOUT_COMMAS = ("--reject-methods", "--accept-hosts")
_BAD_BYTES = re.compile("[\udc80-\udcff]")
_GROUP = re.compile(r"\?P?<([^>]*)>")
_COUNT = re.compile(r"\{[0-9]+,[0-9]*\}")
_CLASS_NAME = re.compile(r"\[:\^?[a-z]+:\]")


class Compiled:
    """A pattern ready to be searched for. Raises PatternRefused if Go would not take it."""

    def __init__(self, text: str) -> None:
        options = re2.Options()
        options.log_errors = False
        try:
            self._found = re2.compile(text, options)
        except re2.error as error:
            raise PatternRefused(_reason(error)) from None
        except UnicodeEncodeError:
            raise PatternRefused("it is not valid UTF-8") from None
        if why := _refused_by_go(text):
            raise PatternRefused(why)

    @property
    def size(self) -> int:
        """How many instructions RE2 made of it: a byte of a text costs at most so many steps."""
        return int(self._found.programsize)

    def search(self, text: bytes) -> bool:
        """Whether it fits anywhere in a text, which is UTF-8 (`as_go_reads`)."""
        match = self._found.search(text)
        while match is not None and match.start() == match.end() and _within_a_character(text, match.start()):
            match = self._found.search(text, match.start() + 1)
        return match is not None


class PatternRefused(ValueError):
    """Go's `regexp` does not take this pattern."""


def as_go_reads(text: bytes) -> bytes:
    """A text as Go's `regexp` reads it: U+FFFD for each byte that belongs to no character."""
    if text.isascii():
        return text
    return _BAD_BYTES.sub("\ufffd", text.decode(errors="surrogateescape")).encode()


def check_patterns(flag: str, texts: Sequence[str]) -> list[Problem]:
    """What is wrong with the patterns of a list, each by its flag, its place and its text."""
    problems = []
    for number, text in enumerate(texts, 1):
        try:
            Compiled(text)
        except PatternRefused as refused:
            place = f"pattern {number} of {len(texts)}, " if len(texts) > 1 else ""
            problems.append(Problem(flag, "pattern.refused", f"{place}{shown(text)}: {refused}", _HINT))
    return problems


def read_list(flag: str, values: Sequence[str]) -> tuple[tuple[Pattern, ...], list[Problem]]:
    """The patterns that a flag gives, and what is wrong with them.

    Given once, its value is a list as `kubectl proxy` has it: commas separate, and nothing at all is an empty list. A comma
    belongs to the pattern inside brackets, parentheses, a count (`{1,3}`) and `\\Q...\\E`, and behind a backslash: there kubectl
    refuses to start, or takes the halves of a count for plain characters, which nobody means. Given several times, each value is
    one pattern; one that can fit nothing because it is a list is refused, for it would silently reject nothing.
    """
    if len(values) == 1:
        texts = list(split(values[0])) if values[0] else []
        return _patterns(texts), check_patterns(flag, texts)
    texts = [value for value in values if value]
    problems = check_patterns(flag, texts)
    for number, text in enumerate(texts, 1):
        if _only_a_list(flag, text):
            message = (
                f"value {number} of {len(texts)}, {shown(text)}: it looks like a list, but where the flag is given several times"
                " each value is one pattern, and this one fits nothing"
            )
            problems.append(Problem(flag, "pattern.list", message, _LIST_HINT))
    return _patterns(texts), problems


def doubts(flag: str, patterns: Sequence[Pattern]) -> list[Problem]:
    """What is probably not meant about patterns that are accepted: an empty one, from a comma too many, fits everything."""
    if len(patterns) < 2 or all(pattern.text for pattern in patterns):
        return []
    message = "an empty pattern, before or after a comma, fits everything"
    return [Problem(flag, "pattern.empty", message, "leave the comma out")]


def split(text: str) -> Iterator[str]:
    """The patterns of a list, by the commas that belong to none of them."""
    start = depth = 0
    for position, mark in _tokens(text):
        depth += (mark == "(") - (mark == ")")
        if mark == "," and depth <= 0:
            yield text[start:position]
            start = position + 1
            depth = 0
    yield text[start:]


def shown(text: str) -> str:
    """A pattern for a message."""
    return "`" + text.encode(errors="backslashreplace").decode().replace("\n", "\\n") + "`"


def _patterns(texts: Sequence[str]) -> tuple[Pattern, ...]:
    return tuple(read_pattern(text) for text in texts)


def _only_a_list(flag: str, text: str) -> bool:
    """Whether a pattern is made of several, and fits nothing as one: an anchor within it, or a comma where there can be none."""
    pieces = list(split(text))
    if len(pieces) > 1 and flag in _WITHOUT_COMMAS:
        return True
    flags = text.startswith("(?")
    return not flags and (any(piece.startswith("^") for piece in pieces[1:]) or any(piece.endswith("$") for piece in pieces[:-1]))


def _tokens(text: str) -> Iterator[tuple[int, str]]:
    """The places of what has a meaning of its own: an escape, a class and a quotation are one mark each."""
    position = 0
    while position < len(text):
        end = _end(text, position)
        yield position, text[position:end]
        position = end


def _end(text: str, start: int) -> int:
    if text[start] == "\\":
        if not text.startswith("\\Q", start):
            return start + 2
        quoted = text.find("\\E", start)
        return len(text) if quoted < 0 else quoted + 2
    if text[start] == "[":
        return _class_end(text, start)
    count = _COUNT.match(text, start)
    return count.end() if count else start + 1


def _class_end(text: str, start: int) -> int:
    position = start + 1 + text.startswith("^", start + 1)
    # A bracket that comes first is a member.
    position += text.startswith("]", position)
    while position < len(text) and text[position] != "]":
        named = _CLASS_NAME.match(text, position)
        position = named.end() if named else position + (2 if text[position] == "\\" else 1)
    return position + 1


def _within_a_character(text: bytes, position: int) -> bool:
    return position < len(text) and text[position] & 0xC0 == 0x80


def _refused_by_go(text: str) -> str:
    """Why Go does not take a pattern that RE2 takes; empty if it does."""
    for position, mark in _tokens(text):
        if mark == "\\C":
            return "invalid escape sequence: `\\C`"
        group = _GROUP.match(text, position + 1) if mark == "(" else None
        if group is not None and not re.fullmatch(r"[0-9A-Za-z_]+", group[1]):
            return f"invalid named capture: `{group[1]}`"
    return ""


def _reason(error: Exception) -> str:
    why = error.args[0] if error.args else b""
    text = why.decode(errors="backslashreplace") if isinstance(why, bytes) else str(why)
    kind, separator, piece = text.partition(": ")
    return f"{kind}: `{piece}`" if separator else kind
