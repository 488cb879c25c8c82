"""The `frontend` of the metrics: HAProxy's own exporter, which answers without the control plane, and the control plane's."""

from kubegate.model.address import Endpoint
from kubegate.render.haproxy.draft import Draft
from kubegate.render.haproxy.errors import body

CONTROL_SOCKET = "control.sock"


def draw(listen: Endpoint, draft: Draft, sockets: str) -> None:
    """The sections: `/metrics` is HAProxy's, `/metrics/kubegate` the control plane's, which listens on a unix socket."""
    missing = body(404, "metrics are at /metrics and /metrics/kubegate")
    draft.section(
        "frontend metrics:",
        [
            f"bind {listen}",
            "http-request use-service prometheus-exporter if { path /metrics } { method GET }",
            f"http-request return status 404 {missing} unless {{ path /metrics/kubegate }} {{ method GET }}",
            "default_backend metrics:kubegate",
        ],
    )
    draft.section("backend metrics:kubegate", ["timeout server 10s", f"server control unix@{sockets}{CONTROL_SOCKET}"])
