"""What a pod knows about its API server: client-go's in-cluster configuration, as entries of a kubeconfig."""

from collections.abc import Mapping
from pathlib import Path

from kubegate.cluster.document import Entry
from kubegate.model.problem import Problem

FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
NAME = "in-cluster"


def possible(environ: Mapping[str, str]) -> bool:
    """Whether this is a pod with a service account: the variables of the Service `kubernetes`, and the mounted token."""
    named = environ.get("KUBERNETES_SERVICE_HOST") and environ.get("KUBERNETES_SERVICE_PORT")
    return bool(named) and (FOLDER / "token").is_file()


def cluster(environ: Mapping[str, str], warnings: list[Problem]) -> Entry:
    """The API server. Without a CA beside the token the system's CAs count, and `warnings` say so."""
    host, port = environ["KUBERNETES_SERVICE_HOST"], environ["KUBERNETES_SERVICE_PORT"]
    body: dict[object, object] = {"server": f"https://{f'[{host}]' if ':' in host else host}:{port}"}
    ca = FOLDER / "ca.crt"
    if ca.is_file():
        body["certificate-authority"] = str(ca)
    else:
        message = "is not there, so that the API server is verified by the system's CAs"
        warnings.append(Problem(str(ca), "in-cluster.ca", message, "mount the service account's volume as Kubernetes does"))
    return Entry(NAME, body, ca, "$KUBERNETES_SERVICE_HOST: cluster")


def user() -> Entry:
    """The service account; its token is read again whenever it changes."""
    return Entry(NAME, {"tokenFile": str(FOLDER / "token")}, FOLDER / "token", "service account: user")


def namespace(environ: Mapping[str, str]) -> str:
    """`$POD_NAMESPACE`, else the service account's, else `default`."""
    if given := environ.get("POD_NAMESPACE"):
        return given
    try:
        return (FOLDER / "namespace").read_text(errors="replace").strip() or "default"
    except OSError:
        return "default"
