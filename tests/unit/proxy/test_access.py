"""`--read-only` and `--deny`: resources and verbs as the API server reads them, and nothing else to read them by."""

from dataclasses import replace

import pytest

from kubegate.model.filters import Filters, default_filters, read_denied
from kubegate.model.refusals import Refusal
from kubegate.proxy.access import refused

NS = "/api/v1/namespaces/default"
READ_ONLY = replace(default_filters(), read_only=True)


def denying(*texts: str) -> Filters:
    denied, problems = read_denied("--deny", list(texts))
    assert not problems
    return replace(default_filters(), deny=denied)


def look(filters: Filters, method: str, target: str, *, upgrade: bool = False, body: bool = False) -> Refusal | None:
    path, _, query = target.partition("?")
    return refused(filters, method, path.encode("latin-1"), query.encode(), upgrade=upgrade, body=body)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "target",
    [
        f"{NS}/pods",
        f"{NS}/pods?watch=1",
        f"{NS}/pods/p",
        f"{NS}/pods/p/log?follow=1",
        f"{NS}/pods/p/status",
        f"{NS}/pods/exec",
        f"{NS}/services/proxy",
        "/api/v1/namespaces/exec/pods/attach",
        "/api/v1/watch/namespaces/d/pods",
        "/apis/apps/v1/deployments",
        "/openapi/v3/api/v1",
        "/apis/api.example.com/api",
        "/version",
        "/",
        "",
    ],
)
def test_reading_is_left(method: str, target: str) -> None:
    assert look(READ_ONLY, method, target) is None


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE"])
@pytest.mark.parametrize(
    "target",
    [
        f"{NS}/pods/p/exec?command=ls",
        f"{NS}/pods/p/%65xec",
        f"{NS}/pods/p/exec/",
        f"{NS}/pods/p/attach",
        f"{NS}/pods/p/portforward",
        f"{NS}/pods/p/proxy",
        f"{NS}/pods/p/proxy/a/b",
        f"{NS}/services/https:s:443/proxy/",
        "/api/v1/nodes/n/proxy/exec/d/p/c",
        "/api/v1/proxy/nodes/n/exec",
        "/api/v1/proxy/namespaces/d/services/s/x",
        "/apis/subresources.example.com/v1/namespaces/d/machines/m/portforward",
        f"{NS}/pods/p/exec?dryRun=All",
        f"{NS}/services/s/proxy/x?dryRun=All",
    ],
)
def test_what_runs_or_reaches_something_is_closed_by_any_method(method: str, target: str) -> None:
    found = look(READ_ONLY, method, target)
    assert found is not None
    assert found.rule == "--read-only"


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", f"{NS}/pods"),
        ("PUT", f"{NS}/pods/p"),
        ("PATCH", f"{NS}/pods/p/ephemeralcontainers"),
        ("DELETE", f"{NS}/pods/p"),
        ("DELETE", f"{NS}/pods"),
        ("POST", f"{NS}/serviceaccounts/s/token"),
        ("POST", "/api/v1/watch/pods"),
        ("POST", "/oauth/token"),
        ("TRACE", "/version"),
        ("get", f"{NS}/pods"),
    ],
)
def test_writing_is_closed(method: str, target: str) -> None:
    assert look(READ_ONLY, method, target) is not None


@pytest.mark.parametrize(
    ("target", "closed"),
    [
        ("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", False),
        ("/apis/authorization.k8s.io/v1/namespaces/d/localsubjectaccessreviews", False),
        ("/apis/authentication.k8s.io/v1/tokenreviews", False),
        ("/apis/authentication.k8s.io/v1/selfsubjectreviews", False),
        ("/apis/example.com/v1/namespaces/d/codereviews", True),
        ("/api/v1/namespaces/d/tokenreviews", True),
        ("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews/x/exec", True),
    ],
)
def test_questions_about_rights_are_left_and_objects_of_that_name_are_not(target: str, closed: bool) -> None:
    assert (look(READ_ONLY, "POST", target, body=True) is not None) is closed


@pytest.mark.parametrize(
    ("method", "target", "closed"),
    [
        ("POST", f"{NS}/pods?dryRun=All", False),
        ("PATCH", f"{NS}/pods/p?fieldManager=x&dryRun=All", False),
        ("PUT", f"{NS}/pods/p/status?dryRun=All", False),
        ("POST", f"{NS}/pods/p/eviction?dryRun=All", False),
        ("POST", f"{NS}/pods?dryRun=", True),
        ("POST", f"{NS}/pods?dryRun=all", True),
        ("POST", f"{NS}/pods?dryrun=All", True),
        ("POST", f"{NS}/pods?dryRun=All;x=1", True),
        ("POST", f"{NS}/pods?dryRun=All%zz", True),
        ("POST", f"{NS}/pods?dryRun=All&dryRun=None", True),
        ("POST", f"{NS}/pods?x=dryRun=All", True),
        # A token is issued for good, dry run or not; a subresource that is not known may be anything.
        ("POST", f"{NS}/serviceaccounts/s/token?dryRun=All", True),
        ("PUT", "/apis/subresources.example.com/v1/namespaces/d/machines/m/stop?dryRun=All", True),
        ("POST", "/oauth/token?dryRun=All", True),
        ("TRACE", f"{NS}/pods/p?dryRun=All", True),
    ],
)
def test_a_dry_run_is_left_where_the_api_server_only_rehearses(method: str, target: str, closed: bool) -> None:
    assert (look(READ_ONLY, method, target, body=True) is not None) is closed


