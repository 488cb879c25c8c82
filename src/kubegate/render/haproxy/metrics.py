"""The `frontend` of the metrics: HAProxy's own exporter, which answers without the control plane, and the control plane's."""

from kubegate.render.haproxy.draft import Draft
from kubegate.render.haproxy.errors import body

CONTROL_SOCKET = "control.sock"


def draw(addresses: str, draft: Draft, sockets: str) -> None:
    """The sections, listening on `addresses`. `/metrics` is HAProxy's; `/metrics/kubegate` asks the control plane."""
    missing = body(404, "metrics are at /metrics and /metrics/kubegate")
    draft.section(
        "frontend metrics:",
        [
            f"bind {addresses}",
            "http-request use-service prometheus-exporter if { path /metrics } { method GET }",
            f"http-request return status 404 {missing} unless {{ path /metrics/kubegate }} {{ method GET }}",
            "default_backend metrics:kubegate",
        ],
    )
    draft.section("backend metrics:kubegate", ["timeout server 10s", f"server control unix@{sockets}{CONTROL_SOCKET}"])


def draw_alone(addresses: str, draft: Draft) -> None:
    """The section where there is no control plane: HAProxy's own at `/metrics`."""
    lines = [
        f"bind {addresses}",
        "http-request use-service prometheus-exporter if { path /metrics } { method GET }",
        f"http-request return status 404 {body(404, 'metrics are at /metrics')}",
    ]
    draft.section("frontend metrics:", lines)
