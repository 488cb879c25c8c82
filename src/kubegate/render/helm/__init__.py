"""A Helm chart of the same objects as the target `kubernetes`; what differs between installations is in its values.

Objects are made with marks in the places of such values, and the marks are exchanged for template actions in the text.
"""

from collections.abc import Iterator
from dataclasses import replace

from kubegate.model.plan import Plan
from kubegate.render import kubernetes
from kubegate.render.helm.marks import IMAGE, NAME, NAMESPACE, templated
from kubegate.render.helm.values import chart_file, keys, values
from kubegate.render.in_cluster import ClusterOptions
from kubegate.render.kubernetes.gate_file import FILE
from kubegate.render.kubernetes.workload import authority_key
from kubegate.render.manifest import KEYS_MODE, commented, head
from kubegate.render.targets import Artefact, Rendered
from kubegate.render.yaml_text import Object, dumped

_PROOF = (
    "Accepted by `helm lint`; `helm template` gives the objects of `kubegate render kubernetes`, which the API server accepted.",
)
_KEYS_FILE = "values-keys.yaml"
_ORDER = "helm install NAME FOLDER/chart --namespace NAMESPACE"
_ORDER_WITH_KEYS = f"{_ORDER} --values FOLDER/{_KEYS_FILE}"
_CHART = "chart"


def render(plan: Plan, options: ClusterOptions) -> Rendered:
    """The chart, and beside it the values that hold private keys. Raises InvalidInput as the target `kubernetes` does."""
    made = kubernetes.parts(plan, options)
    marked = kubernetes.parts(plan, replace(options, name=NAME, namespace=NAMESPACE, image=IMAGE))
    order = _ORDER_WITH_KEYS if made.secrets else _ORDER
    artefacts = [
        Artefact(f"{_CHART}/Chart.yaml", _text(chart_file(options), options, "The chart of a gate.", order)),
        Artefact(
            f"{_CHART}/values.yaml", _text(values(made.files, options), options, "What differs between installations.", order)
        ),
    ]
    for number, one in enumerate((*marked.secrets, *_with_values(marked))):
        artefacts.append(Artefact(f"{_CHART}/templates/{number:02}-{one['kind'].lower()}.yaml", _template(one).encode()))
    if made.secrets:
        content = _text(keys(made.secrets, options), options, "Private keys. Keep this file to yourself.", order)
        artefacts.append(Artefact(_KEYS_FILE, content, KEYS_MODE))
    return Rendered(tuple(artefacts), (f"install: {order}", *kubernetes.notes(plan, options)))


def _text(value: object, options: ClusterOptions, purpose: str, order: str) -> bytes:
    return (commented(head(options, f"Helm: {purpose}", _PROOF, f"Install: {order}")) + dumped(value)).encode()


def _with_values(made: kubernetes.Parts) -> Iterator[Object]:
    """The objects with marks for what is in values and is no text of one line."""
    for one in made.plain:
        match one["kind"]:
            case "ConfigMap":
                files = {authority_key(name): f"XVALUEXca.{name}X" for name in made.files.authorities}
                yield {**one, "data": {FILE: "XVALUEXgateX", **files}}
            case "Deployment":
                yield {**one, "spec": {**one["spec"], "replicas": "XVALUEXreplicasX"}}
            case "Service":
                yield {**one, "spec": {**one["spec"], "type": "XVALUEXservice.typeX"}}
            case _:
                yield one


def _template(one: Object) -> str:
    if one["kind"] == "Secret":
        cluster = one["metadata"]["name"].removeprefix(f"{NAME}-").removesuffix("-tls")
        one = {**one, "data": {"tls.crt": f"XKEYX{cluster}.crtX", "tls.key": f"XKEYX{cluster}.keyX"}}
    if one["kind"] == "Deployment":
        pod = one["spec"]["template"]["spec"]
        container = {**pod["containers"][0], "resources": "XVALUEXresourcesX"}
        one = {
            **one,
            "spec": {**one["spec"], "template": {**one["spec"]["template"], "spec": {**pod, "containers": [container]}}},
        }
    return templated(dumped(one))
