"""What Contour's HTTPProxy can express of a declaration (projectcontour.io/v1, Contour 1.33)."""

from kubegate.render.expressed import Table
from kubegate.render.keys import Refusal

_PROCESS = "Envoy is run by Contour's own deployment"

TABLE: Table = {
    "apiVersion": "this version of the format is read",
    "kind": "a gate is read",
    "listeners[].name": "label kubegate.dev/listener",
    "listeners[].address": "0.0.0.0:443 or [::]:443, Envoy's port for HTTPS; another one is refused",
    "listeners[].clusters": "all, for there is one listener; a second one is refused",
    "listeners[].defaultCluster": Refusal(
        "Envoy under Contour refuses clients that give no name, or one that is nobody's", "leave it out"
    ),
    "listeners[].proxyProtocol": Refusal(
        "HTTPProxy cannot say who sends it: Contour takes it from everybody, or from nobody",
        "leave it out, set `useProxyProtocol` in Contour's configuration, and let none but the load balancers reach Envoy",
    ),
    "listeners[].clientCertificates": Refusal(
        "HTTPProxy knows a CA and a CRL for clients, and they are not made here", "leave it out"
    ),
    "clusters[].name": "names of the objects, label kubegate.dev/cluster",
    "clusters[].hosts": "one HTTPProxy for each name (fqdn); addresses are refused",
    "clusters[].mode": "terminate: routes; passthrough: tcpproxy with tls.passthrough",
    "clusters[].certificate.cert": "TLS Secret",
    "clusters[].certificate.key": "TLS Secret, in the file with keys",
    "clusters[].certificate.chain": "TLS Secret, after the certificate",
    "clusters[].certificate.ca": Refusal("it goes into client kubeconfigs, and none is made here", "leave it out"),
    "clusters[].upstream.kubeconfig": "Service, EndpointSlices, CA Secret: server and CA of its context; no credential",
    "clusters[].upstream.context": "as upstream.kubeconfig",
    "clusters[].upstream.servers": "Service and EndpointSlices: the addresses of this moment",
    "clusters[].upstream.ca": "Secret with the CA, validation.caSecret; with passthrough the clients verify",
    "clusters[].upstream.serverName": "validation.subjectName, and the SNI; with passthrough the clients verify",
    "clusters[].upstream.discover": Refusal(
        "EndpointSlices that are rendered do not follow the members",
        "list the servers, and render anew when they change",
    ),
    "clusters[].upstream.verification": "none: no validation, with a warning; with passthrough the clients verify",
    "clusters[].balance": "loadBalancerPolicy: WeightedLeastRequest, RoundRobin, Random",
    "clusters[].health.interval": "healthCheckPolicy.intervalSeconds: whole seconds, others are refused",
    "clusters[].health.rise": "healthCheckPolicy.healthyThresholdCount",
    "clusters[].health.fall": "healthCheckPolicy.unhealthyThresholdCount",
    "clusters[].allow": "virtualhost.ipAllowPolicy, of the address that connects (Peer); refused with passthrough",
    "clusters[].timeouts.connect": Refusal(
        "HTTPProxy has no such field: Contour's own counts, 2 s",
        "leave it out, and set `cluster.connect-timeout` in Contour's configuration",
    ),
    "clusters[].timeouts.request": "timeoutPolicy.response of what is no stream; refused with passthrough",
    "clusters[].timeouts.stream": "timeoutPolicy.idle of streams, whose response has no bound; refused with passthrough",
    "clusters[].limits.connections": "Service annotations of Envoy's circuit breakers: for each Envoy, and more get 503, not 429",
    "clusters[].limits.requestsPerSecond": Refusal(
        "Contour counts the requests of everybody together, not those of one source address",
        "leave it out, or run Envoy's rate limit service",
    ),
    "metrics": Refusal("Contour and Envoy have metrics of their own", "leave it out"),
    "dataPlane": Refusal(_PROCESS, "leave it out"),
    "accessLog": Refusal("Envoy writes one, as Contour's configuration says (`accesslog-format`)", "leave it out"),
}
