"""`kubegate expose`: one cluster behind one listener, from prepared facts to a gate that runs until it is told to stop."""

import asyncio
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pydantic import SecretStr

from kubegate.cluster.client import ApiClient, GrantedToken
from kubegate.cluster.errors import ClusterError
from kubegate.cluster.login import Login, log_in
from kubegate.cluster.server import Server
from kubegate.errors import KubegateError
from kubegate.model.address import Endpoint
from kubegate.model.problem import Problem
from kubegate.model.status import Remark, ServingCertificate, Status, UpstreamStatus
from kubegate.render import kubeconfig
from kubegate.render.haproxy import render
from kubegate.runtime import advice
from kubegate.runtime.declare import Flags
from kubegate.runtime.prepare import Prepared, client_names, dial_host, prepare
from kubegate.runtime.process import HAProxy, Say, end_leftover
from kubegate.system.files import write_atomically

DRAIN_SECONDS = 30.0
_ANSWER_SECONDS = 15.0
# What a gate that works may answer to a caller it does not know.
_ALIVE = (200, 401, 403)


class NoAnswer(KubegateError):
    """The gate runs, but no verified answer of the API server came through it."""


@dataclass(frozen=True, slots=True)
class Access:
    """How clients reach the gate, with the token that was granted for `--account` if one was."""

    config: kubeconfig.ClientAccess
    token: GrantedToken | None


