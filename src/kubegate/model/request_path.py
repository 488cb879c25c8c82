"""The path and the query of a request, read as Go's `net/url` reads them, and whether a path has one meaning only."""

import posixpath
import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_UNCLEAN = re.compile(rb"//|/\.\.?(?:/|$)")


class BadPath(ValueError):
    """A path that cannot be decoded."""


def decode_path(raw: bytes) -> bytes:
    """The path with its escapes decoded. Raises BadPath where a percent sign is not followed by two hexadecimal digits."""
    if _BAD_ESCAPE.search(raw):
        raise BadPath("a percent sign is not followed by two hexadecimal digits")
    return unquote_to_bytes(raw)


def clean_path(path: bytes) -> bytes:
    """The path as those who merge slashes and resolve dots would read it (Go's `path.Clean`, a slash at the end kept)."""
    if not _UNCLEAN.search(path):
        return path
    clean = posixpath.normpath(b"/" + path.lstrip(b"/"))
    return clean + b"/" if path.endswith((b"/", b"/.", b"/..")) and clean != b"/" else clean


def text_of(path: bytes) -> str:
    """A decoded path as text, every byte of it kept: equal texts are equal paths."""
    return path.decode(errors="surrogateescape")


def segments(path: str) -> list[str]:
    """The parts between slashes; slashes at either end separate nothing (apiserver, `splitPath`)."""
    inner = path.strip("/")
    return inner.split("/") if inner else []


def parameters(query: bytes) -> Iterator[tuple[str, str]]:
    """The parameters as Go's `url.ParseQuery` has them: what has a semicolon or a bad escape is left out."""
    for piece in query.split(b"&"):
        key, _, value = piece.partition(b"=")
        if piece and b";" not in piece and not _BAD_ESCAPE.search(piece):
            yield _parameter(key), _parameter(value)


def why_ambiguous(head: list[bytes], tail: list[bytes]) -> str:
    """Why a proxy or API server on the way could read a path differently from this one; empty if none could.

    `head`: its segments as they came, not decoded, up to and with a `proxy` subresource, the first one being what stands before
    the first slash; `tail`: what follows, which is a service's own and may hold anything but what leads out of it.
    """
    if not head or head[0]:
        return "it does not begin with a slash"
    if b"" in head[1:-1] or (not head[-1] and tail):
        return "it has a double slash"
    for segment in (unquote_to_bytes(one) for one in head):
        if segment in (b".", b".."):
            return "it has a . or .. segment"
        if b"/" in segment or b"\\" in segment:
            return "it has an encoded slash, or a backslash"
        if b"%" in segment:
            return "it has a percent sign that is encoded itself"
        if any(byte < 0x20 or byte == 0x7F for byte in segment):
            return "it has a control character"
    inner = b"/".join(unquote_to_bytes(one) for one in tail).replace(b"\\", b"/")
    return "it has a . or .. segment" if {b".", b".."} & set(inner.split(b"/")) else ""


def _parameter(text: bytes) -> str:
    return unquote_to_bytes(text.replace(b"+", b" ")).decode(errors="surrogateescape")
