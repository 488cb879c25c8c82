"""What a request is about. The expected values are those of the API server's own `RequestInfoFactory` (1.37)."""

import pytest

from kubegate.model.request_info import RequestInfo, read_request, why_not_canonical
from kubegate.model.request_path import BadPath

NS = b"/api/v1/namespaces/default"


def about(info: RequestInfo) -> tuple[str, ...]:
    return (info.verb, info.group, info.version, info.namespace, info.resource, info.subresource, info.name)


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("GET", b"/api/v1/namespaces", b"", ("list", "", "v1", "", "namespaces", "", "")),
        ("GET", NS, b"", ("get", "", "v1", "default", "namespaces", "", "default")),
        ("PUT", NS + b"/finalize", b"", ("update", "", "v1", "default", "namespaces", "finalize", "default")),
        ("GET", NS + b"/pods", b"", ("list", "", "v1", "default", "pods", "", "")),
        ("GET", NS + b"/pods", b"watch=1", ("watch", "", "v1", "default", "pods", "", "")),
        ("GET", NS + b"/pods", b"watch", ("watch", "", "v1", "default", "pods", "", "")),
        ("GET", NS + b"/pods", b"watch=FALSE", ("list", "", "v1", "default", "pods", "", "")),
        ("GET", NS + b"/pods", b"watch=0&watch=1", ("list", "", "v1", "default", "pods", "", "")),
        ("GET", NS + b"/pods", b"fieldSelector=metadata.name%3Dx", ("list", "", "v1", "default", "pods", "", "x")),
        ("GET", NS + b"/pods/p", b"watch=1", ("get", "", "v1", "default", "pods", "", "p")),
        ("HEAD", NS + b"/pods/p", b"", ("get", "", "v1", "default", "pods", "", "p")),
        ("POST", NS + b"/pods", b"", ("create", "", "v1", "default", "pods", "", "")),
        ("PATCH", NS + b"/pods/p", b"", ("patch", "", "v1", "default", "pods", "", "p")),
        ("DELETE", NS + b"/pods/p", b"", ("delete", "", "v1", "default", "pods", "", "p")),
        ("DELETE", NS + b"/pods", b"", ("deletecollection", "", "v1", "default", "pods", "", "")),
        ("OPTIONS", NS + b"/pods", b"", ("", "", "v1", "default", "pods", "", "")),
        ("get", NS + b"/pods", b"", ("", "", "v1", "default", "pods", "", "")),
        ("GET", NS + b"/pods/p/exec", b"command=sh", ("get", "", "v1", "default", "pods", "exec", "p")),
        (
            "POST",
            NS + b"/services/https:s:443/proxy/a/b",
            b"",
            ("create", "", "v1", "default", "services", "proxy", "https:s:443"),
        ),
        ("GET", b"/api/v1/nodes/n/proxy/exec/x", b"", ("get", "", "v1", "", "nodes", "proxy", "n")),
        ("GET", b"/api/v1/watch/secrets", b"", ("watch", "", "v1", "", "secrets", "", "")),
        ("GET", b"/api/v1/watch/namespaces/d/secrets/s", b"", ("watch", "", "v1", "d", "secrets", "", "s")),
        ("GET", b"/api/v1/proxy/namespaces/d/services/s/x", b"", ("proxy", "", "v1", "d", "services", "", "s")),
        (
            "PUT",
            b"/apis/apps/v1/namespaces/d/deployments/x/scale",
            b"",
            ("update", "apps", "v1", "d", "deployments", "scale", "x"),
        ),
        ("GET", b"/apis/apps/v1/namespaces", b"", ("list", "apps", "v1", "", "namespaces", "", "")),
        ("GET", b"/%61pi/v1/%73ecrets", b"", ("list", "", "v1", "", "secrets", "", "")),
        ("GET", b"/api/v1%2Fsecrets", b"", ("list", "", "v1", "", "secrets", "", "")),
        ("GET", b"/api/v1/Secrets", b"", ("list", "", "v1", "", "Secrets", "", "")),
        ("GET", b"//api/v1/secrets/", b"", ("list", "", "v1", "", "secrets", "", "")),
        ("GET", b"/api/v1/pods//exec", b"", ("list", "", "v1", "", "pods", "exec", "")),
    ],
)
def test_a_resource_is_read_as_the_api_server_reads_it(method: str, path: bytes, query: bytes, expected: tuple[str, ...]) -> None:
    info = read_request(method, path, query)
    assert info.is_resource
    assert about(info) == expected


@pytest.mark.parametrize(
    "path", [b"", b"/", b"/api", b"/api/v1", b"/api/v1/", b"/apis/apps/v1", b"/version", b"/API/v1/secrets", b"/k8s/api/v1/pods"]
)
def test_other_paths_are_no_resource_and_their_verb_is_the_method(path: bytes) -> None:
    info = read_request("POST", path)
    assert (info.is_resource, info.verb) == (False, "post")


def test_a_path_that_cannot_be_decoded_is_no_request() -> None:
    with pytest.raises(BadPath):
        read_request("GET", b"/api/v1/%zz")


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("GET", NS + b"/secrets", "list secrets in default"),
        ("PUT", b"/apis/apps/v1/namespaces/d/deployments/x/scale", "update deployments.apps/scale x in d"),
        ("DELETE", NS, "delete namespaces default"),
        ("GET", b"/version", "get /version"),
    ],
)
def test_a_request_is_told_in_a_few_words(method: str, path: bytes, said: str) -> None:
    assert str(read_request(method, path)) == said


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"/",
        b"/api/v1/",
        NS + b"/pods/",
        b"/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
        NS + b"/services/s/proxy/a%2Fb//c%25/%5c",
        NS + b"/pods/p/proxy/",
        b"/api/v1/nodes/n/proxy",
        b"/openapi/v3/apis/apps/v1",
    ],
)
def test_a_path_with_one_meaning_is_canonical(path: bytes) -> None:
    assert why_not_canonical(path) == ""


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (b"//api/v1/secrets", "double slash"),
        (b"/api/v1//secrets", "double slash"),
        (b"/api/v1/secrets//", "double slash"),
        (b"/api/v1/./secrets", ". or .. segment"),
        (b"/api/v1/x/../secrets", ". or .. segment"),
        (b"/api/v1/x/%2e%2E/secrets", ". or .. segment"),
        (b"/api/v1/secrets/..", ". or .. segment"),
        (b"/api/v1%2Fsecrets", "encoded slash"),
        (NS + b"/pods/p%2fexec", "encoded slash"),
        (b"/api/v1/a\\..\\secrets", "backslash"),
        (b"/api/v1/a%5csecrets", "backslash"),
        (b"/api/v1/%2573ecrets", "percent sign"),
        (b"/api/v1/a%0asecrets", "control character"),
        (b"/api/v1/a%00", "control character"),
        (NS + b"/services/s/proxy/../../../secrets", ". or .. segment"),
        (NS + b"/services/s/proxy/..%2f..%2fsecrets", ". or .. segment"),
        (NS + b"/services/s/proxy/a%5c..%5cb", ". or .. segment"),
        (NS + b"/services//proxy/a/../b", "double slash"),
        (NS + b"/services/s%2Fproxy/a", "encoded slash"),
        (b"*", "begin with a slash"),
    ],
)
def test_a_path_that_others_could_read_differently_is_not(path: bytes, why: str) -> None:
    assert why in why_not_canonical(path)
