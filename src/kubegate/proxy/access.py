"""`--read-only` and `--deny`: what they refuse, by what the API server will take a request for."""

from kubegate.model.filters import ANY, DeniedResource, Filters
from kubegate.model.refusals import Refusal
from kubegate.model.request_info import RequestInfo, read_request, why_not_canonical
from kubegate.model.request_path import parameters, segments

_READING = ("GET", "HEAD", "OPTIONS")
# By these a GET does more than read: it runs, types, or reaches what is behind.
_OPEN_DOORS = ("exec", "attach", "portforward", "proxy")
_API_ROOTS = ("api", "apis", "openapi")
_REVIEW_GROUPS = (
    "authentication.k8s.io",
    "authorization.k8s.io",
    "authorization.openshift.io",
    "security.openshift.io",
)
# Not `token`: the API server issues a real one, dry run or not (registry/core/serviceaccount, TokenREST). Others are not known to
# keep to it.
_DRY_SUBRESOURCES = ("", "approval", "binding", "ephemeralcontainers", "eviction", "finalize", "resize", "scale", "status")


def refused(
    filters: Filters, method: str, raw_path: bytes, query: bytes, *, upgrade: bool = False, body: bool = True
) -> Refusal | None:
    """Why the request may not pass, None if it may. `upgrade`: it has an Upgrade header; `body`: it may have a body.

    Raises BadPath (`model.request_path`).
    """
    flag = "--read-only" if filters.read_only else "--deny"
    if why := why_not_canonical(raw_path):
        return Refusal(f"{flag}: path", f"{flag} is in force, and this path could be read in more than one way: {why}")
    info = read_request(method, raw_path, query)
    if not info.is_resource and _below(info.path):
        message = f"{flag} is in force, and this path could lead to an API that is below another path"
        return Refusal(f"{flag}: path", message)
    for denied in filters.deny:
        if _names(denied, info):
            return Refusal(f"--deny {denied}", f"--deny {denied} refuses this request ({_shown(info)})")
    if filters.read_only and not _reads(info, method, query, upgrade=upgrade, body=body):
        return Refusal("--read-only", f"--read-only refuses this request ({_shown(info)})")
    return None


def _below(path: str) -> bool:
    """Whether a path that is no API's here may be one behind a server that has several (`/k8s/clusters/x/api/v1/secrets`)."""
    first, *rest = segments(path) or [""]
    return first not in _API_ROOTS and not {"api", "apis"}.isdisjoint(rest)


def _names(denied: DeniedResource, info: RequestInfo) -> bool:
    if not info.is_resource or denied.group not in (None, info.group) or denied.resource not in (ANY, info.resource):
        return False
    subresource = "proxy" if info.proxies else info.subresource
    return denied.subresource in (None, subresource)


def _reads(info: RequestInfo, method: str, query: bytes, *, upgrade: bool, body: bool) -> bool:
    if info.subresource in _OPEN_DOORS or info.proxies:
        return False
    if upgrade and not (info.verb == "watch" or info.subresource == "log"):
        # What answers an upgrade is more than something to read (a console of a virtual machine, for one).
        return False
    if method in _READING:
        return True
    return info.is_resource and (_reviews(info) or _is_dry(info, query, body=body))


def _reviews(info: RequestInfo) -> bool:
    """A question about rights, which is asked by creating an object that is never kept."""
    return info.verb == "create" and info.group in _REVIEW_GROUPS and info.resource.endswith("reviews") and len(info.parts) == 1


def _is_dry(info: RequestInfo, query: bytes, *, body: bool) -> bool:
    """Whether the API server only rehearses it. A deletion that has a body takes its options from there, not from the query."""
    if info.subresource not in _DRY_SUBRESOURCES or info.verb not in ("create", "update", "patch", "delete", "deletecollection"):
        return False
    if body and info.verb in ("delete", "deletecollection"):
        return False
    given = [value for key, value in parameters(query) if key == "dryRun"]
    return bool(given) and set(given) == {"All"}


def _shown(info: RequestInfo) -> str:
    text = str(info).encode(errors="backslashreplace").decode()
    return text if len(text) <= 160 else f"{text[:160]}…"
