"""Values as people type them in a configuration file: durations, networks, names, files, addresses.

What reads one raises BadValue with a sentence about the value; a value that is not even text is told by its type, by others.
"""

import ipaddress
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, Strict, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticKnownError

from kubegate.model.address import Endpoint, is_address, normal_name, parse_listen

# The name of a context's folder, relative file names of a configuration start there (validation context).
BASE_FOLDER = "folder"

_DURATION = re.compile(r"(?=[0-9])(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,7})s)?(?:([0-9]{1,10})ms)?")
_LONGEST = timedelta(days=24)
_NAME = re.compile(r"(?=.{1,63}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_PORT = re.compile(r"[0-9]{1,5}")
# What is longer is shown nowhere: it is no address or name, and may be anything.
_MOST_SHOWN = 64

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class BadValue(ValueError):
    """A value that is not what its key takes: a sentence that says so, and one that says what to write instead."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def parse_duration(text: object) -> object:
    """`1h30m`, `10s`, `500ms`, `7d` as a timedelta. Raises ValueError."""
    if isinstance(text, timedelta):
        return text
    hint = "write one with its unit, as in 500ms, 10s, 1h30m or 7d"
    if isinstance(text, int | float) and not isinstance(text, bool):
        raise BadValue("is a number without a unit", hint)
    match = _DURATION.fullmatch(_text(text))
    if not match:
        raise BadValue(f"{_said(text)} is not a duration", hint)
    days, hours, minutes, seconds, millis = (int(part or 0) for part in match.groups())
    span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=millis)
    # HAProxy's timers are milliseconds in 31 bits (configuration manual 2.5).
    if not timedelta(milliseconds=1) <= span <= _LONGEST:
        raise BadValue(f"{_said(text)} is not between 1ms and 24d", "24d is the longest that HAProxy's timers hold")
    return span


def format_duration(span: timedelta) -> str:
    """A timedelta as `parse_duration` reads it and as HAProxy does: one number and the largest unit that gives it exactly."""
    millis = round(span.total_seconds() * 1000)
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if millis and millis % size == 0:
            return f"{millis // size}{unit}"
    return f"{millis}ms"


def parse_network(text: object) -> object:
    """An address range such as `10.0.0.0/8`, or one address. Raises ValueError."""
    if isinstance(text, ipaddress.IPv4Network | ipaddress.IPv6Network):
        return text
    typed = _text(text)
    try:
        network = ipaddress.ip_network(typed, strict=False)
    except ValueError:
        network = None
    if network is None or "%" in typed:
        raise BadValue(f"{_said(text)} is not an address range", "write one as in 10.0.0.0/8, 2001:db8::/32, or an address alone")
    if network.version == 6 and network.network_address.ipv4_mapped:
        raise BadValue(f"{_said(text)} is IPv4 in the clothes of IPv6", "write the IPv4 range as it is")
    if ipaddress.ip_address(typed.partition("/")[0]) != network.network_address:
        raise BadValue(f"{_said(text)} has bits set behind its prefix", f"write {network}, or the address alone")
    return network


def parse_dial(text: object) -> object:
    """`HOST:PORT` of an API server; the port is 6443 where it is left out. Raises ValueError."""
    if isinstance(text, Endpoint):
        return text
    bare = _text(text).strip()
    hint = "write HOST:PORT, as in 10.0.0.1:6443 or api.example.com:443"
    if "/" in bare or "@" in bare:
        raise BadValue("is a URL, or the like", f"{hint}; no https://, no user, no path")
    if is_address(bare) or (bare.startswith("[") and bare.endswith("]")):
        return Endpoint(_normal(bare, hint), 6443)
    host, colon, port = bare.rpartition(":")
    if not colon:
        host, port = bare, "6443"
    if not _PORT.fullmatch(port) or not 1 <= int(port) <= 65535:
        raise BadValue(f"{_said(text)} has no port between 1 and 65535", hint)
    return Endpoint(_normal(host, hint), int(port))


def _listen(text: object) -> object:
    if isinstance(text, Endpoint):
        return text
    typed, hint = _text(text), "write an address of this machine and a port, as in 127.0.0.1:6443 or [::1]:6443"
    if len(typed) > _MOST_SHOWN:
        raise BadValue(f"{_said(text)} is not ADDR:PORT", hint)
    try:
        return parse_listen(typed)
    except ValueError as error:
        raise BadValue(str(error), hint) from None


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise BadValue(
            f"{_said(text)} is not a name",
            "use lower-case letters, digits, and dashes that stand neither first nor last; 63 at most",
        )
    return text


def _host(text: str) -> str:
    bare, hint = text.strip(), "write a DNS name or an address alone, as in prod.example.com"
    if "/" in bare or "@" in bare:
        raise BadValue("is a URL, or the like", f"{hint}; no https://, no port, no path")
    if "*" in bare:
        raise BadValue(f"{_said(text)} is a wildcard, and a name leads to one cluster", "write each name in full")
    if not bare.isascii():
        raise BadValue(f"{_said(text)} has letters that DNS has not", "write it as DNS has it, beginning with xn--")
    if bare.count(":") == 1:
        raise BadValue(f"{_said(text)} has a port", f"{hint}; the port is that of the listener")
    return _normal(bare, hint)


def _file_text(text: object) -> object:
    if isinstance(text, str) and ("\0" in text or not text.strip()):
        raise BadValue("is not a file name", "write the path of a file")
    return text


def _file(path: Path, info: ValidationInfo) -> Path:
    folder: Any = (info.context or {}).get(BASE_FOLDER)
    try:
        path = path.expanduser()
    except RuntimeError:
        raise BadValue(f"{_said(str(path))} begins with a home folder, and there is none", "write the path in full") from None
    return folder / path if folder is not None and not path.is_absolute() else path


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise PydanticKnownError("string_type")
    return value


def _normal(host: str, hint: str) -> str:
    try:
        return normal_name(host)
    except ValueError as error:
        raise BadValue(
            str(error) if len(host) <= _MOST_SHOWN else f"{_said(host)} is neither a DNS name nor an IP address", hint
        ) from None


def _said(text: object) -> str:
    """A wrong value for a message: in full only where it is short."""
    return repr(text) if len(str(text)) <= _MOST_SHOWN else f"a text of {len(str(text))} characters"


def _schema(title: str, *examples: str, pattern: str = "") -> WithJsonSchema:
    optional = {"examples": list(examples), "pattern": pattern}
    return WithJsonSchema({"type": "string", "title": title} | {key: value for key, value in optional.items() if value})


Whole = Annotated[int, Strict()]
Flag = Annotated[bool, Strict()]
Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, when_used="json"),
    _schema("duration", "10s", "1h30m", pattern=r"^(?=[0-9])([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"),
]
Network = Annotated[IpNetwork, BeforeValidator(parse_network), _schema("address range", "10.0.0.0/8", "2001:db8::/32")]
Dial = Annotated[
    Endpoint, BeforeValidator(parse_dial), PlainSerializer(str), _schema("HOST:PORT", "10.0.0.1:6443", "api.example.com:443")
]
Listen = Annotated[Endpoint, BeforeValidator(_listen), PlainSerializer(str), _schema("ADDR:PORT", "127.0.0.1:6443", "[::1]:6443")]
Name = Annotated[str, AfterValidator(_name), _schema("name", "prod", pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
Host = Annotated[str, AfterValidator(_host), _schema("host name", "prod.example.com", pattern=r"^[^*/@]+$")]
FileName = Annotated[Path, BeforeValidator(_file_text), AfterValidator(_file), _schema("file")]
