"""A CertificateSigningRequest of `certificates.k8s.io/v1` as it came from the API server, and where it stands."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from kubegate.errors import KubegateError

GROUP = "/apis/certificates.k8s.io/v1/certificatesigningrequests"


class State(StrEnum):
    """Where a request stands, in kubectl's words."""

    PENDING = "Pending"
    APPROVED = "Approved"
    DENIED = "Denied"
    FAILED = "Failed"
    ISSUED = "Issued"


class NotACsr(KubegateError):
    """The API server gave something that is no CertificateSigningRequest."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One entry of `status.conditions`."""

    type: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Csr:
    """One object. `user`, `user_uid` and `groups` say who made it, which the API server has filled in; texts are not escaped.

    `seconds` is the lifetime asked for, None where none is; `request` and `certificate` are PEM.
    """

    name: str
    uid: str
    version: str
    created: datetime
    signer: str
    user: str
    user_uid: str
    groups: tuple[str, ...]
    extra: Mapping[str, tuple[str, ...]]
    usages: frozenset[str]
    seconds: int | None
    request: bytes = field(repr=False)
    conditions: tuple[Condition, ...]
    certificate: bytes = field(repr=False)

    @property
    def state(self) -> State:
        """What counts of its conditions: a refusal before an approval, and an approval that was carried out."""
        types = {one.type for one in self.conditions}
        if "Denied" in types:
            return State.DENIED
        if "Failed" in types:
            return State.FAILED
        if "Approved" in types:
            return State.ISSUED if self.certificate else State.APPROVED
        return State.PENDING

    def condition(self, kind: str) -> Condition | None:
        """The condition of this type."""
        return next((one for one in self.conditions if one.type == kind), None)


def read_csr(found: Mapping[str, Any]) -> Csr:
    """One object of JSON. Raises NotACsr."""
    try:
        metadata, spec, status = found["metadata"], found["spec"], found.get("status") or {}
        return Csr(
            name=str(metadata["name"]),
            uid=str(metadata["uid"]),
            version=str(metadata["resourceVersion"]),
            created=datetime.fromisoformat(metadata["creationTimestamp"]),
            signer=str(spec["signerName"]),
            user=str(spec.get("username") or ""),
            user_uid=str(spec.get("uid") or ""),
            groups=tuple(map(str, spec.get("groups") or ())),
            extra={str(key): tuple(map(str, values)) for key, values in (spec.get("extra") or {}).items()},
            usages=frozenset(map(str, spec.get("usages") or ())),
            seconds=spec.get("expirationSeconds"),
            request=base64.b64decode(spec["request"], validate=True),
            conditions=tuple(_condition(one) for one in status.get("conditions") or ()),
            certificate=base64.b64decode(status.get("certificate") or "", validate=True),
        )
    except (KeyError, TypeError, AttributeError, ValueError, binascii.Error) as error:
        raise NotACsr(f"the API server gave a CertificateSigningRequest that cannot be read ({type(error).__name__})") from None


def _condition(found: Mapping[str, Any]) -> Condition:
    return Condition(str(found["type"]), str(found.get("reason") or ""), str(found.get("message") or ""))


def decided(found: Mapping[str, Any], kind: State, reason: str, message: str) -> dict[str, Any]:
    """The object with a decision (Approved or Denied) added, for `PUT .../approval`; its resourceVersion stays in it."""
    status = dict(found.get("status") or {})
    condition = {"type": kind.value, "status": "True", "reason": reason, "message": message}
    status["conditions"] = [*(status.get("conditions") or ()), condition]
    return {**found, "status": status}
