"""What ingress-nginx can express of a declaration: annotations of an Ingress (controller 1.x)."""

from kubegate.render.expressed import Table
from kubegate.render.keys import Refusal

_CONFIG_MAP = "leave it out, and set it in the controller's ConfigMap"

TABLE: Table = {
    "apiVersion": "this version of the format is read",
    "kind": "a gate is read",
    "listeners[].name": "label kubegate.dev/listener",
    "listeners[].address": "0.0.0.0:443 or [::]:443, the controller's port for HTTPS; another one is refused",
    "listeners[].clusters": "all, for there is one listener; a second one is refused",
    "listeners[].defaultCluster": Refusal("clients that give no name get the controller's default backend", _CONFIG_MAP),
    "listeners[].proxyProtocol": Refusal(
        "the controller takes it on all connections or on none (`use-proxy-protocol`)", _CONFIG_MAP
    ),
    "listeners[].clientCertificates": Refusal("the controller knows no list of revoked ones", "leave it out"),
    "clusters[].name": "names of the objects, label kubegate.dev/cluster",
    "clusters[].hosts": "rules and tls.hosts; addresses are refused",
    "clusters[].mode": "terminate: backend-protocol HTTPS; passthrough: ssl-passthrough, if the controller has it switched on",
    "clusters[].certificate.cert": "TLS Secret",
    "clusters[].certificate.key": "TLS Secret, in the file with keys",
    "clusters[].certificate.chain": "TLS Secret, after the certificate",
    "clusters[].certificate.ca": Refusal("it goes into client kubeconfigs, and none is made here", "leave it out"),
    "clusters[].upstream.kubeconfig": "Service, EndpointSlices, CA Secret: server and CA of its context; no credential",
    "clusters[].upstream.context": "as upstream.kubeconfig",
    "clusters[].upstream.servers": "Service and EndpointSlices: the addresses of this moment",
    "clusters[].upstream.ca": "Secret with the CA, proxy-ssl-secret, proxy-ssl-verify; with passthrough clients verify",
    "clusters[].upstream.serverName": "proxy-ssl-name, proxy-ssl-server-name; with passthrough clients verify",
    "clusters[].upstream.discover": Refusal(
        "EndpointSlices that are rendered do not follow the members",
        "list the servers, and render anew when they change",
    ),
    "clusters[].upstream.verification": "none: proxy-ssl-verify off, with a warning; with passthrough clients verify",
    "clusters[].balance": "roundrobin: load-balance round_robin; leastconn and random are refused, and passthrough has none",
    "clusters[].health": Refusal("nginx looks only at what becomes of requests (proxy-next-upstream)", "leave it out"),
    "clusters[].allow": "whitelist-source-range; refused with passthrough",
    "clusters[].timeouts.connect": "proxy-connect-timeout: whole seconds, 75 at most (nginx); refused with passthrough",
    "clusters[].timeouts.request": Refusal("nginx has one timeout for requests and for streams", "declare timeouts.stream alone"),
    "clusters[].timeouts.stream": "proxy-read-timeout, proxy-send-timeout: whole seconds; refused with passthrough",
    "clusters[].limits.connections": Refusal("limit-connections counts those of one source address, not all", "leave it out"),
    "clusters[].limits.requestsPerSecond": "limit-rps, limit-burst-multiplier 1: more get 503, not 429",
    "metrics": Refusal("the controller has its own", "leave it out"),
    "dataPlane": Refusal("the controller runs nginx", "leave it out"),
    "accessLog": Refusal("the controller writes its own", _CONFIG_MAP),
}
