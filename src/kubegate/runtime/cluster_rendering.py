"""A declaration rendered as objects of Kubernetes: read, looked at, planned. Nothing is applied here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kubegate import __version__
from kubegate.model.gatefile import Declaration
from kubegate.model.plan import Plan
from kubegate.model.planner import plan
from kubegate.model.problem import Problem
from kubegate.render import contour, gateway_api, helm, ingress_nginx, kubernetes
from kubegate.render.in_cluster import ClusterOptions
from kubegate.render.targets import Rendered
from kubegate.runtime.findings import Findings
from kubegate.runtime.inputs import Gathered, Inputs
from kubegate.runtime.reading import read_file

RENDERERS: Mapping[str, Callable[[Plan, ClusterOptions], Rendered]] = {
    "contour": contour.render,
    "gateway-api": gateway_api.render,
    "ingress-nginx": ingress_nginx.render,
    "kubernetes": kubernetes.render,
    "helm": helm.render,
}


@dataclass(frozen=True, slots=True)
class WantedObjects:
    """What is to be rendered: a target by its name, and what the declaration does not say."""

    target: str
    name: str = "kubegate"
    namespace: str = "kubegate"
    image: str = ""
    gateway_class: str = ""
    gateway_namespace: str = ""


async def render_objects(wanted: WantedObjects, file: Path, environ: Mapping[str, str]) -> tuple[Rendered, tuple[Problem, ...]]:
    """The files, and warnings. Raises InvalidInput with every problem, or KubegateError."""
    declared = read_file(file)
    findings = Findings([])
    gathered: Gathered | None = None
    with findings.also():
        # A certificate of the gate's own is refused later on, so it need not last.
        gathered = await Inputs(environ, lasting=False).gather(declared, fresh=True)
    findings.raise_if_any()
    assert gathered is not None
    made = RENDERERS[wanted.target](plan(declared.config, gathered.facts), _options(wanted, declared))
    return made, tuple(one for one in gathered.warnings if one.code != "certificate.self-signed")


def _options(wanted: WantedObjects, declared: Declaration) -> ClusterOptions:
    return ClusterOptions(
        name=wanted.name,
        namespace=wanted.namespace,
        image=wanted.image,
        version=__version__,
        source=declared.places.shown,
        declared=declared,
        gateway_class=wanted.gateway_class,
        gateway_namespace=wanted.gateway_namespace,
    )
