"""How a section of HAProxy's file is put together: one quoting function, one way to indent."""

from collections.abc import Iterable


def quote(value: str) -> str:
    """`value` as one literal word (HAProxy configuration manual 2.2, strong quotes). Raises ValueError on control characters."""
    if any(ord(char) < 0x20 or ord(char) == 0x7F for char in value):
        raise ValueError("control characters cannot stand in a HAProxy configuration")
    return "'" + value.replace("'", "'\\''") + "'"


def section(head: str, lines: Iterable[str]) -> str:
    """A section: its head line and its indented keywords."""
    return "\n".join([head, *(f"  {line}" if line else "" for line in lines)])