class Exposure:
    """A gate in front of one cluster. Use `open`, then `serve`."""

    def __init__(self, prepared: Prepared, haproxy: HAProxy, say: Say) -> None:
        self._prepared = prepared
        self._haproxy = haproxy
        self._say = say
        self.status: Status | None = None

    @classmethod
    async def open(cls, flags: Flags, environ: Mapping[str, str], say: Say) -> "Exposure":
        """Prepare, start, prove that the gate answers, and only then write the client kubeconfig.

        Raises InvalidInput with every problem (nothing was started), or KubegateError (everything was stopped again).
        """
        prepared = await prepare(flags, environ)
        try:
            token = await _token(prepared, environ)
            exposure = cls(prepared, HAProxy(prepared.binary, prepared.store, say), say)
            await exposure._start(Access(_client_access(prepared, token), token), flags.out)
        except BaseException:
            prepared.store.release()
            raise
        return exposure

    async def _start(self, access: Access, out: Path | None) -> None:
        store = self._prepared.store
        await end_leftover(store, self._say)
        store.clear()
        store.switch(store.accept(render(self._prepared.plan), self._prepared.binary))
        try:
            await self._haproxy.start()
            version = await _answer(self._prepared, access)
            if out is not None:
                write_atomically(out.absolute(), kubeconfig.render(access.config).encode())
        except BaseException:
            await self._haproxy.stop(0)
            raise
        self.status = _status(self._prepared, access, out, version)

    async def serve(self) -> bool:
        """Serve until SIGTERM, SIGHUP or Ctrl-C, then drain; a second signal ends at once. True if every stream ended by itself."""
        asked, again = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, lambda: again.set() if asked.is_set() else asked.set())
        watch = asyncio.create_task(self._haproxy.keep_running(), name="keep HAProxy running")
        stop = asyncio.create_task(asked.wait(), name="wait for a signal")
        try:
            await asyncio.wait({watch, stop}, return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                watch.result()
            return await self._drain(again)
        finally:
            stop.cancel()
            await self._haproxy.stop(0)
            await asyncio.gather(watch, stop, return_exceptions=True)
            self._prepared.store.release()

    async def _drain(self, again: asyncio.Event) -> bool:
        streams = await self._haproxy.open_streams()
        if streams:
            self._say(f"stopping: {streams} open, waiting at most {DRAIN_SECONDS:.0f} s for them; Ctrl-C again ends at once")
        drain = asyncio.create_task(self._haproxy.stop(DRAIN_SECONDS), name="drain")
        hurry = asyncio.create_task(again.wait(), name="wait for a second signal")
        await asyncio.wait({drain, hurry}, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not drain.done():
            drain.cancel()
            await asyncio.gather(drain, return_exceptions=True)
            await self._haproxy.stop(0)
            return False
        return drain.result()


async def _token(prepared: Prepared, environ: Mapping[str, str]) -> GrantedToken | None:
    account = prepared.declared.account
    if account is None:
        return None
    login = await log_in(prepared.context, environ)
    async with ApiClient(prepared.context, login, ca_pem=prepared.upstream.ca_pem) as client:
        return await client.request_token(account.namespace, account.name, account.seconds)


def _client_access(prepared: Prepared, token: GrantedToken | None) -> kubeconfig.ClientAccess:
    host, tls_server_name = client_names(prepared)
    certificate = prepared.front.certificate if prepared.front else None
    own_ca = prepared.context.ca_pem
    return kubeconfig.ClientAccess(
        name=f"kubegate-{prepared.context.name}",
        url=f"https://{Endpoint(host, prepared.listen.port)}",
        ca_pem=certificate.client_ca_pem if certificate else own_ca,
        tls_server_name=tls_server_name,
        user=str(prepared.declared.account) if prepared.declared.account else None,
        token=SecretStr(token.token) if token else None,
    )


async def _answer(prepared: Prepared, access: Access) -> str | None:
    """Ask `/version` through the gate as a client would, verified by what the client is given. Returns the version if it is told."""
    deadline = asyncio.get_running_loop().time() + _ANSWER_SECONDS
    trouble = ""
    while asyncio.get_running_loop().time() < deadline:
        try:
            status, version = await _ask_version(prepared, access)
        except ClusterError as error:
            trouble = error.message
        else:
            if status in _ALIVE:
                return version
            trouble = f"it answered {status}"
        await asyncio.sleep(0.2)
    raise NoAnswer(
        f"the gate runs, but no valid answer of the API server came through it: {trouble}",
        "nothing was written and the gate was stopped; if the front certificate is your own, see that it names the gate (--host)",
    )


async def _ask_version(prepared: Prepared, access: Access) -> tuple[int, str | None]:
    host, tls_server_name = client_names(prepared)
    gate = replace(
        prepared.context,
        server=Server("https", Endpoint(dial_host(prepared.listen), prepared.listen.port)),
        ca_pem=access.config.ca_pem,
        tls_server_name=tls_server_name or host,
    )
    login = Login(authorization=f"Bearer {access.token.token}") if access.token else None
    async with ApiClient(gate, login) as client:
        return await client.version()


def _status(prepared: Prepared, access: Access, out: Path | None, version: str | None) -> Status:
    front = prepared.front
    backend = prepared.plan.frontends[0].backend
    return Status(
        url=access.config.url,
        listen=str(prepared.listen),
        mode=prepared.declared.config.cluster.mode,
        reach=prepared.reach,
        upstream=UpstreamStatus(
            context=prepared.context.name,
            url=prepared.context.url,
            servers=tuple(str(server) for server in backend.servers),
            verified_name=backend.verification.name if backend.verification else None,
            version=version,
        ),
        certificate=ServingCertificate(
            names=front.certificate.names,
            sha256=front.certificate.sha256,
            not_after=front.certificate.not_after,
            self_signed=front.certificate.self_signed,
            newly_made=front.newly_made,
        )
        if front
        else None,
        kubeconfig=str(out.absolute()) if out else None,
        account=str(prepared.declared.account) if prepared.declared.account else None,
        token_expires=_expires(access),
        warnings=tuple(_remark(problem) for problem in (*prepared.warnings, *(front.warnings if front else ()))),
        notes=tuple(advice.notes(prepared, out)),
        attempts=tuple(advice.attempts(prepared, access.config, out)),
        haproxy=str(prepared.binary),
        pid=os.getpid(),
    )


def _expires(access: Access) -> datetime | None:
    return access.token.expires if access.token else None


def _remark(problem: Problem) -> Remark:
    return Remark(code=problem.code, message=problem.message, hint=problem.hint)
