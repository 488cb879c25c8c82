"""What of a kubeconfig counts for an API server without TLS: whom to impersonate, and nothing else (client-go)."""

from kubegate.cluster.document import Entry
from kubegate.model.problem import Problem

_OF_CLUSTER = (
    "certificate-authority",
    "certificate-authority-data",
    "insecure-skip-tls-verify",
    "tls-server-name",
)
_OF_USER = (
    "token",
    "tokenFile",
    "username",
    "password",
    "client-certificate",
    "client-certificate-data",
    "client-key",
    "client-key-data",
    "exec",
    "auth-provider",
)


def ignored(cluster: Entry, user: Entry) -> list[Problem]:
    """A warning for each of the two that says something which is not used."""
    server = cluster.fields([]).at("server")
    found = []
    for entry, keys, what in (
        (user, _OF_USER, "no credential is sent to it"),
        (cluster, _OF_CLUSTER, "nothing proves who answers"),
    ):
        given = [entry.fields([]).at(key) for key in keys if entry.body.get(key)]
        if given:
            message = f"speaks plain HTTP, so {what}; not used: {', '.join(given)}"
            found.append(Problem(server, "kubeconfig.plain-http", message, "write https:// if the API server speaks TLS"))
    return found
