"""What Gateway API can express of a declaration (gateway.networking.k8s.io/v1, standard channel)."""

from kubegate.render.expressed import Table
from kubegate.render.keys import Refusal

_IMPLEMENTATION = "Gateway API leaves it to the implementation"
_POLICY = "leave it out, and look for a policy of your implementation"

TABLE: Table = {
    "apiVersion": "this version of the format is read",
    "kind": "a gate is read",
    "listeners[].name": "beginning of the names of the Gateway's listeners",
    "listeners[].address": "port of the Gateway's listeners, spec.addresses unless it is 0.0.0.0 or [::]; loopback is refused",
    "listeners[].clusters": "each has a listener of the Gateway for each of its names",
    "listeners[].defaultCluster": Refusal(
        "Gateway API leads clients by name, and a listener without one takes those of every name", "leave it out"
    ),
    "listeners[].proxyProtocol": Refusal(_IMPLEMENTATION, _POLICY),
    "listeners[].clientCertificates": Refusal("Gateway API knows no list of revoked ones", "leave it out"),
    "clusters[].name": "names of the objects, label kubegate.dev/cluster",
    "clusters[].hosts": "hostnames of listeners and routes; addresses are refused",
    "clusters[].mode": "terminate: HTTPS listener, HTTPRoute, BackendTLSPolicy; passthrough: TLS listener, TLSRoute",
    "clusters[].certificate.cert": "TLS Secret",
    "clusters[].certificate.key": "TLS Secret, in the file with keys",
    "clusters[].certificate.chain": "TLS Secret, after the certificate",
    "clusters[].certificate.ca": Refusal("it goes into client kubeconfigs, and none is made here", "leave it out"),
    "clusters[].upstream.kubeconfig": "Service, EndpointSlices, CA: server and CA of its context; no credential",
    "clusters[].upstream.context": "as upstream.kubeconfig",
    "clusters[].upstream.servers": "Service and EndpointSlices: the addresses of this moment",
    "clusters[].upstream.ca": "ConfigMap, BackendTLSPolicy validation.caCertificateRefs; with passthrough the clients verify",
    "clusters[].upstream.serverName": "BackendTLSPolicy validation.hostname, also sent as SNI; with passthrough clients verify",
    "clusters[].upstream.discover": Refusal(
        "EndpointSlices that are rendered do not follow the members",
        "list the servers, and render anew when they change",
    ),
    "clusters[].upstream.verification": "none is refused: BackendTLSPolicy always verifies; with passthrough the clients do",
    "clusters[].balance": Refusal(_IMPLEMENTATION, _POLICY),
    "clusters[].health": Refusal(_IMPLEMENTATION, _POLICY),
    "clusters[].allow": Refusal(
        "Gateway API knows no source addresses",
        "let a firewall, a NetworkPolicy or a policy of your implementation say who may come, and leave it out here",
    ),
    "clusters[].timeouts.connect": Refusal(_IMPLEMENTATION, _POLICY),
    "clusters[].timeouts.request": "timeouts.request of HTTPRoute for what is no stream; refused with passthrough",
    "clusters[].timeouts.stream": Refusal("HTTPRoute can only switch the timeout of streams off, which it does", _POLICY),
    "clusters[].limits": Refusal(_IMPLEMENTATION, _POLICY),
    "metrics": Refusal("the implementation has its own", "leave it out"),
    "dataPlane": Refusal("the implementation runs its own proxies", "leave it out"),
    "accessLog": Refusal("the implementation writes its own", "leave it out"),
}