@pytest.mark.parametrize("target", [f"{NS}/pods/p?dryRun=All", f"{NS}/pods?dryRun=All"])
def test_a_deletion_with_a_body_takes_its_options_from_there(target: str) -> None:
    assert look(READ_ONLY, "DELETE", target, body=True) is not None
    assert look(READ_ONLY, "DELETE", target, body=False) is None


@pytest.mark.parametrize(
    ("target", "closed"),
    [
        (f"{NS}/pods?watch=1", False),
        (f"{NS}/pods/p/log?follow=1", False),
        (f"{NS}/pods", True),
        ("/apis/subresources.example.com/v1/namespaces/d/machines/m/console", True),
        ("/version", True),
    ],
)
def test_an_upgrade_is_left_to_watches_and_logs(target: str, closed: bool) -> None:
    assert (look(READ_ONLY, "GET", target, upgrade=True) is not None) is closed


@pytest.mark.parametrize(
    "target",
    [
        "/api/v1/secrets",
        "/api/v1/secrets?watch=1",
        f"{NS}/secrets",
        f"{NS}/secrets/s",
        "/api/v1/watch/secrets",
        "/api/v1/watch/namespaces/d/secrets",
        "/api/v1/watch/namespaces/d/secrets/s",
        "/api/v1/%73ecrets",
        "/%61pi/v1/secrets/",
        "/apis/example.com/v1/secrets",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS"])
def test_a_denied_resource_is_closed_by_every_way(method: str, target: str) -> None:
    found = look(denying("secrets"), method, target)
    assert found is not None
    assert found.rule == "--deny secrets"


@pytest.mark.parametrize(
    "target",
    [
        "/api/v1/namespaces/secrets",
        "/api/v1/namespaces/secrets/pods",
        f"{NS}/pods/secrets",
        f"{NS}/configmaps",
        # Case is exact: an API server knows none of these.
        "/api/v1/Secrets",
        "/API/v1/secrets",
        "/openapi/v3/api/v1",
        f"{NS}/services/s/proxy/a%2fb//secrets",
    ],
)
def test_what_only_has_its_name_is_not(target: str) -> None:
    assert look(denying("secrets"), "GET", target) is None


@pytest.mark.parametrize(
    ("denied", "target", "closed"),
    [
        ("pods/exec", f"{NS}/pods/p/exec", True),
        ("pods/exec", f"{NS}/pods/p", False),
        ("pods", f"{NS}/pods/p/exec", True),
        ("*/proxy", f"{NS}/services/s/proxy/x", True),
        ("*/proxy", "/api/v1/proxy/namespaces/d/services/s/x", True),
        ("services/proxy", "/api/v1/proxy/namespaces/d/services/s/x", True),
        ("services/proxy", f"{NS}/services/s", False),
        ("deployments.apps", "/apis/apps/v1/namespaces/d/deployments", True),
        ("deployments.apps", "/apis/other.io/v1/namespaces/d/deployments", False),
        ("secrets.", "/api/v1/secrets", True),
        ("secrets.", "/apis/example.com/v1/secrets", False),
        ("*.rbac.authorization.k8s.io", "/apis/rbac.authorization.k8s.io/v1/clusterroles", True),
        ("namespaces", NS, True),
        ("namespaces", f"{NS}/finalize", True),
        ("namespaces", f"{NS}/pods", False),
    ],
)
def test_groups_and_subresources_narrow_what_is_denied(denied: str, target: str, closed: bool) -> None:
    assert (look(denying(denied), "GET", target) is not None) is closed


@pytest.mark.parametrize("filters", [READ_ONLY, denying("secrets")], ids=["read-only", "deny"])
@pytest.mark.parametrize(
    "target",
    [
        "//api/v1/pods",
        "/api/v1//pods",
        "/api/v1/./pods",
        "/version/../api/v1/pods",
        "/api/v1/%2e%2e/pods",
        "/api/v1/a%2fb",
        "/api/v1/%2573ecrets",
        "/api/v1/a\\b",
        f"{NS}/services/s/proxy/../../../secrets",
        "/k8s/clusters/c/api/v1/secrets",
        "/x/apis/apps/v1",
    ],
)
def test_a_path_that_could_be_another_one_is_refused(filters: Filters, target: str) -> None:
    found = look(filters, "GET", target)
    assert found is not None
    assert found.rule == ("--read-only: path" if filters.read_only else "--deny: path")


def test_a_refusal_says_what_the_request_was_taken_for() -> None:
    found = look(READ_ONLY, "DELETE", "/apis/apps/v1/namespaces/d/deployments/x")
    assert found is not None
    assert found.message == "--read-only refuses this request (delete deployments.apps x in d)"


def test_a_refusal_stays_short_and_one_line() -> None:
    found = look(denying("secrets"), "GET", "/api/v1/secrets/" + "x" * 5000 + "%ff")
    assert found is not None
    assert len(found.message) < 250
