"""What a request is about, as the API server itself reads it (apiserver, `RequestInfoFactory`): verb, group, resource, name.

Everything is read from the decoded path, and case matters, as there.
"""

from dataclasses import dataclass

from kubegate.model.request_path import decode_path, parameters, segments, text_of, why_ambiguous

_VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_PATH_VERBS = ("proxy", "watch")
_NAMESPACE_SUBRESOURCES = ("status", "finalize")
_PROXY_PARTS = 3


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """A request for a resource, or for a path that is none (`verb` is its method in lower case then).

    `parts` are the segments of the path from the resource on: resource, name, subresource, and what is the subresource's own.
    """

    is_resource: bool
    verb: str
    path: str
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    parts: tuple[str, ...] = ()

    @property
    def proxies(self) -> bool:
        """Whether it leads through the API server to a pod, service or node, by its subresource or by the old path."""
        return self.is_resource and (self.subresource == "proxy" or self.verb == "proxy")

    def __str__(self) -> str:
        if not self.is_resource:
            return f"{self.verb} {self.path}"
        what = self.resource + (f".{self.group}" if self.group else "") + (f"/{self.subresource}" if self.subresource else "")
        where = f" in {self.namespace}" if self.namespace and self.resource != "namespaces" else ""
        return " ".join(word for word in (self.verb, what, self.name) if word) + where


def read_request(method: str, raw_path: bytes, query: bytes = b"") -> RequestInfo:
    """What a request is about; `raw_path` as it came, `query` without its question mark. Raises BadPath (`request_path`)."""
    return _read(method, text_of(decode_path(raw_path)), query)


def why_not_canonical(raw_path: bytes) -> str:
    """Why others could read this path differently; empty if it has one meaning only. Raises BadPath."""
    raw = raw_path.split(b"/")
    # The slashes that count are those that came as such, here: what hides another one is found below.
    info = _read("GET", text_of(b"/".join(decode_path(one).replace(b"/", b"\\") for one in raw)), b"")
    if info.is_resource and info.subresource == "proxy":
        # Slashes at the beginning are separators here; more than one there is refused below.
        first = len(raw) - len(raw_path.lstrip(b"/").split(b"/"))
        end = first + len(segments(info.path)) - len(info.parts) + _PROXY_PARTS
        return why_ambiguous(raw[:end], raw[end:])
    return why_ambiguous(raw, [])


def _read(method: str, path: str, query: bytes) -> RequestInfo:
    found = segments(path)
    plain = RequestInfo(is_resource=False, verb=method.lower(), path=path)
    match found:
        case ["api", version, *rest] if rest:
            group = ""
        case ["apis", group, version, *rest] if rest:
            pass
        case _:
            return plain
    verb = _VERBS.get(method, "")
    by_path = rest[0] in _PATH_VERBS
    if by_path:
        verb, rest = rest[0], rest[1:]
    namespace, parts = _namespaced(rest)
    resource, name = (*parts, "", "")[:2]
    # A proxy by the old path has no subresource: all of it is the service's own.
    subresource = parts[2] if len(parts) > 2 and verb != "proxy" else ""
    if not name:
        verb, name = _of_many(verb, query)
    return RequestInfo(True, verb, path, group, version, namespace, resource, subresource, name, tuple(parts))


def _namespaced(rest: list[str]) -> tuple[str, list[str]]:
    if len(rest) < 2 or rest[0] != "namespaces":
        return "", rest
    inside = len(rest) > 2 and rest[2] not in _NAMESPACE_SUBRESOURCES
    return rest[1], rest[2:] if inside else rest


def _of_many(verb: str, query: bytes) -> tuple[str, str]:
    """Verb and name of a request without a name in its path."""
    if verb == "delete":
        return "deletecollection", ""
    if verb != "get":
        return verb, ""
    given: dict[str, str] = {}
    for key, value in parameters(query):
        given.setdefault(key, value)
    watching = "watch" in given and given["watch"].lower() not in ("false", "0")
    return ("watch" if watching else "list"), _selected_name(given.get("fieldSelector", ""))


def _selected_name(selector: str) -> str:
    for term in selector.split(","):
        key, _, value = term.partition("=")
        name = value.removeprefix("=")
        if key.strip() == "metadata.name" and name and name not in (".", "..") and not set(name) & set("/%\\="):
            return name
    return ""
