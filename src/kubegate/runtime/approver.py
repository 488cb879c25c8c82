"""The approver: requests of nodes are decided as they come, by the policy and what is known of the cluster.

Whatever a decision rests on is stored before it; so a kill at any moment loses nothing, and approves nothing twice.
"""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from cryptography import x509

from kubegate.bootstrap.csr import GROUP, Csr, NotACsr, State, decided, read_csr
from kubegate.bootstrap.holders import Holders, holders
from kubegate.bootstrap.policy import Decision, Facts, Policy, Record, Verdict, decide
from kubegate.bootstrap.signers import KUBELET_CLIENT, KUBELET_SERVING, node_name
from kubegate.bootstrap.signing_request import NotOneRequest, read_request
from kubegate.cluster.client import ApiClient
from kubegate.cluster.endpoint_slices import api_servers
from kubegate.cluster.errors import ClusterError, Refused
from kubegate.cluster.followed import Followed
from kubegate.cluster.resources import Json, create, get
from kubegate.cluster.resources import replace as put
from kubegate.errors import KubegateError
from kubegate.model.names import printable
from kubegate.runtime.approver_records import Records, remembered

SIGNERS = (KUBELET_CLIENT, KUBELET_SERVING)
# A certificate of which no end is known counts for as long as controller-manager's are by default.
_UNKNOWN_END = timedelta(days=366)
_RESOLVE_SECONDS = 3.0
_AGAIN_SECONDS = (1.0, 3.0, 10.0, 30.0, 60.0)
_CONFLICT, _MISSING = 409, 404
_SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"

