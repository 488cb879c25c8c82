"""Values as people type them in a configuration file: durations, networks, names, files, addresses."""

import ipaddress
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, ValidationInfo, WithJsonSchema

from kubegate.model.address import Endpoint, is_address, normal_name, parse_listen

# The name of a context's folder, relative file names of a configuration start there (validation context).
BASE_FOLDER = "folder"

_DURATION = re.compile(r"(?=[0-9])(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?(?:([0-9]{1,6})ms)?")
_LONGEST = timedelta(days=24)
_NAME = re.compile(r"(?=.{1,63}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_PORT = re.compile(r"[0-9]{1,5}")

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_duration(text: object) -> object:
    """`1h30m`, `10s`, `500ms`, `7d` as a timedelta. Raises ValueError."""
    if isinstance(text, timedelta):
        return text
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if not match:
        raise ValueError(f"{text!r} is not a duration; write one as in 500ms, 10s, 1h30m or 7d")
    days, hours, minutes, seconds, millis = (int(part or 0) for part in match.groups())
    span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=millis)
    # HAProxy's timers are milliseconds in 31 bits (configuration manual 2.5).
    if not timedelta(milliseconds=1) <= span <= _LONGEST:
        raise ValueError(f"{text!r} is not between 1ms and 24d")
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
    try:
        return ipaddress.ip_network(str(text))
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(str(text), strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is not an address range; write one as in 10.0.0.0/8 or 2001:db8::/32") from None
    raise ValueError(f"{text!r} has bits set behind its prefix; write {meant}, or the address alone")


def parse_dial(text: object) -> object:
    """`HOST:PORT` of an API server; the port is 6443 where it is left out. Raises ValueError."""
    if isinstance(text, Endpoint):
        return text
    if not isinstance(text, str) or "/" in text:
        raise ValueError(f"{text!r} is not HOST:PORT; write no https:// and no path")
    bare = text.strip()
    if is_address(bare):
        return Endpoint(normal_name(bare), 6443)
    host, colon, port = bare.rpartition(":")
    if not colon or host.endswith(":"):
        host, port = bare, "6443"
    if not _PORT.fullmatch(port) or not 1 <= int(port) <= 65535:
        raise ValueError(f"{text!r} has no port between 1 and 65535")
    return Endpoint(normal_name(host), int(port))


def _listen(text: object) -> object:
    return parse_listen(text) if isinstance(text, str) else text


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not a name: lower-case letters, digits and dashes, 63 at most")
    return text


def _host(text: str) -> str:
    return normal_name(text)


def _file(path: Path, info: ValidationInfo) -> Path:
    folder: Any = (info.context or {}).get(BASE_FOLDER)
    path = path.expanduser()
    return folder / path if folder is not None and not path.is_absolute() else path


def _text(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, when_used="json"),
    _text(r"^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$", "10s"),
]
Network = Annotated[
    IpNetwork, BeforeValidator(parse_network), WithJsonSchema({"type": "string", "examples": ["10.0.0.0/8", "2001:db8::/32"]})
]
Dial = Annotated[
    Endpoint,
    BeforeValidator(parse_dial),
    WithJsonSchema({"type": "string", "examples": ["10.0.0.1:6443", "api.example.com:443"]}),
]
Listen = Annotated[
    Endpoint, BeforeValidator(_listen), WithJsonSchema({"type": "string", "examples": ["127.0.0.1:6443", "[::1]:6443"]})
]
Name = Annotated[str, AfterValidator(_name), _text(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", "prod")]
Host = Annotated[str, AfterValidator(_host), WithJsonSchema({"type": "string", "examples": ["prod.example.com"]})]
FileName = Annotated[
    Path, AfterValidator(_file), WithJsonSchema({"type": "string", "description": "Relative to the folder of this file."})
]
