"""One context of the local proxy: where its API server is, how that proves itself, and as whom requests go there.

Nothing here ends the proxy: an API server that cannot be reached now is looked for until it answers, and a credential that is
gone is a reason that requests are told.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from kubegate.cluster.context import Context
from kubegate.cluster.login import Login, log_in
from kubegate.model.address import is_address
from kubegate.model.proxy_plan import Target
from kubegate.runtime.local_look import Found, look
from kubegate.runtime.local_settings import Place
from kubegate.runtime.process import Say

_RETRY_SECONDS = (0.25, 0.5, 1.0, 2.0, 5.0)
_RESOLVE_SECONDS = 20.0


class LocalContext:
    """A context that is served, read by `load`, which raises InvalidInput; `place` is where it listens by itself, if it does."""

    def __init__(self, key: str, load: Callable[[], Context], environ: Mapping[str, str], say: Say) -> None:
        self.key = key
        self.place: Place | None = None
        self.context = load()
        self.aliases: tuple[str, ...] = ()
        self.append = True
        self.login = Login()
        self.gone = ""
        self.relay = ""
        self._environ = environ
        self._say = say
        self._found = Found()
        self._told = ""
        self._looking = asyncio.Event()

    def target(self) -> Target:
        """What it is at this moment."""
        context, login = self.context, self.login
        return Target(
            key=self.key,
            name=context.name,
            host=context.url.split("//", 1)[1].removesuffix(context.path_prefix),
            tls=context.scheme == "https",
            servers=self._found.servers,
            relay=self.relay,
            verification=self._found.verification,
            path=context.path_prefix,
            append=self.append,
            aliases=self.aliases,
            impersonation=login.impersonation,
            authorization=login.authorization,
            pair=login.certificate_pem.rstrip() + b"\n" + login.key_pem if login.certificate_pem else b"",
            gone=self.gone,
        )

    async def log_in(self) -> None:
        """Make the credential ready."""
        self.login = await log_in(self.context, self._environ)

    async def refresh(self) -> None:
        """Try to renew the credential, which the API server did not accept."""
        self._say(f"context {self.context.name}: the API server did not accept the credential (401)")

    async def follow(self, changed: Callable[[], Awaitable[None]]) -> None:
        """Keep to what the API server and the kubeconfig say, until cancelled; `changed` is awaited after each change."""
        await self.keep_looking(changed)

    async def look(self) -> None:
        """Find out where the API server is and how it is verified, as far as that can be told now."""
        self._found = await look(self.context, self.relay, self._environ)
        if self._found.trouble and self._found.trouble != self._told:
            self._say(f"context {self.context.name}: {self._found.trouble}; it is looked for again and again")
        elif self._told and not self._found.trouble:
            self._say(f"context {self.context.name}: its API server is there")
        self._told = self._found.trouble

    def moved(self, context: Context) -> None:
        """The kubeconfig says something else about it."""
        self.context = context
        self._looking.set()

    async def keep_looking(self, changed: Callable[[], Awaitable[None]]) -> None:
        """Look again until it is known, and then as often as its name may lead elsewhere; until cancelled."""
        tries = 0
        while True:
            known = not self._found.trouble
            tries = 0 if known else tries + 1
            seconds = _RESOLVE_SECONDS if known else _RETRY_SECONDS[min(tries, len(_RETRY_SECONDS)) - 1]
            try:
                async with asyncio.timeout(seconds if self._may_move or not known else None):
                    await self._looking.wait()
            except TimeoutError:
                pass
            self._looking.clear()
            before = self._found
            await self.look()
            if self._found != before:
                await changed()

    @property
    def _may_move(self) -> bool:
        return not is_address(self.context.host) and not self.relay