Inventory = Callable[[], Mapping[str, frozenset[str]]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was decided about a request, for those who tell it on."""

    csr: Csr
    decision: Decision
    dry: bool


class Approver:
    """Decides while `lead` runs. `inventory` is asked each time; `told` is called with each new outcome."""

    def __init__(
        self,
        client: ApiClient,
        namespace: str,
        policy: Policy,
        *,
        inventory: Inventory = dict,
        dry: bool = False,
        say: Callable[[str], None],
        told: Callable[[Outcome], None] = lambda _: None,
    ) -> None:
        self._client = client
        self._policy = policy
        self._inventory = inventory
        self._dry = dry
        self._say = say
        self._told = told
        self._records = Records(client, namespace)
        self._due: dict[str, float] = {}
        self._tries: Counter[str] = Counter()
        self._woken = asyncio.Event()
        self._seen: dict[str, str] = {}
        self._learnt: set[str] = set()
        # Somebody else may have written records.
        self._doubtful = False
        self._holders: Holders | None = None
        self._csrs = [self._follow(GROUP, self._wake, fieldSelector=f"spec.signerName={signer}") for signer in SIGNERS]
        self._nodes = self._follow("/api/v1/nodes", self._stale, keep=_brief_node, limit=20)
        self._services = self._follow("/api/v1/services", self._stale, keep=_brief_service)
        self._slices = self._follow(_SLICES, self._stale, labelSelector="kubernetes.io/service-name=kubernetes")

    @property
    def pending(self) -> int:
        """How many requests wait for somebody."""
        return sum(not (one.get("status") or {}).get("conditions") for kind in self._csrs for one in kind.objects.values())

    async def lead(self) -> None:
        """Decide until cancelled. Raises BadRecord or a ClusterError if the records cannot be read."""
        await self._records.load()
        everything = [*self._csrs, self._nodes, self._services, self._slices]
        async with asyncio.TaskGroup() as group:
            for one in everything:
                group.create_task(one.run(), name="following the API server")
            group.create_task(self._work(everything), name="deciding")

    async def _work(self, everything: list[Followed]) -> None:
        for one in everything:
            await one.ready.wait()
        while True:
            name = await self._next()
            try:
                await self._settle(name)
                self._tries.pop(name, None)
            except (ClusterError, NotACsr) as error:
                # A conflict is news that has not come yet, and everything else may be better in a moment: never a denial.
                self._doubtful = isinstance(error, Refused) and error.status == _CONFLICT
                if not self._doubtful:
                    self._say(f"{printable(name)} is tried again: {error}")
                self._again(name)

    async def _next(self) -> str:
        """The next request that is due."""
        loop = asyncio.get_running_loop()
        while True:
            self._woken.clear()
            name = min(self._due, key=lambda one: self._due[one], default="")
            if name and self._due[name] <= loop.time():
                del self._due[name]
                return name
            seconds = self._due[name] - loop.time() if name else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._woken.wait()

    def _wake(self, name: str) -> None:
        if not name:
            self._forget()
        names = [name] if name else [one for kind in self._csrs for one in kind.objects]
        for one in names:
            self._due[one] = 0.0
        self._woken.set()

    def _forget(self) -> None:
        """Requests that are gone, after each list: there will be many."""
        there = {str(one["metadata"]["uid"]) for kind in self._csrs for one in kind.objects.values()}
        names = {name for kind in self._csrs for name in kind.objects}
        self._seen = {uid: reason for uid, reason in self._seen.items() if uid in there}
        self._learnt = {mark for mark in self._learnt if mark.partition(" ")[0] in there}
        self._tries = Counter({name: count for name, count in self._tries.items() if name in names})

    def _again(self, name: str) -> None:
        self._tries[name] += 1
        pause = _AGAIN_SECONDS[min(self._tries[name], len(_AGAIN_SECONDS)) - 1]
        self._due.setdefault(name, asyncio.get_running_loop().time() + pause)

    def _stale(self, _: str) -> None:
        """Nodes or Services changed: what waits for them is looked at again."""
        self._holders = None
        for kind in self._csrs:
            for name, one in kind.objects.items():
                if not (one.get("status") or {}).get("conditions"):
                    self._due.setdefault(name, 0.0)
        self._woken.set()

    async def _settle(self, name: str) -> None:
        found = next((kind.objects[name] for kind in self._csrs if name in kind.objects), None)
        if found is None:
            return
        csr = read_csr(found)
        if self._doubtful:
            await self._records.load()
            self._doubtful = False
        if csr.state is not State.PENDING:
            await self._learn(csr)
            return
        decision = await self._decision(csr)
        if decision is None:
            return
        if decision.verdict is Verdict.AGAIN:
            self._again(name)
        if not self._dry:
            await self._carry_out(found, csr, decision)
        self._tell(csr, decision)

    async def _decision(self, csr: Csr) -> Decision | None:
        facts = replace(self._facts(), resolved=await self._resolved(csr))
        decision = decide(csr, self._policy, facts)
        if decision and decision.reason == "NewNode" and await self._exists(decision.node):
            # The watch has not told of it yet.
            known = replace(facts.holders, nodes=facts.holders.nodes | {decision.node})
            return decide(csr, self._policy, replace(facts, holders=known))
        return decision

    async def _resolved(self, csr: Csr) -> Mapping[str, frozenset[str] | None]:
        """Where the DNS names of a serving certificate lead; None where no name server answered."""
        if not self._policy.resolve or csr.signer != KUBELET_SERVING:
            return {}
        try:
            names = read_request(csr.request).dns_names
        except NotOneRequest:
            return {}
        found = await asyncio.gather(*map(_addresses, names))
        return dict(zip(names, found, strict=True))

    async def _exists(self, node: str) -> bool:
        try:
            await get(self._client, f"/api/v1/nodes/{quote(node, safe='')}")
        except Refused as error:
            if error.status != _MISSING:
                raise
            return False
        return True

    async def _carry_out(self, found: Json, csr: Csr, decision: Decision) -> None:
        if decision.verdict is Verdict.APPROVE:
            await self._remember(csr, decision)
        if decision.verdict in (Verdict.APPROVE, Verdict.DENY):
            kind = State.APPROVED if decision.verdict is Verdict.APPROVE else State.DENIED
            body = decided(found, kind, f"Kubegate{decision.reason}", printable(decision.message))
            await put(self._client, f"{GROUP}/{quote(csr.name, safe='')}/approval", body)
        elif self._seen.get(csr.uid) != decision.reason:
            await self._event(csr, decision)

    async def _remember(self, csr: Csr, decision: Decision) -> None:
        record = self._records.of.get(decision.node, Record())
        if csr.signer == KUBELET_CLIENT:
            record = replace(remembered(record, key=decision.key, until=_end(csr)), request=csr.uid)
        else:
            record = remembered(record, key=decision.key)
        await self._records.save(decision.node, record)

    async def _learn(self, csr: Csr) -> None:
        """What became of a request, whoever decided: whom a certificate that is valid names, and what a person confirmed."""
        mark = f"{csr.uid} {csr.state}"
        if mark in self._learnt or csr.state not in (State.APPROVED, State.ISSUED) or self._dry:
            return
        try:
            request = read_request(csr.request)
        except NotOneRequest:
            request = None
        name = node_name(request.common_name) if request else ""
        if request and name:
            record = remembered(self._records.of.get(name, Record()), key=request.key_sha256)
            if csr.signer == KUBELET_CLIENT:
                record = remembered(record, until=_end(csr))
            elif csr.user == request.common_name and not _ours(csr):
                record = remembered(record, confirmed=request.names)
            await self._records.save(name, record)
        self._learnt.add(mark)

    async def _event(self, csr: Csr, decision: Decision) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        about = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "name": csr.name, "uid": csr.uid}
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            # Of what has no namespace events stand in `default`.
            "metadata": {"generateName": "kubegate-approver-", "namespace": "default"},
            "involvedObject": about,
            "type": "Warning",
            "reason": decision.reason,
            "message": printable(f"{decision.message}; a person allows it by: kubegate csr approve {csr.name}"),
            "source": {"component": "kubegate-approver"},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            await create(self._client, "/api/v1/namespaces/default/events", body)
        except KubegateError as error:
            self._say(f"an event about {printable(csr.name)} cannot be made: {error}")

    def _tell(self, csr: Csr, decision: Decision) -> None:
        if self._seen.get(csr.uid) == decision.reason:
            return
        self._seen[csr.uid] = decision.reason
        self._told(Outcome(csr, decision, self._dry))

    def _facts(self) -> Facts:
        if self._holders is None:
            found = api_servers({"items": list(self._slices.objects.values())})
            servers = [one.host for one in found]
            self._holders = holders(self._nodes.objects.values(), self._services.objects.values(), servers)
        return Facts(datetime.now(UTC), self._holders, self._records.of, self._inventory(), self._records.keys())

    def _follow(self, path: str, changed: Callable[[str], None], **more: Any) -> Followed:
        return Followed(self._client, path, changed=changed, say=self._say, **more)


async def _addresses(name: str) -> frozenset[str] | None:
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return frozenset() if error.errno in (socket.EAI_NONAME, socket.EAI_NODATA) else None
    except (OSError, UnicodeError):
        return None
    return frozenset(str(one[4][0]) for one in found)


def _end(csr: Csr) -> datetime:
    """Until when a client certificate is valid at most: its own end, once it is there."""
    if csr.certificate:
        with contextlib.suppress(ValueError):
            return x509.load_pem_x509_certificate(csr.certificate).not_valid_after_utc
    return datetime.now(UTC) + (timedelta(seconds=csr.seconds) if csr.seconds else _UNKNOWN_END)


def _ours(csr: Csr) -> bool:
    approval = csr.condition("Approved")
    return approval is not None and approval.reason.startswith("KubegateNames")


def _brief_node(found: Json) -> Json:
    return {
        "metadata": {"name": found["metadata"]["name"]},
        "status": {"addresses": (found.get("status") or {}).get("addresses")},
    }


def _brief_service(found: Json) -> Json:
    metadata, spec = found["metadata"], found.get("spec") or {}
    return {
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
        "spec": {key: spec.get(key) for key in ("clusterIPs", "externalIPs")},
        "status": {"loadBalancer": (found.get("status") or {}).get("loadBalancer")},
    }
