"""`kubegate expose`: one cluster behind one listener, from flags to a gate that runs until it is told to stop."""

import asyncio
import contextlib
import os
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from kubegate.cluster.client import ApiClient, GrantedToken
from kubegate.errors import KubegateError
from kubegate.model.address import is_address
from kubegate.model.problem import InvalidInput, Problem
from kubegate.model.status import Remark, ServingCertificate, Status, UpstreamStatus
from kubegate.render import kubeconfig
from kubegate.render.kubeconfig import ClientAccess
from kubegate.runtime import advice, outfile
from kubegate.runtime.access import answer, client_access
from kubegate.runtime.dataplane import DataPlane
from kubegate.runtime.declare import Flags
from kubegate.runtime.findings import with_remedy
from kubegate.runtime.front import Front
from kubegate.runtime.news import News
from kubegate.runtime.prepare import Prepared, followed, plan_again, prepare
from kubegate.runtime.process import HAProxy, Say, retire
from kubegate.runtime.signals import Stop

DRAIN_SECONDS = 30.0
_RESOLVE_SECONDS = 30.0
_COLLECT_SECONDS = 2.0


class Exposure:
    """A gate that runs in front of one cluster. `open` it, `serve` until asked to stop; at the end of `async with` it is gone."""

    def __init__(
        self, prepared: Prepared, environ: Mapping[str, str], plane: DataPlane, haproxy: HAProxy, say: Say, status: Status
    ) -> None:
        self._prepared = prepared
        self._plane = plane
        self._haproxy = haproxy
        self._news = News(say)
        self._environ = environ
        self._refused: tuple[Problem, ...] = ()
        self._waiting = False
        self.status = status

    @classmethod
    async def open(cls, flags: Flags, environ: Mapping[str, str], say: Say) -> Self:
        """Prepare, start, prove that the gate answers, and only then write the client kubeconfig.

        Raises InvalidInput with every problem (nothing was started), or KubegateError (everything was stopped again).
        """
        prepared = await prepare(flags, environ)
        haproxy = HAProxy(prepared.binary, prepared.store, say)
        plane = DataPlane(prepared.binary, prepared.store, haproxy, say)
        try:
            return cls(prepared, environ, plane, haproxy, say, await _start(prepared, plane, say))
        except BaseException:
            await haproxy.stop(0)
            prepared.store.release()
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._haproxy.stop(0)
        self._prepared.store.release()

    async def serve(self, stop: Stop) -> bool:
        """Serve until asked to stop, then let open streams end; asked again, end them. True if all ended by themselves."""
        watch = asyncio.create_task(self._plane.keep_running(), name="keep HAProxy running")
        follow = asyncio.create_task(self._follow(), name="follow files and names")
        asked = asyncio.create_task(stop.asked.wait(), name="wait for a signal")
        try:
            await asyncio.wait({watch, follow, asked}, return_when=asyncio.FIRST_COMPLETED)
            for task in (watch, follow):
                if task.done():
                    task.result()
            return await self._drain(stop)
        finally:
            asked.cancel()
            follow.cancel()
            await self._haproxy.stop(0)
            await asyncio.wait({watch, follow, asked})

    async def _follow(self) -> None:
        """Keep to what the files say, and to the addresses to which the API server's name leads."""
        # It takes a while to load, and nothing waits for it here.
        from kubegate.runtime.following import Following, every

        following = Following(self._change)
        following.files.follow(followed(self._prepared))
        # Since they were read, they may have changed.
        following.mark()

        async def mark() -> None:
            following.mark()

        async def collect() -> None:
            await self._collect()
            with contextlib.suppress(OSError, TimeoutError):
                if self._waiting and not await self._plane.old_workers.must_wait():
                    following.mark()

        named = not is_address(self._prepared.context.host)
        work = [following.run(), every(_COLLECT_SECONDS, collect), *([every(_RESOLVE_SECONDS, mark)] if named else [])]
        await asyncio.gather(*work)

    async def _change(self) -> None:
        try:
            wanted = await plan_again(self._prepared, self._environ)
            outcome = await self._plane.apply(lambda _: wanted)
        except InvalidInput as error:
            self._refuse(tuple(with_remedy(problem) for problem in error.problems))
            return
        except (KubegateError, OSError, TimeoutError) as error:
            self._refuse((Problem("", "expose.refused", str(error) or type(error).__name__),))
            return
        self._refused = ()
        self._waiting = outcome.waiting
        if outcome.changes:
            self._news.changed(outcome, self._plane.generation)

    def _refuse(self, problems: tuple[Problem, ...]) -> None:
        if problems != self._refused:
            self._news.refused(problems)
        self._refused = problems

    async def _collect(self) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            await self._plane.collect()

    async def _drain(self, stop: Stop) -> bool:
        streams = await self._haproxy.open_streams()
        if streams:
            self._news.say(f"stopping: {streams} open, waiting at most {DRAIN_SECONDS:.0f} s for them; Ctrl-C again ends at once")
        return await stop.unless_again(self._haproxy.stop(DRAIN_SECONDS))


async def _start(prepared: Prepared, plane: DataPlane, say: Say) -> Status:
    token = await _token(prepared)
    access = client_access(prepared, token)
    store = prepared.store
    store.clear()
    await plane.start(prepared.plan)
    # Both listen for a moment, so that no client finds the port closed.
    if left := store.take_over():
        say(f"taking over from HAProxy {left.pid}, which an earlier kubegate left running")
        await retire(left, prepared.listen.port)
    version = await answer(prepared, access)
    if prepared.out_target is not None:
        outfile.write(prepared.out_target, kubeconfig.render(access))
    return _status(prepared, access, token, version)


async def _token(prepared: Prepared) -> GrantedToken | None:
    account = prepared.declared.account
    if account is None:
        return None
    async with ApiClient(prepared.context, prepared.login, ca_pem=prepared.upstream.ca_pem) as client:
        return await client.request_token(account.namespace, account.name, account.seconds)


def _status(prepared: Prepared, access: ClientAccess, token: GrantedToken | None, version: str | None) -> Status:
    backend = prepared.plan.backends[0]
    account = prepared.declared.account
    return Status(
        url=access.url,
        listen=str(prepared.listen),
        mode=prepared.declared.cluster.mode,
        reach=prepared.reach,
        upstream=UpstreamStatus(
            context=prepared.context.name,
            url=prepared.context.url,
            servers=tuple(str(server) for server in backend.servers),
            verified_name=backend.verification.name if backend.verification else None,
            version=version,
        ),
        certificate=_serving(prepared.front) if prepared.front else None,
        kubeconfig=str(prepared.out.absolute()) if prepared.out else None,
        account=str(account) if account else None,
        token_expires=token.expires if token else None,
        warnings=tuple(_remark(problem) for problem in prepared.warnings),
        notes=tuple(advice.notes(prepared)),
        attempts=tuple(advice.attempts(prepared, access)),
        haproxy=str(prepared.binary),
        pid=os.getpid(),
    )


def _serving(front: Front) -> ServingCertificate:
    certificate = front.certificate
    return ServingCertificate(
        names=certificate.names,
        sha256=certificate.sha256,
        not_after=certificate.not_after,
        self_signed=certificate.self_signed,
        newly_made=front.newly_made,
    )


def _remark(problem: Problem) -> Remark:
    return Remark(code=problem.code, message=problem.message, hint=problem.hint)
