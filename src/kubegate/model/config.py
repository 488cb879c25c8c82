"""Config: what was declared. Frozen pydantic models; unknown keys are refused."""

from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from kubegate.model.address import Endpoint


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Mode(StrEnum):
    """Whether the gate opens TLS (and guards HTTP) or passes it through untouched."""

    TERMINATE = "terminate"
    PASSTHROUGH = "passthrough"


class FrontFiles(_Declared):
    """A certificate (PEM, leaf first, then what is sent along) and its private key, both given by the operator."""

    cert: Path
    key: Path


class UpstreamConfig(_Declared):
    """Where the API server is declared: a kubeconfig (None: as kubectl finds it) and one of its contexts (None: current)."""

    kubeconfig: Path | None = None
    context: str | None = None
    insecure: bool = False


class ClusterConfig(_Declared):
    """One cluster behind the gate."""

    upstream: UpstreamConfig = UpstreamConfig()
    hosts: tuple[str, ...] = ()
    mode: Mode = Mode.TERMINATE
    front: FrontFiles | None = None


class Config(_Declared):
    """The whole declaration: where the gate listens, and what stands behind it."""

    listen: Endpoint = Endpoint("127.0.0.1", 6443)
    cluster: ClusterConfig = ClusterConfig()
