"""The credential of one context while a proxy uses it: renewed ahead of its end, after a 401, and when its files change.

Nobody is asked anything after the start. The last credential that was good goes on whatever becomes of the files; only a
context that is not there any more ends it, until it is back.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from kubegate.cluster.context import Context
from kubegate.cluster.errors import ClusterError
from kubegate.cluster.login import Login, log_in
from kubegate.errors import KubegateError
from kubegate.model.names import printable
from kubegate.model.problem import Problem
from kubegate.proxy.rotation import changed_target, clause, due, files_of, is_removal, sends_the_same, sentence
from kubegate.system.files import FileState, reason, state_of
from kubegate.system.watching import Files

Publish = Callable[[Login | None, str], Awaitable[None]]
Say = Callable[[str], None]

# Files are written in pieces and one after another: a certificate before its key.
_QUIET_SECONDS = 0.1
_LONGEST_QUIET_SECONDS = 0.5
_SETTLE_SECONDS = 0.25
# Between two renewals that 401s ask for, and between tries of one that failed.
_PAUSE_SECONDS = 2.0
_RETRY_SECONDS = (2.0, 5.0, 10.0, 30.0, 60.0)
# A machine that slept has another time of day than its timers.
_LONGEST_SLEEP_SECONDS = 30.0
_READ_AGAIN = 3
# Whoever waits for a start wants to know for what.
_LONG_SECONDS = 3.0


class Credentials:
    """One context's credential. `load` gives the same context each time, as `kubeconfig.Chosen` does.

    `publish` is awaited with what requests carry from now on, or None if they have to be refused, and why; then `context`
    is the one that it is for. `patience` is how long a caller of `refresh` waits, `timeout` how long a plugin may take,
    both in seconds.
    """

    def __init__(
        self,
        load: Callable[[], Context],
        environ: Mapping[str, str],
        publish: Publish,
        say: Say,
        *,
        patience: float = 10.0,
        timeout: float = 60.0,
    ) -> None:
        self._load = load
        self._environ = environ
        self._publish = publish
        self._say = say
        self._patience = patience
        self._timeout = timeout
        self._files = Files()
        self._changing = asyncio.Lock()
        self._refreshing: asyncio.Task[bool] | None = None
        self._refreshed = -_PAUSE_SECONDS
        self._woken = asyncio.Event()
        self._in_use = False
        self._context: Context | None = None
        self._login = Login()
        self._since = datetime.now(UTC)
        self._gone = False
        self._failures = 0
        self._asked = False
        self._not_before = 0.0
        self._told = ""
        self._warned: frozenset[Problem] = frozenset()

    @property
    def context(self) -> Context:
        """The context as it was read last. Raises RuntimeError before `start`."""
        if self._context is None:
            raise RuntimeError("the credentials are used before their start")
        return self._context

    async def start(self) -> Login:
        """The first login, which is not published; only now a plugin may ask a person, if standard input is a terminal.

        What of the kubeconfig is not used, and the like, is said as a warning. Raises InvalidInput, PluginFailed or
        ProviderFailed; if there is a context then, `run` may follow all the same, and publishes a login once there is one.
        """
        context, states = await asyncio.to_thread(self._read, ())
        self._context = context
        self._files.follow(states)
        try:
            login = await self._first(context)
        except KubegateError as error:
            self._gone, self._failures, self._told = True, 1, sentence(error)
            self._asked = isinstance(error, ClusterError)
            raise
        self._login, self._since = login, datetime.now(UTC)
        self._warn((*context.warnings, *login.warnings))
        return login

    async def _first(self, context: Context) -> Login:
        """Log in, and say what is waited for if that takes long."""
        words = f"waiting for the credential of context {printable(context.name)}"
        waiting = asyncio.get_running_loop().call_later(_LONG_SECONDS, self._say, words)
        try:
            return await log_in(context, self._environ)
        finally:
            waiting.cancel()

    async def run(self) -> None:
        """Follow the files and renew ahead of the end, until cancelled."""
        try:
            await asyncio.gather(self._files.run(), self._follow(), self._renew_ahead())
        finally:
            if self._refreshing is not None:
                self._refreshing.cancel()
                await asyncio.gather(self._refreshing, return_exceptions=True)

    def used(self) -> None:
        """Say that a request was made with it: only what is in use is renewed ahead of its end."""
        if not self._in_use:
            self._in_use = True
            self._woken.set()

    async def refresh(self) -> bool:
        """After a 401: read and renew it now, once for all who ask meanwhile; whether there is another one now.

        Waits no longer than `patience`; what was begun goes on. Right after a renewal nothing is done.
        """
        self.used()
        if self._refreshing is None or self._refreshing.done():
            if time.monotonic() - self._refreshed < _PAUSE_SECONDS:
                return False
            self._refreshing = asyncio.create_task(self._after_refusal(), name="renewing a credential after a 401")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                return await asyncio.shield(self._refreshing)
        return False

    async def _after_refusal(self) -> bool:
        try:
            before = self._login
            if self._changing.locked():
                async with self._changing:
                    # What was being done may have been just this.
                    if not sends_the_same(before, self._login):
                        return True
            await self._look("it was not accepted any more", renew=True)
            return not sends_the_same(before, self._login)
        finally:
            self._refreshed = time.monotonic()

    async def _follow(self) -> None:
        """Read anew whatever changes, and, as long as something is wrong, now and then."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._look_again()):
                    await self._files.changed.wait()
            deadline = time.monotonic() + _LONGEST_QUIET_SECONDS
            while self._files.changed.is_set() and time.monotonic() < deadline:
                self._files.changed.clear()
                await asyncio.sleep(_QUIET_SECONDS)
            self._files.changed.clear()
            await self._look("its files changed", renew=False)

    async def _renew_ahead(self) -> None:
        while True:
            self._woken.clear()
            seconds = self._seconds_left()
            if seconds is not None and seconds <= 0 and self._in_use:
                # What nobody uses from here on is not renewed once more.
                self._in_use = False
                await self._look("it was about to end", renew=True)
                self._in_use |= bool(self._failures)
                continue
            wait = min(seconds, _LONGEST_SLEEP_SECONDS) if seconds is not None and seconds > 0 else _LONGEST_SLEEP_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._woken.wait()

    def _seconds_left(self) -> float | None:
        """Until it is to be renewed; None if it has no end."""
        moment = due(self._login, self._since)
        if moment is None:
            return None
        return max((moment - datetime.now(UTC)).total_seconds(), self._not_before - time.monotonic())

    def _look_again(self) -> float | None:
        """Until what is wrong is looked at though nothing changed. A plugin is not begun again and again for nobody."""
        if not self._failures or (self._asked and (not self._gone or self._failures > len(_RETRY_SECONDS))):
            return None
        return self._pause()

    def _pause(self) -> float:
        return _RETRY_SECONDS[min(self._failures, len(_RETRY_SECONDS)) - 1]

    async def _look(self, why: str, *, renew: bool) -> None:
        """Read everything, log in, and publish what is another one. What is wrong with files is told if it stays so."""
        async with self._changing:
            try:
                await self._take(why, renew)
                return
            except ClusterError as error:
                await self._fail(sentence(error), asked=True)
                return
            except (KubegateError, OSError):
                await asyncio.sleep(_SETTLE_SECONDS)
            if not self._files.changed.is_set():
                await self._insist(why, renew)

    async def _insist(self, why: str, renew: bool) -> None:
        try:
            await self._take(why, renew)
        except KubegateError as error:
            await self._fail(sentence(error), removed=is_removal(error, self.context.files))
        except OSError as error:
            await self._fail(reason(error))

    async def _take(self, why: str, renew: bool) -> None:
        context, states = await asyncio.to_thread(self._read, files_of(self.context))
        if context.name != self.context.name:
            raise KubegateError(f"another context is the current one now, and {printable(self.context.name)} stays in use")
        login = await self._log_in(context, renew)
        self._files.follow(states)
        target = list(changed_target(self.context, context))
        if target or self._gone or not sends_the_same(self._login, login):
            await self._hand_over(context, login, target, why)
        self._warn((*context.warnings, *login.warnings))
        if login is not self._login:
            self._since = datetime.now(UTC)
        # A plugin may give what it gave before until that ends.
        held_up = renew and login.expires == self._login.expires
        self._not_before = time.monotonic() + _PAUSE_SECONDS if held_up else 0.0
        self._context, self._login, self._gone = context, login, False
        self._failures, self._told = 0, ""
        self._woken.set()

    async def _hand_over(self, context: Context, login: Login, target: list[str], why: str) -> None:
        """Publish, and tell what a person should know."""
        earlier, self._context = self.context, context
        try:
            await self._publish(login, "; ".join(target) or ("it can be used again" if self._gone else why))
        except BaseException:
            self._context = earlier
            raise
        name = printable(context.name)
        if self._gone:
            self._say(f"context {name} can be used again")
        if target:
            self._say(f"context {name}: {'; '.join(target)}")

    async def _log_in(self, context: Context, renew: bool) -> Login:
        plugin = context.credential.exec_plugin
        if plugin and not context.credential.has_secret and not renew and not self._failures:
            same = context.credential == self.context.credential
            if same and not (plugin.provide_cluster_info and list(changed_target(self.context, context))):
                return self._login
        return await log_in(context, self._environ, self._timeout, terminal=False, earlier=self._login, renew=renew)

    async def _fail(self, text: str, *, removed: bool = False, asked: bool = False) -> None:
        """What was before goes on, unless the context was `removed`; the same trouble is told once.

        `asked` says that files are right, and a plugin or a provider is not.
        """
        self._failures += 1
        self._asked = asked
        self._not_before = time.monotonic() + self._pause()
        if removed and not self._gone:
            with contextlib.suppress(KubegateError, OSError):
                await self._publish(None, text)
                self._gone = True
        if text != self._told:
            after = (
                "requests are refused until it is back" if removed or self._gone else "the credential that was good last goes on"
            )
            self._say(f"context {printable(self.context.name)}: {text}; {after}")
            self._told = text

    def _read(self, known: tuple[Path, ...]) -> tuple[Context, dict[Path, FileState]]:
        """The context, and the state that its files were in before they were read."""
        files = known
        for _ in range(_READ_AGAIN):
            states = {file: state_of(file) for file in files}
            context = self._load()
            files = files_of(context)
            if states.keys() >= set(files):
                break
        return context, {file: states.get(file, (0, 0, 0)) for file in files}

    def _warn(self, warnings: Sequence[Problem]) -> None:
        """What was told already is told again only once it had been over."""
        for problem in dict.fromkeys(warnings):
            if problem not in self._warned:
                self._say(f"warning: {clause(problem)}")
        self._warned = frozenset(warnings)
