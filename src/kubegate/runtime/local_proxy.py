"""`kubegate proxy`: contexts behind listeners, from settings to a proxy that runs until it is told to stop."""

import asyncio
import contextlib
import hashlib
import importlib
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from kubegate.errors import KubegateError
from kubegate.model.problem import InvalidInput, Problem
from kubegate.model.proxy_plan import LOGIN_PATH, Admission, ProxyPlan, Static
from kubegate.model.service_ref import ServiceRef
from kubegate.runtime.binary import find
from kubegate.runtime.descriptors import most_connections
from kubegate.runtime.generation import Store
from kubegate.runtime.local_context import LocalContext
from kubegate.runtime.local_contexts import chosen
from kubegate.runtime.local_listening import Opened, open_listeners, secured
from kubegate.runtime.local_plane import LocalPlane
from kubegate.runtime.local_services import LocalServices
from kubegate.runtime.local_settings import Settings
from kubegate.runtime.process import Say
from kubegate.runtime.signals import Stop
from kubegate.system import listeners
from kubegate.system.folders import runtime_folder
from kubegate.system.listeners import Listening

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

DRAIN_SECONDS = 30.0
_COLLECT_SECONDS = 1.0
# A script waits for the start; an API server that takes longer is looked for beside it.
_FIRST_LOOK_SECONDS = 1.0
_USE_SECONDS = 5.0
_FOLDER = "proxy-"


