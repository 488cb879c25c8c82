"""What an HAProxy says about itself (`haproxy -vv`): version, branch, TLS library. Words in, values out; nothing is run here."""

import re
from dataclasses import dataclass
from datetime import date

Numbers = tuple[int, ...]

# Up to 1.9 it called itself HA-Proxy.
_VERSION = re.compile(r"HA-?Proxy version ((\d{1,6})\.(\d{1,6})(?:\.(\d{1,6})|-dev\d+)?\S*)(?: (\d{4})/(\d\d)/(\d\d))?")
_STATUS = re.compile(r"^Status: (.+?)\s*$", re.MULTILINE)
_FIXES_UNTIL = re.compile(r"stop receiving fixes (?:around )?(Q[1-4] \d{4})")
_BUGS = re.compile(r"^Known bugs: (https?://\S+)\s*$", re.MULTILINE)
# 3.2 and later say "SSL library", those before it "OpenSSL", whatever the library is.
_TLS = re.compile(r"^(Built with|Running on) (?:OpenSSL|SSL library) version : (.+?)\s*$", re.MULTILINE)
_LIBRARY = re.compile(r"(AWS-LC|LibreSSL|wolfSSL|BoringSSL|OpenSSL)(?: (\d{1,6}(?:\.\d{1,6})+)([a-z]*))?")


@dataclass(frozen=True, slots=True)
class Library:
    """A TLS library: its name, its version as it says it ("" if it has none) and as numbers, and the whole line about it."""

    name: str
    version: str
    numbers: Numbers
    words: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}".rstrip()

    def newer_than(self, other: "Library | None") -> bool:
        """Whether it is a newer version of the same library; of two libraries none is newer."""
        return other is not None and self.name == other.name and self.numbers > other.numbers


@dataclass(frozen=True, slots=True)
class Build:
    """An HAProxy as it was built, and the TLS library that it runs on.

    `version` is the whole word, with what a distribution has added to it; `status` is HAProxy's own sentence on the branch,
    `fixes_until` a quarter as in "Q2 2028". What it did not say is empty or None.
    """

    version: str = ""
    numbers: tuple[int, int, int] = (0, 0, 0)
    released: date | None = None
    status: str = ""
    long_term: bool = False
    fixes_until: str = ""
    known_bugs: str = ""
    tls: Library | None = None
    built_with: Library | None = None

    @property
    def branch(self) -> str:
        """The branch, as in "2.8"."""
        return f"{self.numbers[0]}.{self.numbers[1]}"


def parse(answer: str) -> Build | None:
    """The answer to `haproxy -vv`, or to `-v`, which says less; None if it is not that of an HAProxy."""
    version = _VERSION.search(answer)
    if version is None:
        return None
    status, until, bugs = _STATUS.search(answer), _FIXES_UNTIL.search(answer), _BUGS.search(answer)
    libraries = {when: library(words) for when, words in _TLS.findall(answer)}
    built_with = libraries.get("Built with")
    sentence = status[1] if status else ""
    return Build(
        version=version[1],
        numbers=(int(version[2]), int(version[3]), int(version[4] or 0)),
        released=_day(version[5], version[6], version[7]),
        status=sentence,
        long_term="long-term supported" in sentence,
        fixes_until=until[1] if until else "",
        known_bugs=bugs[1] if bugs else "",
        tls=libraries.get("Running on", built_with),
        built_with=built_with,
    )


def library(words: str) -> Library:
    """A library out of its own line: the last name counts, as in "OpenSSL 1.1.1 (compatible; AWS-LC 1.69.0)"."""
    found = _LIBRARY.findall(words)
    if not found:
        return Library(words.split(" ", 1)[0], "", (), words)
    name, version, letters = found[-1]
    return Library(name, version + letters, numbers(version + letters), words)


def numbers(version: str) -> Numbers:
    """A version that can be compared: 1.1.1w comes after 1.1.1 and before 1.1.1za."""
    dotted = re.match(r"[\d.]*", version)
    digits = dotted[0] if dotted else ""
    letters = 0
    for letter in version[len(digits) :]:
        letters = letters * 26 + ord(letter) - ord("a") + 1
    return (*(int(part) for part in digits.split(".") if part), letters)


def _day(year: str | None, month: str | None, day: str | None) -> date | None:
    try:
        return date(int(year), int(month), int(day)) if year and month and day else None
    except ValueError:
        return None
