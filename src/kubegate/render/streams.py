"""Requests that stay open, in the words of engines that tell them by path and parameter alone: they get no short timeout.

`render.haproxy.streams` tells them more exactly. Here a parameter that is there at all counts (`watch=false` then merely has no
short timeout either), and upgrades are told by the subresources that have them (kube-apiserver, `pkg/registry/core/rest`).
"""

PARAMETERS = ("watch", "follow")
# Watches by path are no more in use, but are served (apiserver, `RequestInfo`).
PREFIXES = ("/api/v1/watch/",)
PATHS = (
    "/api/v1/namespaces/[^/]+/(pods|services)/[^/]+/(exec|attach|portforward|proxy)(/.*)?",
    "/api/v1/nodes/[^/]+/proxy(/.*)?",
    "/apis/[^/]+/[^/]+/watch/.*",
)
