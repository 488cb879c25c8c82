"""How a section of HAProxy's file is put together: one quoting function, one way to indent."""

import re
from collections.abc import Iterable

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PLAIN = re.compile(r"[A-Za-z0-9._-]+")


def quote(value: str) -> str:
    """`value` as one literal word (HAProxy configuration manual 2.2, strong quotes). Raises ValueError on control characters."""
    if _CONTROL.search(value):
        raise ValueError("control characters cannot stand in a HAProxy configuration")
    return "'" + value.replace("'", "'\\''") + "'"


def word(value: str) -> str:
    """The same without quotes where it needs none, for the Runtime API takes quotes for letters."""
    return value if _PLAIN.fullmatch(value) else quote(value)


def section(head: str, lines: Iterable[str]) -> str:
    """A section: its head line and its indented keywords."""
    return "\n".join([head, *(f"  {line}" if line else "" for line in lines)])


def milliseconds(number: int) -> str:
    """A span in the largest unit that gives it exactly (configuration manual 2.5)."""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if number and number % size == 0:
            return f"{number // size}{unit}"
    return f"{number}ms"
