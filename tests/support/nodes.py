"""An API server of tests that lists nodes, grants watches by WebSocket, and says who somebody is."""

import contextlib
import json
from collections.abc import Iterator

from tests.support.forge import Forged
from tests.support.tls import api_leaf, server_context
from tests.support.upstream import Exchange, Script, Upstream, websocket

NODES = "/api/v1/nodes"
PODS = "/api/v1/namespaces/default/pods"
REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
SERVICE = "/api/v1/namespaces/default/services/kubernetes"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
CLUSTER_INFO = "/api/v1/namespaces/kube-public/configmaps/cluster-info"


def status(code: int, message: str, reason: str = "") -> Script:
    """An answer of the API server that says no."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code}
    return lambda exchange: exchange.reply(code, "Content-Type: application/json", body=json.dumps(body).encode())


def says(body: object, code: int = 200) -> Script:
    """An answer in JSON."""
    return lambda exchange: exchange.reply(code, "Content-Type: application/json", body=json.dumps(body).encode())


def watched(exchange: Exchange) -> None:
    """A watch, by WebSocket if that is asked for, else an answer without end."""
    if exchange.request.values("upgrade") == ["websocket"]:
        websocket(exchange)
        return
    exchange.begin()
    exchange.chunk(b"{}")
    exchange.receive()
    exchange.leave()


def review(exchange: Exchange) -> None:
    """Who somebody is, by their token."""
    token = (exchange.request.values("authorization") or [""])[0].removeprefix("Bearer ")
    user = {"username": f"user of {token}", "groups": ["team", "system:authenticated"], "extra": {"scopes": ["all"]}}
    says({"status": {"userInfo": user}}, 201)(exchange)


@contextlib.contextmanager
def api_server(leaf: Forged | None = None, client_ca: Forged | None = None) -> Iterator[Upstream]:
    """The server: two nodes, three if the rest is counted."""
    with Upstream(context=server_context(leaf or api_leaf(), client_ca)) as api:
        api.at(NODES, says({"items": [{}, {}], "metadata": {"continue": "x", "remainingItemCount": 1}}))
        api.at(PODS, watched)
        api.at(REVIEWS, review)
        api.at("/version", says({"gitVersion": "v1.99.0"}))
        service = {
            "spec": {"clusterIP": "127.0.0.1", "clusterIPs": ["127.0.0.1"], "ports": [{"name": "https", "port": api.port}]}
        }
        api.at(SERVICE, says(service))
        slices = {"items": [{"ports": [{"name": "https", "port": api.port}], "endpoints": [{"addresses": ["127.0.0.2"]}]}]}
        api.at(SLICES, says(slices))
        api.at(CLUSTER_INFO, status(404, 'configmaps "cluster-info" not found', "NotFound"))
        ranges = [{"clientCIDR": "0.0.0.0/0", "serverAddress": f"127.0.0.1:{api.port}"}]
        api.at("/api", says({"versions": ["v1"], "serverAddressByClientCIDRs": ranges}))
        yield api