class LocalProxy:
    """A proxy that runs. `open` it, `serve` until asked to stop; at the end of `async with` nothing of it is left.

    `token` is what clients have to show, empty if they need none.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str], say: Say) -> None:
        self._settings = settings
        self._environ = environ
        self._say = say
        self._contexts: list[LocalContext] = []
        self._opened: list[Opened] = []
        self._store = Store(runtime_folder(environ) / f"{_FOLDER}{os.getpid()}")
        self._plane: LocalPlane | None = None
        self._opened_services = LocalServices()
        # Whoever asks for a service that is being opened waits until it is.
        self._opening = asyncio.Lock()
        self._services = contextlib.AsyncExitStack()
        self._serves_itself = False
        self._site: Listening | None = None
        self.token = ""

    @property
    def shown(self) -> tuple[str, ...]:
        """Where it listens, as `kubectl proxy` prints it."""
        return tuple(one.listening.shown for one in self._opened)

    @property
    def url(self) -> str:
        """Where this machine reaches it, empty for a unix socket."""
        return self._opened[0].url

    @property
    def ca_pem(self) -> bytes | None:
        """By what clients verify its certificate, None where there is none or where the system's CAs do."""
        return self._opened[0].ca_pem

    @classmethod
    async def open(cls, settings: Settings, environ: Mapping[str, str], say: Say) -> Self:
        """Read the contexts, listen, and start HAProxy. Raises InvalidInput with every problem, or KubegateError."""
        proxy = cls(settings, environ, say)
        try:
            await proxy._open()
        except BaseException:
            await proxy._end()
            raise
        return proxy

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._end()

    async def _open(self) -> None:
        settings = self._settings
        problems: list[Problem] = []
        for work in (self._choose, self._listen):
            try:
                work()
            except InvalidInput as error:
                problems += error.problems
        if problems:
            raise InvalidInput(problems)
        self._opened = secured(self._opened, settings, self._environ, self._say)
        if any(one.token for one in self._opened):
            self.token = secrets.token_urlsafe(32)
        finding = asyncio.create_task(asyncio.to_thread(find, settings.haproxy), name="find HAProxy")
        self._store.acquire()
        self._store.clear()
        for one in self._contexts:
            one.sockets = self._store.sockets
            self._services.push_async_callback(one.close)
        await asyncio.gather(*(self._prepare(one) for one in self._contexts))
        binary = await finding
        listening = [one.listening for one in self._opened]
        plane = self._plane = LocalPlane(binary, self._store, listening, self._say, self._log())
        starting = asyncio.create_task(plane.start(self._plan()), name="start HAProxy")
        try:
            # While HAProxy starts, what it will ask is loaded.
            await asyncio.sleep(0)
            if self._has_pages:
                # Whoever comes before it is served waits.
                self._site = listeners.unix(Path(self._site_socket))
                self._services.callback(self._site.close)
            await self._services.enter_async_context(self._answering(plane))
            if self.token or settings.www is not None:
                await self._services.enter_async_context(self._serving_itself())
                self._serves_itself = True
        finally:
            await starting

    def _choose(self) -> None:
        self._contexts = chosen(self._settings, self._environ, self._say)

    def _listen(self) -> None:
        self._opened = open_listeners(self._settings)

    async def _prepare(self, one: LocalContext) -> None:
        """Find out about a context what can be found out now. Raises InvalidInput if it was asked for by name.

        A plugin that does not log in now may do so later: as with kubectl, that keeps nothing from being served.
        """
        chosen_as = one.context
        looking = asyncio.create_task(one.look(_FIRST_LOOK_SECONDS), name="look at the API server")
        try:
            await one.log_in()
        except KubegateError as error:
            if isinstance(error, InvalidInput) and one.asked_for:
                raise
            hint = f" ({error.hint})" if error.hint else ""
            one.give_up(error.message)
            self._say(f"context {one.context.name} has no credential, and requests get 503 until it has: {error.message}{hint}")
        finally:
            await looking
        if one.context != chosen_as:
            # The kubeconfig was changed between the two times that it was read.
            await one.look(_FIRST_LOOK_SECONDS)
        await one.verify_here()
        one.changed = self._bring

    def _log(self) -> int | None:
        """What HAProxy writes its access log to, if there is one. Raises FileTrouble."""
        if not self._settings.log:
            return None
        from kubegate.runtime.local_log import LocalLog

        names = {one.key: one.context.name for one in self._contexts}
        log = LocalLog(self._settings.log, lambda key: names.get(key, ""))
        self._services.callback(log.close)
        return log.descriptor

    @contextlib.asynccontextmanager
    async def _answering(self, plane: LocalPlane) -> AsyncIterator[None]:
        """Answer what HAProxy asks. Raises InvalidInput if a pattern is none."""
        from kubegate.proxy.decider import Decider
        from kubegate.proxy.judge import Judge
        from kubegate.proxy.verdict_memo import VerdictMemo

        memo = VerdictMemo(plane.remember, plane.forget, self._say)
        plane.begun_anew = memo.clear
        decider = Decider(Judge(self._settings.filters), memo, self._refresh)
        async with decider.serving(Path(self._ask_socket)):
            yield

    @contextlib.asynccontextmanager
    async def _serving_itself(self) -> AsyncIterator[None]:
        """Serve static files, and the one-time URL. Raises OSError."""
        from kubegate.proxy.site import Login, serving

        shown = [one for one in self._opened if one.token]
        login = Login(self.token, secrets.token_urlsafe(16), secure=all(one.pem for one in shown)) if shown else None
        pages = self._pages() if self._settings.page else ()
        assert self._site is not None, "it listens"
        async with serving(self._site.socket, login, self._settings.www, self._settings.www_prefix, pages):
            if login is not None:
                self._say(f"clients show this token (Authorization: Bearer): {self.token}")
                urls = " or ".join(f"{one.url}{LOGIN_PATH}?key={login.key}" for one in shown if one.url)
                self._say(f"a browser has it after one visit to {urls}" if urls else "browsers do not reach it")
            yield

    def _pages(self) -> "Sequence[BaseRoute]":
        from kubegate.ui.explorer.pages import Explored, routes

        main = self._opened[0]
        paths = tuple(
            (one.context.name, f"{self._settings.prefix}clusters/{quote(one.context.name, safe='')}/") for one in self._contexts
        )

        def about(key: str) -> Explored:
            context = next((one.context for one in self._contexts if one.key == key), self._contexts[0].context)
            notes = ("Nothing that changes something passes (--read-only).",) if self._settings.filters.read_only else ()
            return Explored(context.name, context.url, paths if main.several else (), notes)

        return routes(about, self._open_service)

    async def _open_service(self, key: str, service: ServiceRef) -> str:
        """Have a service of a context on a port of its own. Returns its URL; raises KubegateError."""
        main = self._opened[0]
        if not any(one.key == key for one in self._contexts) or main.listening.file is not None:
            raise KubegateError("no service can be opened here", "let the proxy listen on a port")
        async with self._opening:
            if not self._opened_services.url(key, service):
                try:
                    self._opened_services.add(key, service, main.planned(), main.listening.host)
                    await self._bring()
                except (KubegateError, OSError, TimeoutError) as error:
                    self._opened_services.remove(key, service)
                    raise KubegateError(f"the service cannot be opened: {error}") from None
                self._say(f"{service.service} of {service.namespace} is at {self._opened_services.url(key, service)}")
        return self._opened_services.url(key, service)

    async def _serve_pages(self) -> None:
        """Serve the explorer, which nobody waits for at the start."""
        await asyncio.to_thread(importlib.import_module, "kubegate.ui.explorer.pages")
        await asyncio.to_thread(importlib.import_module, "kubegate.proxy.site")
        async with self._serving_itself():
            await asyncio.Event().wait()

    async def _refresh(self, key: str) -> None:
        """An API server did not accept the credential of a context."""
        for one in self._contexts:
            if one.key == key:
                await one.refresh()

    @property
    def _has_pages(self) -> bool:
        """Whether there is something that the proxy serves itself."""
        return bool(self.token) or self._settings.www is not None or self._settings.page

    @property
    def _ask_socket(self) -> str:
        return f"{self._store.sockets}ask.sock"

    @property
    def _site_socket(self) -> str:
        return f"{self._store.sockets}site.sock"

    def _plan(self) -> ProxyPlan:
        settings = self._settings
        return ProxyPlan(
            listeners=(*(one.planned() for one in self._opened), *self._opened_services.listeners),
            targets=tuple(one.target() for one in self._contexts),
            filters=settings.filters,
            ask_socket=self._ask_socket,
            prefix=settings.prefix,
            static=Static(settings.www_prefix, self._site_socket) if settings.www is not None else None,
            site_socket=self._site_socket if self.token or settings.page else "",
            page=settings.page,
            admission=Admission(
                origins=settings.allow_origins,
                token_digest=hashlib.sha256(self.token.encode()).hexdigest().upper() if self.token else "",
                authorization=settings.pass_authorization,
                impersonation=settings.pass_impersonation,
            ),
            log=bool(settings.log),
            keepalive=settings.keepalive,
            max_connections=most_connections(),
        )

    async def serve(self, stop: Stop) -> bool:
        """Serve until asked to stop, then let open streams end; asked again, end them. True if all ended by themselves."""
        plane = self._plane
        assert plane is not None, "it is open"
        work: list[Callable[[], Awaitable[None]]] = [plane.keep_running, self._collect]
        work += [self._notice_use, *(one.follow for one in self._contexts)]
        if self._settings.page and not self._serves_itself:
            work.append(self._serve_pages)
        await self._sweep()
        tasks = {asyncio.ensure_future(one()) for one in work}
        asked = asyncio.create_task(stop.asked.wait(), name="wait for a signal")
        try:
            done, _ = await asyncio.wait({*tasks, asked}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {asked}:
                task.result()
            return await self._drain(plane, stop)
        finally:
            for waiting in (*tasks, asked):
                waiting.cancel()
            await asyncio.wait({*tasks, asked})

    async def _sweep(self) -> None:
        """Remove what proxies left that were killed: no secret is in it, but it is of no use."""
        for folder in self._store.folder.parent.glob(f"{_FOLDER}*"):
            if folder != self._store.folder:
                with contextlib.suppress(KubegateError, OSError):
                    left = Store(folder)
                    left.acquire()
                    left.release()

    async def _bring(self) -> None:
        """Bring HAProxy to what the contexts say now. Raises KubegateError, OSError or TimeoutError; what ran goes on then."""
        assert self._plane is not None, "it is open"
        if await self._plane.apply(self._plan()):
            self._say("HAProxy was reloaded; streams go on")

    async def _notice_use(self) -> None:
        """Tell contexts when requests are made, for only those that are used need a credential that is ready."""
        assert self._plane is not None, "it is open"
        before: Mapping[str, int] = {}
        while True:
            await asyncio.sleep(_USE_SECONDS)
            with contextlib.suppress(OSError, TimeoutError):
                now = await self._plane.requests()
                for one in self._contexts:
                    if now.get(one.key, 0) != before.get(one.key, 0):
                        one.used()
                before = now

    async def _collect(self) -> None:
        assert self._plane is not None, "it is open"
        while True:
            await asyncio.sleep(_COLLECT_SECONDS)
            with contextlib.suppress(OSError, TimeoutError):
                await self._plane.collect()

    async def _drain(self, plane: LocalPlane, stop: Stop) -> bool:
        streams = await plane.haproxy.open_streams()
        if streams:
            self._say(f"stopping: {streams} open, waiting at most {DRAIN_SECONDS:.0f} s for them; Ctrl-C again ends at once")
        return await stop.unless_again(plane.stop(DRAIN_SECONDS))

    async def _end(self) -> None:
        if self._plane is not None:
            await self._plane.stop(0)
            self._plane.close()
            self._plane = None
        await self._services.aclose()
        for one in self._opened:
            one.listening.close()
        self._opened = []
        self._store.release()
