"""Bootstrap tokens: Secrets of type `bootstrap.kubernetes.io/token` in kube-system (KEP-130), made and read."""

import base64
import binascii
import re
import secrets
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from kubegate.model.names import printable
from kubegate.model.problem import Problem

NAMESPACE = "kube-system"
TYPE = "bootstrap.kubernetes.io/token"
PREFIX = "bootstrap-token-"
GROUP_PREFIX = "system:bootstrappers:"
AUTHENTICATION, SIGNING = "authentication", "signing"
USAGES = (AUTHENTICATION, SIGNING)

_LETTERS = string.ascii_lowercase + string.digits
_ID, _SECRET = re.compile(r"[a-z0-9]{6}"), re.compile(r"[a-z0-9]{16}")
# What the API server accepts as a group (bootstraputil.ValidateBootstrapGroupName).
_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class BootstrapToken:
    """A token as its Secret says. `faults` say why the API server takes it for none, or less than it seems.

    `expires` is None for one that never does.
    """

    id: str
    secret: str = field(repr=False)
    expires: datetime | None
    usages: tuple[str, ...]
    groups: tuple[str, ...]
    description: str
    uid: str = ""
    faults: tuple[str, ...] = ()

    @property
    def whole(self) -> str:
        """What a client sends; it is the secret."""
        return f"{self.id}.{self.secret}"

    def expired(self, now: datetime) -> bool:
        """Whether the API server refuses it by now."""
        return self.expires is not None and self.expires <= now


def new_token(
    lifetime: timedelta, usages: Sequence[str], groups: Sequence[str], description: str, now: datetime
) -> BootstrapToken:
    """A token of this moment: six and sixteen characters of the system's generator, 83 bits of them secret."""
    token_id, secret = ("".join(secrets.choice(_LETTERS) for _ in range(count)) for count in (6, 16))
    expires = (now + lifetime).astimezone(UTC).replace(microsecond=0)
    return BootstrapToken(token_id, secret, expires, tuple(usages), tuple(groups), description)


def token_problems(usages: Sequence[str], groups: Sequence[str], description: str) -> list[Problem]:
    """What would make a new token useless, or refused."""
    problems = []
    for one in groups:
        if not _GROUP.fullmatch(one):
            message = f"{printable(one)!r} is no group of bootstrap tokens, and the API server would refuse every token with it"
            problems.append(
                Problem("--group", "token.group", message, f"begin it with {GROUP_PREFIX}, as in {GROUP_PREFIX}workers")
            )
    if groups and AUTHENTICATION not in usages:
        message = "is given for a token that authenticates nobody"
        problems.append(Problem("--group", "token.usage", message, f"add --usage {AUTHENTICATION}"))
    if not description.isprintable():
        problems.append(Problem("--description", "token.description", "has characters that cannot be seen", "write plain text"))
    return problems


def secret_of(token: BootstrapToken) -> dict[str, Any]:
    """The Secret to create."""
    data = {"token-id": token.id, "token-secret": token.secret}
    if token.expires:
        data["expiration"] = token.expires.strftime("%Y-%m-%dT%H:%M:%SZ")
    data |= {f"usage-bootstrap-{usage}": "true" for usage in token.usages}
    if token.groups:
        data["auth-extra-groups"] = ",".join(token.groups)
    if token.description:
        data["description"] = token.description
    metadata = {"name": f"{PREFIX}{token.id}", "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": TYPE, "stringData": data}


def read_secret(found: Mapping[str, Any]) -> BootstrapToken:
    """A token out of its Secret, whatever is wrong with it."""
    data, faults = _data(found), list[str]()
    name = str((found.get("metadata") or {}).get("name") or "")
    token_id, secret = data.get("token-id", ""), data.get("token-secret", "")
    if not _ID.fullmatch(token_id) or not _SECRET.fullmatch(secret):
        faults.append("its id or secret is missing or has another form than six and sixteen of a-z0-9")
    elif name != f"{PREFIX}{token_id}":
        faults.append(f"its name is not {PREFIX}{token_id}")
    usages = tuple(usage for usage in USAGES if data.get(f"usage-bootstrap-{usage}") == "true")
    if not usages:
        faults.append('none of its usages is "true"')
    groups = tuple(one for one in data.get("auth-extra-groups", "").split(",") if one)
    faults += [f"its group {printable(one)} makes it refused" for one in groups if not _GROUP.fullmatch(one)]
    if (found.get("metadata") or {}).get("deletionTimestamp"):
        faults.append("it is being deleted")
    return BootstrapToken(
        id=token_id or name.removeprefix(PREFIX),
        secret=secret,
        expires=_expiry(data.get("expiration", ""), faults),
        usages=usages,
        groups=groups,
        description=data.get("description", ""),
        uid=str((found.get("metadata") or {}).get("uid") or ""),
        faults=tuple(faults),
    )


def _expiry(text: str, faults: list[str]) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            raise ValueError
    except ValueError:
        faults.append("its expiration is no time (RFC 3339), which counts as expired")
        return datetime.fromtimestamp(0, UTC)
    return found


def _data(found: Mapping[str, Any]) -> dict[str, str]:
    texts = {}
    for key, value in (found.get("data") or {}).items():
        try:
            texts[str(key)] = base64.b64decode(value, validate=True).decode()
        except (TypeError, ValueError, binascii.Error):
            texts[str(key)] = ""
    return texts
