"""What targets that are made of objects of Kubernetes need to know besides the plan."""

from dataclasses import dataclass, field

from kubegate.model.gatefile import Declaration
from kubegate.render.targets import Options


@dataclass(frozen=True, slots=True)
class ClusterOptions(Options):
    """`declared` is what the plan was made from.

    `gateway_class` is the class of Gateways, `gateway_namespace` where the Gateway is, empty for `namespace`.
    """

    declared: Declaration = field(kw_only=True)
    gateway_class: str = ""
    gateway_namespace: str = ""
