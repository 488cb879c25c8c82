"""The Envoy target: a static bootstrap, and the certificates that it names. The only code that knows Envoy's configuration (v3).

Which cluster a connection reaches is decided by SNI in the listener's filter chains; those that give no name are led by Host.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from kubegate.model.plan import Plan
from kubegate.render.envoy import cluster, listener
from kubegate.render.envoy.files import Files
from kubegate.render.envoy.values import extension
from kubegate.render.keys import Refusal, Refusals
from kubegate.render.targets import Artefact, Options, Rendered, head

CONFIG_FILE = "envoy.yaml"
RUN_WITH = "Envoy 1.40"
_CONTROL_PLANE = "the control plane of `kubegate run` does this, and Envoy has another"
REFUSED: Refusals = {
    "clusters[].upstream.discover": Refusal(
        "the file is written once, and members that come later are not in it",
        "list the API servers in upstream.servers, or let `kubegate run` follow them",
    ),
    "clusters[].limits.requestsPerSecond": Refusal(
        "its local rate limit counts all clients of a route together, not each source address",
        "leave it out here, or render for HAProxy",
    ),
    "listeners[].proxyProtocol": Refusal(
        "its listener filter takes the PROXY protocol from whoever connects, not from given addresses alone",
        "leave it out and let the load balancer pass TCP as it is, or render for HAProxy",
    ),
    "listeners[].clientCertificates": Refusal(
        "it looks revoked certificates up in a list of their issuer (CRL) alone, which is not the list that is declared",
        "leave it out, or render for HAProxy",
    ),
    "metrics": Refusal(
        "its statistics are part of its admin interface, by which whoever reaches it can stop it",
        "leave it out, and declare an admin interface on a unix socket yourself",
    ),
    "dataPlane.haproxy": Refusal("it is not HAProxy", "leave it out"),
    "dataPlane.maxOldWorkers": Refusal(_CONTROL_PLANE, "leave it out"),
    "dataPlane.oldWorkerWait": Refusal(_CONTROL_PLANE, "leave it out"),
    "dataPlane.spareClusters": Refusal(_CONTROL_PLANE, "leave it out, and render again for another cluster"),
    "dataPlane.drain": Refusal(
        "it ends at once when it is told to", "leave it out, and have its listeners drained by its admin interface before a stop"
    ),
}
_NOTES = (
    f"run with {RUN_WITH}",
    "header names with an underscore are refused as a whole, also those of Impersonate-Extra-*",
    "a header that the Connection header names is removed, also Impersonate-User: a proxy before it must not pass Connection on",
    "a second Authorization header and a Content-Length beyond belief are the API server's to refuse",
    "leastconn is Envoy's LEAST_REQUEST: of two servers at random the one with fewer requests",
)


def render(plan: Plan, options: Options) -> Rendered:
    """`envoy.yaml`, then what it names."""
    files = Files(options.folder)
    parts = [
        "\n".join([*_head(plan, options), ""]),
        *_overload(plan),
        "static_resources:\n  listeners:\n",
        *(_item(comment, one) for front in plan.frontends for comment, one in [listener.draw(front, plan, files, options)]),
        "  clusters:\n",
        *(_item(comment, one) for backend in plan.backends for comment, one in [cluster.draw(backend, files)]),
    ]
    where = f"{options.folder}/" if options.folder else ""
    return Rendered(
        (Artefact(CONFIG_FILE, "".join(parts).encode()), *files.artefacts()),
        _NOTES,
        (f"envoy -c {where}{CONFIG_FILE} --concurrency {plan.process.threads}",),
    )


def _head(plan: Plan, options: Options) -> list[str]:
    relative = "" if options.folder else " in this folder: the files beside this one are named relative to where it is started"
    return head(
        "Envoy",
        options,
        f"Run with {RUN_WITH}; accepted by `envoy --mode validate`.",
        f"envoy -c {CONFIG_FILE} --concurrency {plan.process.threads}{relative}",
    )


def _overload(plan: Plan) -> Iterator[str]:
    most = plan.process.max_connections
    if most:
        kind = "resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
        name = "envoy.resource_monitors.global_downstream_max_connections"
        monitor = extension(name, kind, max_active_downstream_connections=most)
        yield "# Client connections at one time.\n" + _yaml({"overload_manager": {"resource_monitors": [monitor]}}, 0)


def _item(comment: str, one: Mapping[str, Any]) -> str:
    return f"    # {comment}\n" + _yaml([one], 4)


class _Dumper(yaml.SafeDumper):
    """Without anchors: each part is whole where it stands."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def _yaml(value: Any, indent: int) -> str:
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=200, allow_unicode=False)
    return "".join(f"{' ' * indent}{line}\n" for line in text.splitlines())
