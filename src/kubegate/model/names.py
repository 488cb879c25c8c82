"""Names and values of strangers: which name a certificate covers, how foreign text is shown, what was meant by it."""

import difflib
import ipaddress
from collections.abc import Iterable

from kubegate.model.address import is_address

_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0") | frozenset(
    map(chr, range(0xFE00, 0xFE10))
)
_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a mapping",
    bytes: "binary data",
}


def kind_of(value: object) -> str:
    """What a YAML value is, in words; never the value."""
    return _KINDS.get(type(value), "nothing" if value is None else "something else")


def printable(text: str) -> str:
    r"""`text` with everything that a terminal would act on or hide escaped, as `\x1b` or `\u202e`.

    That is control, format (bidirectional, zero-width), unassigned, private and surrogate characters, separators
    other than the space, and the blank "letters" of Unicode.
    """
    if text.isprintable() and _INVISIBLE.isdisjoint(text):
        return text
    return "".join(char if char.isprintable() and char not in _INVISIBLE else _escape(char) for char in text)


def _escape(char: str) -> str:
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def covers(certified: Iterable[str], name: str) -> bool:
    """Whether a certificate with these subject alternative names is good for `name`, a DNS name or an address.

    RFC 6125, section 6.4, as Go and OpenSSL agree on it: `*` stands for exactly one whole leftmost label and is
    followed by at least two more; an address is compared as an address and never matched by a wildcard.
    """
    wanted = name.lower().removesuffix(".")
    if is_address(wanted):
        address = ipaddress.ip_address(wanted)
        return any(is_address(one) and ipaddress.ip_address(one) == address for one in certified)
    label, _, parent = wanted.partition(".")
    accepted = {wanted, f"*.{parent}"} if label and "." in parent else {wanted}
    return any(one.lower() in accepted for one in certified)


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like another one, without regard to case, dashes and underscores; None if none is."""
    plain = {_plain(one): one for one in known}
    found = difflib.get_close_matches(_plain(word), plain, n=1, cutoff=0.7)
    return plain[found[0]] if found else None


def _plain(word: str) -> str:
    # What is long is no slip of the pen, and takes long to compare.
    return word[:64].lower().replace("_", "").replace("-", "")
