"""`kubegate approver`: of many replicas one decides; it watches that nobody else decides before, and tells what it does."""

import asyncio
import os
import secrets
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import re2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from kubegate.bootstrap.policy import Policy
from kubegate.cluster.client import ApiClient
from kubegate.cluster.errors import ClusterError
from kubegate.cluster.kubeconfig import load
from kubegate.cluster.lease import Election
from kubegate.cluster.login import log_in
from kubegate.cluster.resources import create
from kubegate.errors import KubegateError
from kubegate.model.approver_config import ApproverConfig
from kubegate.model.names import printable
from kubegate.runtime.approver import Approver, Outcome
from kubegate.runtime.approver_file import Inventory
from kubegate.system import listeners
from kubegate.system.http_service import serving

_LEASE = "kubegate-approver"
_BYPASS_SECONDS = 60.0
_LOGIN_SECONDS = 60.0
_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_END = (
    "end it: delete the ClusterRoleBinding of that group to the ClusterRole "
    "system:certificates.k8s.io:certificatesigningrequests:nodeclient"
)
_EVERY_TOKEN = "system:bootstrappers"  # noqa: S105 - the group that every bootstrap token is in


class State:
    """What an approver is and has done, for those who ask. `bypassed` are groups that the built-in approver serves first."""

    def __init__(self, identity: str, inventory: Inventory) -> None:
        self.identity = identity
        self.bypassed: tuple[str, ...] = ()
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self.election: Election | None = None
        self.approver: Approver | None = None
        self._inventory = inventory

    @property
    def leading(self) -> bool:
        """Whether this one decides now."""
        return self.election is not None and self.election.leading

    @property
    def pending(self) -> int:
        """How many requests wait for somebody; only the one that decides knows."""
        return self.approver.pending if self.approver is not None and self.leading else 0

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        decided = [
            {"signer": signer, "verdict": verdict, "reason": reason, "count": count}
            for (signer, verdict, reason), count in sorted(self.counts.items())
        ]
        holder = self.election.holder if self.election is not None else ""
        facts = {"identity": self.identity, "leading": self.leading, "holder": holder, "pending": self.pending}
        return facts | {"bypassedBy": list(self.bypassed), "inventory": self._inventory.trouble, "decided": decided}

    def metrics(self) -> Iterator[str]:
        """Lines of Prometheus' text format."""
        gauges = {
            "leading": int(self.leading),
            "pending": self.pending,
            "bypassed": len(self.bypassed),
            "inventory_refused": int(bool(self._inventory.trouble)),
        }
        for name, value in gauges.items():
            yield f"# TYPE kubegate_approver_{name} gauge"
            yield f"kubegate_approver_{name} {value}"
        yield "# TYPE kubegate_approver_decisions_total counter"
        for (signer, verdict, reason), count in sorted(self.counts.items()):
            yield f'kubegate_approver_decisions_total{{signer="{signer}",verdict="{verdict}",reason="{reason}"}} {count}'


async def run(
    config: ApproverConfig,
    kubeconfig: Path | None,
    context: str | None,
    environ: Mapping[str, str],
    *,
    say: Callable[[str], None],
    told: Callable[[Outcome], None],
) -> None:
    """Decide, or wait for the one that does, until cancelled. Raises InvalidInput before anything begins, or KubegateError."""
    inventory = Inventory(config.inventory, say)
    inventory.load()
    found = load(kubeconfig, context, environ)
    state = State(f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}", inventory)
    async with ApiClient(found, await log_in(found, environ)) as client, _served(config, state):
        state.election = election = Election(client, config.namespace, _LEASE, state.identity, say=say)

        async def lead() -> None:
            approver = Approver(
                client, config.namespace, policy(config), inventory=inventory, dry=config.dry_run, say=say, told=counted
            )
            state.approver = approver
            try:
                await approver.lead()
            except* ClusterError as errors:
                # Whoever leads next, perhaps this one, reads everything again.
                say(f"the lead is given back: {_first(errors)}")

        def counted(outcome: Outcome) -> None:
            state.counts[outcome.csr.signer, outcome.decision.verdict.value, outcome.decision.reason] += 1
            told(outcome)

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(election.run(lead), name="contending")
                group.create_task(_watch_bypass(client, config.groups, state, say), name="looking for other approvers")
                group.create_task(_stay_logged_in(client, kubeconfig, context, environ, say), name="staying logged in")
        except BaseExceptionGroup as errors:
            raise _first(errors) from None


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def policy(config: ApproverConfig) -> Policy:
    """The rules of a declaration."""
    longest = config.max_days * 86400 if config.max_days is not None else None
    return Policy(frozenset(config.groups), [re2.compile(one) for one in config.names], longest, config.resolve)


@asynccontextmanager
async def _served(config: ApproverConfig, state: State) -> AsyncIterator[None]:
    """Metrics and status, where an address was declared. Raises KubegateError if it cannot be had."""
    if config.metrics is None:
        yield
        return

    async def metrics(_: Request) -> Response:
        return PlainTextResponse("\n".join(state.metrics()) + "\n", media_type="text/plain; version=0.0.4")

    async def status(_: Request) -> Response:
        return JSONResponse(state.facts())

    try:
        listening = listeners.tcp(config.metrics.host, config.metrics.port)
    except OSError as error:
        raise KubegateError(f"{config.metrics} cannot be listened on: {error.strerror or error}", "choose another one") from None
    application = Starlette(routes=[Route("/metrics", metrics), Route("/status", status)])
    try:
        async with serving(application, listening.socket, "telling metrics"):
            yield
    finally:
        listening.close()


async def _watch_bypass(client: ApiClient, groups: Sequence[str], state: State, say: Callable[[str], None]) -> None:
    """Ask now and every minute whether the approver that Kubernetes brings along decides before this one."""
    while True:
        try:
            found = [one for one in dict.fromkeys((*groups, _EVERY_TOKEN)) if await _approved_by_kubernetes(client, one)]
            if tuple(found) != state.bypassed:
                for group in found:
                    who = f"kube-controller-manager approves requests of {printable(group)}"
                    say(f"warning: {who} before this policy is asked; {_END}")
                if not found:
                    say("no bootstrap group is approved by kube-controller-manager any more")
            state.bypassed = tuple(found)
        except ClusterError as error:
            say(f"whether another approver decides first could not be asked: {error}")
        await asyncio.sleep(_BYPASS_SECONDS)


async def _approved_by_kubernetes(client: ApiClient, group: str) -> bool:
    attributes = {"group": "certificates.k8s.io", "resource": "certificatesigningrequests", "subresource": "nodeclient"}
    spec = {"groups": [group], "resourceAttributes": attributes | {"verb": "create"}}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    answer = await create(client, _REVIEWS, body)
    return (answer.get("status") or {}).get("allowed") is True


async def _stay_logged_in(
    client: ApiClient, kubeconfig: Path | None, context: str | None, environ: Mapping[str, str], say: Callable[[str], None]
) -> None:
    """Take a token that was renewed, as a pod's is each hour."""
    while True:
        await asyncio.sleep(_LOGIN_SECONDS)
        try:
            client.renew(await log_in(load(kubeconfig, context, environ), environ))
        except KubegateError as error:
            say(f"the credential cannot be renewed, and the one before goes on: {error}")
