"""The access log of the local proxy: lines come from HAProxy through a pipe, and go on with what each request was about."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from kubegate.model.request_info import read_request
from kubegate.model.request_path import BadPath
from kubegate.system.files import explained

_PIECE = 65536
_LONGEST = 1 << 20
_STANDARD_ERROR = "-"


class LocalLog:
    """`descriptor` is what HAProxy writes to. Lines that nobody takes in time are lost, for requests do not wait for them."""

    def __init__(self, where: str, names: Callable[[str], str]) -> None:
        """Lines are added to the end of the file `where`, or go to standard error (`-`). Raises FileTrouble.

        `names` gives a context's name by its key.
        """
        if where == _STANDARD_ERROR:
            self._out = os.dup(sys.stderr.fileno())
        else:
            with explained(f"the log {where} cannot be opened", "check the path, and that you may write there"):
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                self._out = os.open(Path(where), flags, 0o600)
        self._names = names
        self._reading, self.descriptor = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._begun = b""
        asyncio.get_running_loop().add_reader(self._reading, self._read)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            *whole, rest = (self._begun + os.read(self._reading, _PIECE)).split(b"\n")
            self._begun = rest if len(rest) < _LONGEST else b""
            written = b"".join(completed(line, self._names) for line in whole if line)
            with contextlib.suppress(OSError):
                os.write(self._out, written)

    def close(self) -> None:
        """Write what is left, and no more."""
        self._read()
        asyncio.get_running_loop().remove_reader(self._reading)
        for descriptor in (self._reading, self.descriptor, self._out):
            os.close(descriptor)


def completed(line: bytes, names: Callable[[str], str]) -> bytes:
    """A line of HAProxy with the verb and the resource that the API server reads in it; one that is no JSON as it is."""
    try:
        found = json.loads(line)
        method, path, query = (str(found.get(name) or "") for name in ("method", "path", "query"))
    except (ValueError, AttributeError):
        return line + b"\n"
    found["context"] = names(str(found.get("context", "")).partition(":")[0])
    with contextlib.suppress(BadPath):
        about = read_request(method, path.encode(), query.encode())
        found["verb"] = about.verb
        for name in ("group", "resource", "subresource", "namespace", "name"):
            if about.is_resource and (value := getattr(about, name)):
                found[name] = value
    return json.dumps(found, separators=(",", ":")).encode() + b"\n"
