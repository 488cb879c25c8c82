"""`kubegate proxy -- COMMAND`: a command that finds the proxy in its environment, and whose end is the proxy's end."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import SecretStr

from kubegate.errors import KubegateError
from kubegate.render.kubeconfig import ClientAccess, render
from kubegate.runtime.local_proxy import LocalProxy
from kubegate.runtime.signals import Stop
from kubegate.system.files import reason, write_new
from kubegate.system.memory_files import MemoryFiles

_PASSED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
_NOT_FOUND, _NOT_RUN = 127, 126


async def run_command(command: Sequence[str], proxy: LocalProxy, stop: Stop) -> int:
    """Run it with `KUBECONFIG` and `KUBEGATE_PROXY_URL` set, pass signals on, and return its exit code as a shell would."""
    if not command:
        raise KubegateError("there is no command behind --", "write kubegate proxy -- COMMAND")
    with ExitStack() as kept:
        access = ClientAccess(
            name="kubegate-proxy",
            url=proxy.url,
            ca_pem=proxy.ca_pem,
            user="kubegate-proxy" if proxy.token else None,
            token=SecretStr(proxy.token) if proxy.token else None,
        )
        kubeconfig = _kept(render(access).encode(), kept, secret=bool(proxy.token))
        environ = {**os.environ, "KUBECONFIG": str(kubeconfig), "KUBEGATE_PROXY_URL": proxy.url}
        try:
            child = await asyncio.create_subprocess_exec(*command, env=environ)
        except OSError as error:
            sys.stderr.write(f"error: {command[0]} cannot be run: {reason(error)}\n")
            return _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_RUN
        with _passed_on(child):
            serving = asyncio.create_task(proxy.serve(stop), name="serve")
            ended = asyncio.create_task(child.wait(), name="wait for the command")
            await asyncio.wait({serving, ended}, return_when=asyncio.FIRST_COMPLETED)
            code = await ended
            stop.ask()
            stop.ask()
            await serving
        return code if code >= 0 else 128 - code


def _kept(content: bytes, kept: ExitStack, *, secret: bool) -> Path:
    """A file with this content until `kept` ends; one with the proxy's token is in memory, for a kill would leave a file."""
    if secret:
        memory = MemoryFiles()
        kept.callback(memory.close)
        return memory.put(content)
    path = Path(kept.enter_context(tempfile.TemporaryDirectory(prefix="kubegate-"))) / "config"
    write_new(path, content)
    return path


@contextmanager
def _passed_on(child: asyncio.subprocess.Process) -> Iterator[None]:
    """Signals are the command's affair; those from a terminal it has had already."""
    loop = asyncio.get_running_loop()

    def pass_on(number: signal.Signals) -> None:
        if not (number is signal.SIGINT and sys.stdin is not None and sys.stdin.isatty()) and child.returncode is None:
            child.send_signal(number)

    handled = [one for one in _PASSED if signal.getsignal(one) is not signal.SIG_IGN]
    before = {one: signal.getsignal(one) for one in handled}
    for number in handled:
        loop.add_signal_handler(number, pass_on, number)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number] or signal.SIG_DFL)
