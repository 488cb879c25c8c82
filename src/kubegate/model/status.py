"""Status: what really runs, as facts for people and scripts."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from kubegate.model.config import Mode


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Remark(_Fact):
    """Something that is not secure, or not as a person may expect, and how to change it."""

    code: str
    message: str
    hint: str = ""


class Reach(_Fact):
    """One address on which the gate can be reached, and the interface that carries it."""

    interface: str
    address: str


class ServingCertificate(_Fact):
    """The certificate that the gate shows. `sha256` is its fingerprint; `newly_made`: clients do not know it yet."""

    names: tuple[str, ...]
    sha256: str
    not_after: datetime
    self_signed: bool
    newly_made: bool = False


class UpstreamStatus(_Fact):
    """The API server behind the gate. `verified_name` is None where verification is switched off."""

    context: str
    url: str
    servers: tuple[str, ...]
    verified_name: str | None
    version: str | None = None


class Attempt(_Fact):
    """A command to try, and what it shows."""

    shows: str
    command: str


class Status(_Fact):
    """One gate that runs. `kubeconfig` and `token_expires` are None where none was asked for."""

    url: str
    listen: str
    mode: Mode
    reach: tuple[Reach, ...]
    upstream: UpstreamStatus
    certificate: ServingCertificate | None
    kubeconfig: str | None
    account: str | None
    token_expires: datetime | None
    warnings: tuple[Remark, ...]
    notes: tuple[Remark, ...]
    attempts: tuple[Attempt, ...]
    haproxy: str
    pid: int
