"""One context of the local proxy: where its API server is, how that proves itself, and as whom requests go there.

Nothing here ends the proxy: an API server that cannot be reached now is looked for until it answers, and a credential that is
gone is a reason that requests are told.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path

from kubegate.cluster.context import Context
from kubegate.cluster.login import Login
from kubegate.errors import KubegateError
from kubegate.model.address import is_address
from kubegate.model.proxy_plan import Target
from kubegate.proxy.credentials import Credentials
from kubegate.proxy.relay import Relay, proxy_of
from kubegate.proxy.rotation import changed_target
from kubegate.runtime.local_look import Found, authority, look, tried
from kubegate.runtime.local_settings import Place
from kubegate.runtime.process import Say

_RETRY_SECONDS = (0.25, 0.5, 1.0, 2.0, 5.0)
_RESOLVE_SECONDS = 20.0


class LocalContext:
    """A context that is served, read by `load`, which raises InvalidInput; `place` is where it listens by itself, if it does.

    `asked_for` says that it was named. `changed` is awaited whenever `target` says something else, once it is started. `sockets`
    is the folder for a relay's socket, ending in a slash.
    """

    def __init__(self, key: str, load: Callable[[], Context], environ: Mapping[str, str], say: Say) -> None:
        self.key = key
        self.context = load()
        self.place: Place | None = None
        self.aliases: tuple[str, ...] = ()
        self.append = True
        self.asked_for = True
        self.sockets = ""
        self.changed: Callable[[], Awaitable[None]] = _nobody
        self._environ = environ
        self._say = say
        self._credentials = Credentials(load, environ, self._publish, say)
        self._started = False
        self._login = Login()
        self._gone = ""
        self._relay = ""
        self._relayed: tuple[str, str, int] | None = None
        self._count = 0
        self._relays = contextlib.AsyncExitStack()
        self._verified = ""
        self._verified_for: tuple[Context, bytes, bytes, str] | None = None
        self._by_python = False
        self._moved = asyncio.Event()
        self._found = Found()
        self._told = ""

    def target(self) -> Target:
        """What it is at this moment."""
        context, login, here = self.context, self._login, self._found.by_python
        return Target(
            key=self.key,
            name=context.name,
            host=context.url.split("//", 1)[1].removesuffix(context.path_prefix),
            tls=context.scheme == "https" and not here,
            servers=self._found.servers,
            relay=self._verified if here else self._relay,
            verification=self._found.verification,
            path=context.path_prefix,
            append=self.append,
            aliases=self.aliases,
            impersonation=login.impersonation,
            authorization=login.authorization,
            pair=b"" if here or not login.certificate_pem else login.certificate_pem.rstrip() + b"\n" + login.key_pem,
            gone=self._gone,
        )

    async def log_in(self) -> None:
        """Make the credential ready, for the first time. Raises InvalidInput or KubegateError; it may be there later, then."""
        try:
            self._login = await self._credentials.start()
        finally:
            with contextlib.suppress(RuntimeError):
                self.context = self._credentials.context
                self._started = True

    def give_up(self, why: str) -> None:
        """Requests are told that there is no credential."""
        self._gone = why

    async def look(self, seconds: float | None = None) -> None:
        """Find out where the API server is and how it is verified, as far as that can be told now, or in so many seconds."""
        found, context = None, None
        while found is None or context != self.context:
            # What was found out about a server that is not the one any more must not get the credential of the next one.
            context = self.context
            try:
                async with asyncio.timeout(seconds):
                    await self._choose_way()
                    found = await look(context, self._relay, self._environ)
            except TimeoutError:
                found = Found(trouble=f"{context.url} does not answer yet")
            except (KubegateError, OSError) as error:
                found = Found(trouble=str(error))
        if self._by_python and found.servers:
            found = replace(found, verification=None, by_python=True)
        self._found = found
        trouble = found.trouble
        if trouble and trouble != self._told:
            hint = f" ({found.hint})" if found.hint else ""
            self._say(f"context {self.context.name}: {trouble}{hint}; requests get 503, and it is looked for again and again")
        elif self._told and not trouble:
            self._say(f"context {self.context.name}: its API server is there")
        self._told = trouble

    async def _choose_way(self) -> None:
        """Have a relay where the API server is reached by a proxy, for HAProxy dials none."""
        context = self.context
        proxy = proxy_of(context, self._environ)
        wanted = (proxy, context.host, context.port) if proxy else None
        if wanted == self._relayed:
            return
        path = ""
        if wanted is not None:
            # The one before stays until the end, for the streams that it carries.
            self._count += 1
            path = f"{self.sockets}relay-{self.key}-{self._count}.sock"
            await self._relays.enter_async_context(Relay(*wanted, Path(path), say=self._say))
        self._relay, self._relayed = path, wanted

    async def verify_here(self) -> None:
        """Have a relay that speaks TLS where HAProxy cannot verify the API server: another credential is another one."""
        context, login = self.context, self._login
        if not self._found.by_python:
            self._verified = ""
            return
        wanted = (context, login.certificate_pem, login.key_pem, self._relay)
        if self._verified and wanted == self._verified_for:
            return
        from kubegate.proxy.tls_relay import TlsRelay

        self._count += 1
        path = f"{self.sockets}tls-{self.key}-{self._count}.sock"
        relay = TlsRelay(
            context.host,
            context.port,
            context.verified_name,
            authority(context, self._environ),
            Path(path),
            through=Path(self._relay) if self._relay else None,
            pair=(login.certificate_pem, login.key_pem),
            say=self._say,
        )
        await self._relays.enter_async_context(relay)
        self._verified, self._verified_for = path, wanted

    async def _publish(self, login: Login | None, why: str) -> None:
        """A credential changed, or the way to the API server did; None: there is none any more."""
        context = self._credentials.context
        before = (self.context, self._login, self._gone, self._found, self._relay, self._relayed)
        moved = context != self.context
        if any(changed_target(self.context, context)):
            # Others may have HAProxy changed while it is looked for, and what was found is that of the one before.
            self._found = Found()
        self.context = context
        self._gone = why if login is None else ""
        if login is not None:
            self._login = login
        try:
            if moved:
                self._by_python = False
                await self.look()
                self._moved.set()
            await self.verify_here()
            await self.changed()
        except BaseException:
            self.context, self._login, self._gone, self._found, self._relay, self._relayed = before
            raise

    async def refresh(self) -> None:
        """Try to renew the credential, which the API server did not accept; bounded."""
        if self._started:
            await self._credentials.refresh()

    def used(self) -> None:
        """Requests are being made: the credential is kept ready for the next."""
        self._credentials.used()

    async def follow(self) -> None:
        """Keep to what the API server and the kubeconfig say, until cancelled."""
        await asyncio.gather(self._keep_looking(), *([self._credentials.run()] if self._started else []))

    async def _doubt(self) -> None:
        """Say once what keeps requests from the API server, which a 503 does not; or go another way."""
        if not self._found.servers or self._found.by_python:
            return
        found = await tried(self.context, self._found, self._relay)
        if found.by_python:
            self._found, self._by_python = found, True
            await self._bring()
        elif found.trouble:
            hint = f" ({found.hint})" if found.hint else ""
            self._say(f"context {self.context.name}: {found.trouble}{hint}; requests get 503 until that is mended")

    async def _bring(self) -> None:
        """Let HAProxy have what was found; what ran goes on if it cannot."""
        try:
            await self.verify_here()
            await self.changed()
        except (KubegateError, OSError, TimeoutError) as error:
            self._say(f"context {self.context.name}: a change cannot be made, and what ran goes on: {error}")

    async def _keep_looking(self) -> None:
        """Look again until it is known, and then as often as its name may lead elsewhere."""
        await self._doubt()
        tries = 0
        while True:
            known = not self._found.trouble
            tries = 0 if known else tries + 1
            seconds = _RESOLVE_SECONDS if known else _RETRY_SECONDS[min(tries, len(_RETRY_SECONDS)) - 1]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._moved.wait()
            if self._moved.is_set():
                self._moved.clear()
                await self._doubt()
                continue
            if known and (is_address(self.context.host) or self._relay):
                continue
            before = self._found
            await self.look()
            if self._found != before:
                await self._bring()
                await self._doubt()

    async def close(self) -> None:
        """Let go of what it has."""
        await self._relays.aclose()


async def _nobody() -> None:
    """Nobody is told yet."""
