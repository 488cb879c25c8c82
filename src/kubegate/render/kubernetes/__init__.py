"""Kubernetes: `kubegate run` as a Deployment, with all that it needs and no right that it does not need."""

from collections.abc import Iterator
from dataclasses import dataclass

from kubegate.model.address import is_address
from kubegate.model.config import Config
from kubegate.model.plan import Plan
from kubegate.model.problem import InvalidInput, Problem
from kubegate.render import objects, sites
from kubegate.render.expressed import refused_keys
from kubegate.render.in_cluster import ClusterOptions
from kubegate.render.kubernetes import access, workload
from kubegate.render.kubernetes.gate_file import FILE, GateFiles, gate_files
from kubegate.render.kubernetes.keys import TABLE
from kubegate.render.kubernetes.names import Names
from kubegate.render.manifest import documents, head, keys_artefact, namespace_artefact
from kubegate.render.sites import Site
from kubegate.render.targets import Artefact, Rendered
from kubegate.render.yaml_text import Object

RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
_METRICS = "kubegate-metrics"
_ORDER = "Apply in the order of the files' names, as `kubectl apply --server-side -f FOLDER` does."
PROOF = (
    "Accepted by the API server of Kubernetes 1.37, whose profile `restricted` admits the pods without a warning; they ran.",
    "Not run: an image, in whose place the pods saw the programs of their node.",
)
NOTES = (
    "the image is yours: it needs the command `kubegate` and runs as user 65532; docs/targets-kubernetes.md says how it is made",
    "kubegate is PID 1 of its container: when it ends, HAProxy and its streams end with it (docs/operations.md, In a container)",
    "the Service is reached from inside of the cluster only; type: LoadBalancer with externalTrafficPolicy: Local opens it to "
    "others and keeps their addresses, which `allow` and limits look at",
    "a NetworkPolicy counts only where the cluster's network plugin enforces it",
)


@dataclass(frozen=True, slots=True)
class Parts:
    """The objects of a gate: those with private keys, and the others; and its files, which a chart has as values."""

    secrets: tuple[Object, ...]
    plain: tuple[Object, ...]
    files: GateFiles


def render(plan: Plan, options: ClusterOptions) -> Rendered:
    """The objects of a gate. Raises InvalidInput with every key that cannot be carried into a pod."""
    made = parts(plan, options)
    artefacts = (
        Artefact("30-kubegate.yaml", documents(made.plain, head(options, "kubegate: the gate.", PROOF, _ORDER))),
        namespace_artefact(options, "kubegate", RESTRICTED),
        *keys_artefact("20-keys.yaml", made.secrets, options, "kubegate"),
    )
    return Rendered(artefacts, notes(plan, options))


def notes(plan: Plan, options: ClusterOptions) -> tuple[str, ...]:
    """What is to be known about a gate in pods."""
    found = sites.sites(plan, options.declared)
    own = [note for site in found if site.opened for note in sites.verification_notes(site)]
    taken = [site.name for site in found if not site.cluster.upstream.servers and not site.cluster.upstream.discover]
    if taken:
        which = ", ".join(taken)
        own.append(f"{which}: the addresses of the kubeconfig's server are those of this moment; render anew when they change")
    return (*own, *NOTES)


def parts(plan: Plan, options: ClusterOptions) -> Parts:
    """The objects themselves. Raises InvalidInput as `render` does."""
    declared, config = options.declared, options.declared.config
    found = sites.sites(plan, declared)
    if problems := [*refused_keys("a Deployment", declared, TABLE), *_problems(found, options)]:
        raise InvalidInput(problems)
    names = Names(options.name, options.namespace)
    files = gate_files(found, declared)
    secrets = [objects.tls_secret(names.meta(names.certificate(site.name)), site.pem) for site in found if site.opened]
    plain = [
        *access.account(names, config),
        _config_map(names, files),
        workload.deployment(names, config, found, list(files.authorities), options.image),
        _service(names, config),
        _budget(names),
        access.network_policy(names, config, found),
    ]
    return Parts(tuple(secrets), tuple(plain), files)


def _problems(found: tuple[Site, ...], options: ClusterOptions) -> Iterator[Problem]:
    declared = options.declared
    if not options.image:
        message = "the image that runs the gate is not known: there is none that is published"
        yield Problem("--image", "target.flag", message, "name one that has kubegate, as in registry.example.com/kubegate:1")
    yield from sites.listener_problems(declared)
    yield from _port_problems(options)
    metrics = declared.config.metrics
    if metrics is not None and not (metrics.address.is_loopback or metrics.address.is_wildcard):
        message = f"{metrics.address} is an address of one machine, which no pod has"
        hint = f"write 0.0.0.0:{metrics.address.port} or [::]:{metrics.address.port}, which pods of the namespace alone reach"
        yield Problem(declared.places.at("metrics", "address"), "target.value", message, hint)
    for site in found:
        yield from sites.certificate_problems(site, declared)
        yield from sites.upstream_problems(site, options)
        upstream = site.cluster.upstream
        for key in sorted(upstream.model_fields_set & {"kubeconfig", "context"}) if upstream.discover else []:
            message = (
                "in its pod the gate reads the members as its ServiceAccount, so that nobody's credential goes into the cluster"
            )
            hint = "leave it out to follow the cluster that it runs in; of another cluster list the servers"
            yield Problem(declared.places.at(*site.loc, "upstream", key), "target.key", message, hint)


def _port_problems(options: ClusterOptions) -> Iterator[Problem]:
    """Why the ports cannot stand in one Service."""
    declared = options.declared
    taken: dict[int, str] = {}
    for number, listener in enumerate(declared.config.listeners):
        if listener.name == _METRICS and declared.config.metrics is not None:
            message = "the port of the metrics has this name, and a Service has each name once"
            yield Problem(declared.places.at("listeners", number, "name"), "target.value", message, "write another name")
        if other := taken.get(listener.address.port):
            message = f"listener {other} has the port {listener.address.port} too, and a Service has each port once"
            yield Problem(declared.places.at("listeners", number, "address"), "target.value", message, "write another port")
        taken.setdefault(listener.address.port, listener.name)


def _config_map(names: Names, files: GateFiles) -> Object:
    data = {FILE: files.text} | {workload.authority_key(name): pem.decode() for name, pem in files.authorities.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": names.meta(names.config), "data": data}


def _service(names: Names, config: Config) -> Object:
    ports = [_port(listener.name, listener.address.port) for listener in config.listeners]
    if config.metrics is not None and not config.metrics.address.is_loopback:
        ports.append(_port(_METRICS, config.metrics.address.port))
    spec: Object = {"type": "ClusterIP", "selector": names.selector, "ports": ports}
    if any(":" in listener.address.host and is_address(listener.address.host) for listener in config.listeners):
        spec["ipFamilyPolicy"] = "PreferDualStack"
    return {"apiVersion": "v1", "kind": "Service", "metadata": names.meta(names.base), "spec": spec}


def _port(name: str, number: int) -> Object:
    return {"name": name, "port": number, "targetPort": number, "protocol": "TCP"}


def _budget(names: Names) -> Object:
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": names.selector}}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": names.meta(names.base), "spec": spec}
