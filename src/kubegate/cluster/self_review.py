"""Who the API server says that somebody is: SelfSubjectReview (authentication.k8s.io/v1, KEP-3325)."""

from dataclasses import dataclass, field

from kubegate.cluster.client import ApiClient
from kubegate.cluster.errors import Refused, Unreachable
from kubegate.model.names import printable

_PATH = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_MOST_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Identity:
    """A user as the API server knows them. Text is as it came."""

    username: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = field(default_factory=dict)


async def who_am_i(client: ApiClient) -> Identity:
    """Ask. Raises Refused, also where there is no such question (before Kubernetes 1.28), or another ClusterError."""
    answer = await client.call("POST", _PATH, {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
    if answer.status not in (200, 201):
        said = printable(answer.text("message"))[:_MOST_SHOWN] or f"HTTP status {answer.status}"
        hints = {
            401: "log in again: the credential is not accepted, or does not arrive",
            403: "everybody who logged in may ask this (system:basic-user): the credential did not arrive, or that role is gone",
            404: "the API server is older than 1.28, or it is none",
        }
        message = f"the API server does not say who this is: {said}"
        raise Refused(message, hints.get(answer.status, ""), status=answer.status, reason=answer.text("reason"))
    status = answer.body.get("status")
    info = status.get("userInfo") if isinstance(status, dict) else None
    if not isinstance(info, dict) or not isinstance(info.get("username"), str):
        raise Unreachable("the answer names no user", "is it an API server?")
    extra = info.get("extra")
    return Identity(
        username=info["username"],
        uid=str(info.get("uid") or ""),
        groups=_texts(info.get("groups")),
        extra={str(key): _texts(value) for key, value in extra.items()} if isinstance(extra, dict) else {},
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()
