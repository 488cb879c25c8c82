"""What becomes of each key of a declaration in a pod: it is carried along, with mounted files for those that it names."""

from kubegate.render.expressed import Table
from kubegate.render.keys import Refusal

_CARRIED = "in the declared file in the ConfigMap"

TABLE: Table = {
    "apiVersion": _CARRIED,
    "kind": _CARRIED,
    "listeners[].name": f"{_CARRIED}, name of the port of the Service",
    "listeners[].address": f"{_CARRIED}: 0.0.0.0 or [::], others are refused; port of Service, container, NetworkPolicy",
    "listeners[].clusters": _CARRIED,
    "listeners[].defaultCluster": _CARRIED,
    "listeners[].proxyProtocol": _CARRIED,
    "listeners[].clientCertificates": Refusal("their CA and their list are not carried into the pods", "leave it out"),
    "clusters[].name": f"{_CARRIED}, names of Secrets",
    "clusters[].hosts": _CARRIED,
    "clusters[].mode": _CARRIED,
    "clusters[].certificate.cert": "TLS Secret, mounted",
    "clusters[].certificate.key": "TLS Secret, mounted, in the file with keys",
    "clusters[].certificate.chain": "TLS Secret, after the certificate",
    "clusters[].certificate.ca": Refusal("it goes into client kubeconfigs, and `run` makes none", "leave it out"),
    "clusters[].upstream.kubeconfig": f"{_CARRIED} as servers, ca and serverName: no credential goes into the cluster",
    "clusters[].upstream.context": "as upstream.kubeconfig",
    "clusters[].upstream.servers": f"{_CARRIED}; egress of the NetworkPolicy",
    "clusters[].upstream.ca": "in the ConfigMap, mounted",
    "clusters[].upstream.serverName": _CARRIED,
    "clusters[].upstream.discover": "the members of the cluster that it runs in, read as its ServiceAccount; Role in `default`",
    "clusters[].upstream.verification": f"{_CARRIED}; none warns",
    "clusters[].balance": _CARRIED,
    "clusters[].health": _CARRIED,
    "clusters[].allow": _CARRIED,
    "clusters[].timeouts": _CARRIED,
    "clusters[].limits": f"{_CARRIED}: of each replica",
    "metrics.address": f"{_CARRIED}; beyond loopback a port of the Service, for pods of its own namespace",
    "dataPlane.haproxy": f"{_CARRIED}: a path in the image",
    "dataPlane.threads": _CARRIED,
    "dataPlane.maxConnections": f"{_CARRIED}: of each replica",
    "dataPlane.maxOldWorkers": _CARRIED,
    "dataPlane.oldWorkerWait": _CARRIED,
    "dataPlane.spareClusters": _CARRIED,
    "dataPlane.drain": f"{_CARRIED}, terminationGracePeriodSeconds",
    "accessLog": Refusal("a file of a pod ends with it, and nobody rotates it before", "leave it out"),
}
