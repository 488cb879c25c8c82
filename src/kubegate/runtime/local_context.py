"""One context of the local proxy: where its API server is, how that proves itself, and as whom requests go there.

Nothing here ends the proxy: an API server that cannot be reached now is looked for until it answers, and a credential that is gone
is a reason that requests are told.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from kubegate.cluster.context import Context
from kubegate.cluster.errors import ClusterError
from kubegate.cluster.login import Login, log_in
from kubegate.cluster.resolve import resolve
from kubegate.model.address import Endpoint, is_address
from kubegate.model.facts import ServerFact, UpstreamFacts
from kubegate.model.plan import Verification
from kubegate.model.planner import verified_name
from kubegate.model.problem import Problem
from kubegate.model.proxy_plan import Target
from kubegate.runtime import gather
from kubegate.runtime.local_settings import Place
from kubegate.runtime.process import Say

_RETRY_SECONDS = (0.25, 0.5, 1.0, 2.0, 5.0)
_RESOLVE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Found:
    """What was found out about an API server: addresses at which it may be dialled, and how it is verified there."""

    servers: tuple[Endpoint, ...] = ()
    verification: Verification | None = None
    trouble: str = ""
    hint: str = ""


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


async def look(context: Context, relay: str, environ: Mapping[str, str]) -> Found:
    """Where the API server of a context is, and how HAProxy verifies it."""
    ca_pem: bytes | None = None
    tls = context.scheme == "https"
    if tls and not context.insecure_skip_tls_verify:
        ca_pem, problems = gather.context_ca(context, environ)
        if problems:
            return _unusable(problems[0])
    servers: tuple[Endpoint, ...]
    if relay:
        servers = (Endpoint(context.host, context.port),)
    else:
        try:
            servers = tuple(Endpoint(one, context.port) for one in await resolve(context.host))
        except ClusterError as error:
            return Found(trouble=error.message, hint=error.hint)
    if ca_pem is None:
        return Found(servers)
    if not is_address(context.verified_name):
        return Found(await _answering(servers), Verification(ca_pem, context.verified_name, send_sni=True))
    return await _proven(context, servers, ca_pem)


async def _answering(servers: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    """Of several addresses those where somebody listens: HAProxy would try the others with every second request."""
    if len(servers) == 1:
        return servers
    facts = await asyncio.gather(*(gather.look_at(at, at.host, None) for at in servers))
    return tuple(at for at, fact in zip(servers, facts, strict=True) if not fact.trouble) or servers


async def _proven(context: Context, servers: tuple[Endpoint, ...], ca_pem: bytes) -> Found:
    """A server that is declared as an address: which name of its certificate stands for that (design 0001)."""
    facts = await asyncio.gather(*(gather.look_at(at, context.verified_name, ca_pem) for at in servers))
    upstream = UpstreamFacts(context.name, "", context.url, True, context.verified_name, ca_pem, tuple(facts))
    good = tuple(Endpoint(fact.address, fact.port) for fact in facts if not fact.trouble)
    if not good:
        return _failed(facts[0])
    name = verified_name(upstream)
    if name is None:
        return Found(
            trouble=f"the certificate of {context.url} carries no name kubernetes.default.svc, and HAProxy verifies no addresses",
            hint="set tls-server-name to a DNS name of its certificate (kubectl config set-cluster NAME --tls-server-name=...)",
        )
    return Found(good, Verification(ca_pem, name, send_sni=False))


def _failed(fact: ServerFact) -> Found:
    return Found(trouble=fact.trouble, hint=fact.remedy)


def _unusable(problem: Problem) -> Found:
    return Found(trouble=f"{problem.where} {problem.message}", hint=problem.hint)
