"""Names and labels of the objects of one gate."""

from collections.abc import Mapping
from dataclasses import dataclass

from kubegate.render import objects
from kubegate.render.yaml_text import Object


@dataclass(frozen=True, slots=True)
class Names:
    """`base` is the gate's name, and that of most objects."""

    base: str
    namespace: str

    @property
    def selector(self) -> dict[str, str]:
        """What tells its pods from others."""
        return {"app.kubernetes.io/name": "kubegate", "app.kubernetes.io/instance": self.base}

    @property
    def config(self) -> str:
        """The ConfigMap with the declared file."""
        return f"{self.base}-gate"

    def certificate(self, cluster: str) -> str:
        """The Secret with the certificate of a cluster."""
        return f"{self.base}-{cluster}-tls"

    def meta(self, name: str, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> Object:
        """The metadata of one of its objects."""
        place = self.namespace if namespace is None else namespace
        return objects.metadata(name, place, {**self.selector, **dict(labels or {})})
