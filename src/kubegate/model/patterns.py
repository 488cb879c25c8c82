"""Patterns of the local proxy's filters, as far as they can be read without a regular expression engine.

Go's `regexp` is the reference (`kubectl proxy` compiles its lists with it): a pattern is searched for, unanchored. One that is
made of plain characters, escaped punctuation, `.*`, `^` at its beginning and `$` at its end is a sequence of plain strings, which
HAProxy and its Lua can look for; every other pattern is for RE2.
"""

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"(?P<any>\.\*)|\\(?P<escaped>[!-/:-@\[-`{-~])|(?P<plain>[ -!\"#%&',/0-9:;<=>@A-Z_`a-z~-])",
)


@dataclass(frozen=True, slots=True)
class Sequence:
    """Plain strings (printable ASCII, none empty) that stand in this order in a text, with anything between them.

    `begins` and `ends`: the text begins with the first, ends with the last; without any part, both together mean the empty text.
    Says what the pattern says of every text without a line feed, valid UTF-8 or not: `.` takes each character and each bad byte
    except that one, and an ASCII character is never part of another.
    """

    begins: bool
    parts: tuple[str, ...]
    ends: bool

    @property
    def matches_all(self) -> bool:
        """Whether every text matches."""
        return not self.parts and not (self.begins and self.ends)

    @property
    def matches_empty_only(self) -> bool:
        """Whether nothing but the empty text matches."""
        return not self.parts and self.begins and self.ends

    def matches(self, text: str) -> bool:
        """Whether a text without a line feed matches. Linear in its length: the first place of each part is the best one."""
        if not self.parts:
            return self.matches_all or not text
        rest, parts = text, self.parts
        if self.begins:
            if not text.startswith(parts[0]):
                return False
            if len(parts) == 1 and self.ends:
                return text == parts[0]
            rest, parts = text[len(parts[0]) :], parts[1:]
        last = parts[-1] if self.ends and parts else ""
        for part in parts[:-1] if last else parts:
            _, found, rest = rest.partition(part)
            if not found:
                return False
        return rest.endswith(last)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern as it was written, and what it means in plain strings; None: only RE2 can tell."""

    text: str
    sequence: Sequence | None


def read_pattern(text: str) -> Pattern:
    """The pattern. Whether Go accepts it is another question (`proxy.patterns`); what Go refuses is never a sequence."""
    return Pattern(text, _sequence(text))


def _sequence(text: str) -> Sequence | None:
    begins = text.startswith("^")
    position = 1 if begins else 0
    pieces: list[str] = [""]
    ends = False
    while position < len(text):
        if text[position:] == "$":
            ends = True
            break
        token = _TOKEN.match(text, position)
        if token is None:
            return None
        # A new piece begins behind each `.*`; a piece that stays empty is `.*` next to an anchor or to another `.*`.
        if token["any"]:
            pieces.append("")
        else:
            pieces[-1] += token["escaped"] or token["plain"]
        position = token.end()
    return _normal(begins, pieces, ends)


def _normal(begins: bool, pieces: list[str], ends: bool) -> Sequence:
    parts = tuple(piece for piece in pieces if piece)
    if not parts and len(pieces) == 1 and begins and ends:
        return Sequence(True, (), True)
    # `^.*` and `.*$` bind nothing: not to the beginning, not to the end.
    return Sequence(begins and bool(pieces[0]), parts, ends and bool(pieces[-1]))
