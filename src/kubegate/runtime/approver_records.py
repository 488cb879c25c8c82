"""What an approver remembers of nodes: ConfigMaps in its own namespace, where no node can write (KEP-279 keeps nodes out)."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace as with_changes
from datetime import datetime
from urllib.parse import quote

from kubegate.bootstrap.policy import Record
from kubegate.cluster.client import ApiClient
from kubegate.cluster.resources import Json, create, list_all, replace
from kubegate.errors import KubegateError
from kubegate.model.names import printable

LABEL = "kubegate.dev/approver-record"
_KEY = "record"


class BadRecord(KubegateError):
    """A record cannot be read, so nothing can be decided: somebody changed it by hand."""


class Records:
    """All records by node. What is saved is there before anything that rests on it is done."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self.of: dict[str, Record] = {}
        self._client = client
        self._namespace = namespace
        self._path = f"/api/v1/namespaces/{quote(namespace, safe='')}/configmaps"
        self._objects: dict[str, Json] = {}

    async def load(self) -> None:
        """Read all that there are. Raises BadRecord or a ClusterError."""
        found = await list_all(self._client, self._path, labelSelector=f"{LABEL}=true")
        read = dict(map(_read, found))
        self.of = read
        self._objects = {node: one for one in found for node in (_node(one),)}

    def keys(self) -> Mapping[str, str]:
        """Which node each known public key belongs to."""
        return {key: node for node, record in self.of.items() for key in record.keys}

    async def save(self, node: str, record: Record) -> None:
        """Write a node's record, if it is another one. Raises Refused, with 409 where somebody else wrote it meanwhile."""
        if self.of.get(node) == record:
            return
        old = self._objects.get(node)
        body = _body(node, record, self._namespace, old)
        if old is None:
            made = await create(self._client, self._path, body)
        else:
            made = await replace(self._client, f"{self._path}/{_name(node)}", body)
        self._objects[node] = made
        self.of[node] = record


def remembered(record: Record, *, key: str = "", confirmed: Iterable[str] = (), until: datetime | None = None) -> Record:
    """A record with more in it; a client certificate that is valid for longer counts."""
    later = max((one for one in (record.client_until, until) if one), default=None)
    return with_changes(
        record,
        keys=record.keys | ({key} if key else set()),
        confirmed=record.confirmed | frozenset(confirmed),
        client_until=later,
    )


def _name(node: str) -> str:
    return f"node-{hashlib.sha256(node.encode()).hexdigest()[:40]}"


def _body(node: str, record: Record, namespace: str, old: Json | None) -> Json:
    facts = {
        "node": node,
        "confirmed": sorted(record.confirmed),
        "keys": sorted(record.keys),
        "clientUntil": record.client_until.isoformat() if record.client_until else None,
        "request": record.request,
    }
    metadata = old["metadata"] if old else {"name": _name(node), "namespace": namespace, "labels": {LABEL: "true"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {_KEY: json.dumps(facts, indent=1)}}


def _facts(found: Json) -> Json:
    try:
        facts = json.loads(found["data"][_KEY])
        if isinstance(facts, dict) and isinstance(facts["node"], str) and found["metadata"]["name"] == _name(facts["node"]):
            return facts
    except (KeyError, TypeError, ValueError):
        pass
    name = printable(str((found.get("metadata") or {}).get("name")))
    raise BadRecord(
        f"the ConfigMap {name} is no record that the approver wrote", "restore it, or delete it: then its node is new"
    )


def _node(found: Json) -> str:
    return str(_facts(found)["node"])


def _read(found: Json) -> tuple[str, Record]:
    facts = _facts(found)
    try:
        until = datetime.fromisoformat(facts["clientUntil"]) if facts.get("clientUntil") else None
        record = Record(frozenset(facts["confirmed"]), frozenset(facts["keys"]), until, str(facts["request"]))
    except (KeyError, TypeError, ValueError):
        raise BadRecord(f"the record of node {printable(facts['node'])} cannot be read", "restore it, or delete it") from None
    return facts["node"], record
