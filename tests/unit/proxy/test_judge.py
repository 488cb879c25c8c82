"""The verdicts of `kubectl proxy`: the tables of its own tests, edge cases as they were measured, what is stricter."""

from dataclasses import replace

import pytest

from kubegate.model.filters import Filters, default_filters
from kubegate.model.patterns import read_pattern
from kubegate.model.problem import InvalidInput
from kubegate.proxy.judge import Judge
from tests.support.filter_lists import with_lists

POD = "/api/v1/namespaces/default/pods/somepod"


def allows(found: Filters, method: str, host: str, path: str) -> bool:
    return Judge(found).verdict(method, host, path.encode(), b"").allowed


@pytest.mark.parametrize(
    ("host", "method", "path", "reject_paths", "reject_methods", "accepted"),
    [
        ("127.0.0.1", "GET", "", None, None, True),
        ("127.0.0.1", "GET", "/api/v1/pods", None, None, True),
        ("localhost", "GET", "/api/v1/pods", None, None, True),
        ("localhost", "GET", "/api/v1/namespaces/default/pods/foo", None, None, True),
        ("localhost", "GET", "/api/v1/namespaces/default/pods/attachfoo", None, None, True),
        ("localhost", "GET", "/api/v1/namespaces/default/pods/execfoo", None, None, True),
        ("127.0.0.1", "GET", "/api/v1/namespaces/default/pods/foo/exec", None, None, False),
        ("127.0.0.1", "GET", "/api/v1/namespaces/default/pods/foo/attach", None, None, False),
        ("evil.com", "GET", "/api/v1/pods", None, None, False),
        ("localhost.evil.com", "GET", "/api/v1/pods", None, None, False),
        ("127a0b0c1", "GET", "/api/v1/pods", None, None, False),
        ("localhost", "GET", "/ui", None, None, True),
        ("localhost", "POST", "/api/v1/pods", None, None, True),
        ("localhost", "PUT", POD, None, None, True),
        ("localhost", "PATCH", POD, None, None, True),
        ("127.0.0.1", "GET", "/api/v1/pods", None, "GET", False),
        ("localhost", "POST", "/api/v1/pods", None, "POST", False),
        ("localhost", "PUT", POD, None, "PUT", False),
        ("localhost", "PATCH", POD, None, "PATCH", False),
        ("localhost", "PATCH", POD, None, "POST,PUT,PATCH", False),
        ("localhost", "PUT", POD, None, "POST,PUT,PATCH", False),
        ("localhost", "POST", f"{POD}/exec", None, None, False),
        ("localhost", "POST", f"{POD}/exec", "", None, True),
    ],
)
def test_accept(host: str, method: str, path: str, reject_paths: str | None, reject_methods: str | None, accepted: bool) -> None:
    given = {"reject_paths": reject_paths, "reject_methods": reject_methods}
    found = with_lists(**{name: text for name, text in given.items() if text is not None})
    assert allows(found, method, host, path) is accepted


@pytest.mark.parametrize(
    ("text", "patterns", "fits"),
    [("foo", "bar,.*", True), ("foo", "bar,fo.*", True), ("bar", "bar,fo.*", True), ("baz", "bar,fo.*", False)],
)
def test_a_list_fits_if_one_of_its_patterns_does(text: str, patterns: str, fits: bool) -> None:
    assert allows(with_lists(accept_paths=patterns), "GET", "localhost", f"/{text}") is fits


@pytest.mark.parametrize("name", ["accept_hosts", "accept_paths"])
def test_an_empty_list_of_what_is_accepted_accepts_nothing(name: str) -> None:
    verdict = Judge(with_lists(**{name: ""})).verdict("GET", "localhost", b"/", b"")
    assert (verdict.allowed, verdict.status) == (False, 403)
    assert verdict.rule == f"--{name.replace('_', '-')}"


@pytest.mark.parametrize("name", ["reject_paths", "reject_methods"])
def test_an_empty_list_of_what_is_rejected_rejects_nothing(name: str) -> None:
    assert allows(with_lists(**{name: ""}), "GET", "localhost", "/api/v1/pods")


@pytest.mark.parametrize(
    ("path", "accepted"),
    [
        # Passes there too, for a pattern knows nothing of resources; --deny and --read-only do.
        (f"{POD}/portforward", True),
        ("/api/v1/nodes/n/proxy/exec/x", True),
        (f"{POD}/ephemeralcontainers", True),
        ("/API/v1/namespaces/d/pods/p/exec", True),
        (f"{POD}/proxy/exec", False),
        (f"{POD}/execX", False),
        ("/api/v1/namespaces/pods/x/y/exec", False),
        # Escapes are decoded first.
        ("/api/v1/namespaces/d/pods/p/%65xec", False),
        ("/api/v1/namespaces/d/pods%2Fp%2Fexec", False),
        # A bad byte is a character to Go; a line feed is none that a dot takes.
        ("/api/v1/namespaces/%ff/pods/p/exec", False),
        ("/api/v1/namespaces/%e2%82/pods/p/exec", False),
        ("/api/v1/name%0aspaces/d/pods/p/exec", True),
    ],
)
def test_paths_that_the_default_list_lets_pass_or_not(path: str, accepted: bool) -> None:
    assert allows(default_filters(), "GET", "localhost", path) is accepted


@pytest.mark.parametrize(
    ("accept_paths", "reject_paths", "accepted"),
    [("^.*", "", True), ("^/", "", False), ("^$", "", True), ("^.*", "^$", False), ("^.*", "^/$", False), ("^.*", "^/b", True)],
)
def test_the_root_is_the_empty_text_and_what_rejects_a_slash_rejects_it_too(
    accept_paths: str, reject_paths: str, accepted: bool
) -> None:
    for path in ("/", "//", "/a/..", "/%2F"):
        found = with_lists(accept_paths=accept_paths, reject_paths=reject_paths)
        assert allows(found, "GET", "localhost", path) is (accepted and (path == "/" or accept_paths != "^$"))


@pytest.mark.parametrize("host", ["[::1]:8001", "[::1]", "LOCALHOST", "localhost.:8001", "[0::1]", "localhost:abc"])
def test_every_form_of_a_local_host_is_accepted(host: str) -> None:
    assert allows(default_filters(), "GET", host, "/api")


@pytest.mark.parametrize(
    "host", ["", "evil.com", "localhost..", "evil.com,localhost", "::1x", "localhost\udcff", "127.0.0.1:1:2"]
)
def test_no_other_host_is(host: str) -> None:
    assert not allows(default_filters(), "GET", host, "/api")


@pytest.mark.parametrize(
    "path",
    ["//api/v1/namespaces/d/pods/p/exec", "/x/../api/v1/namespaces/d/pods/p/exec", "/%2fapi/v1/./namespaces/d/pods/p/exec"],
)
def test_what_a_path_would_be_when_cleaned_has_to_pass_too(path: str) -> None:
    assert not allows(default_filters(), "GET", "localhost", path)
    assert not allows(with_lists(accept_paths="^/x,^//api"), "GET", "localhost", path)


@pytest.mark.parametrize("path", ["/api/v1//pods", "/api/./v1", "/.well-known/x"])
def test_an_unclean_path_passes_if_both_readings_do(path: str) -> None:
    assert allows(default_filters(), "GET", "localhost", path)


def test_a_path_that_cannot_be_decoded_is_a_bad_request_whatever_the_lists_say() -> None:
    for found in (default_filters(), replace(default_filters(), disabled=True)):
        verdict = Judge(found).verdict("GET", "localhost", b"/api/%zz", b"")
        assert (verdict.allowed, verdict.status, verdict.rule) == (False, 400, "path")


@pytest.mark.parametrize(
    ("method", "host", "path", "rule"),
    [
        ("GET", "localhost", f"{POD}/exec", "--reject-paths ^/api/.*/pods/.*/exec"),
        # Paths come before methods, and both before what is accepted.
        ("POST", "evil.com", f"{POD}/attach", "--reject-paths ^/api/.*/pods/.*/attach"),
        ("POST", "evil.com", "/other", "--reject-methods ^POST$"),
        ("GET", "evil.com", "/other", "--accept-paths"),
        ("GET", "evil.com", "/api", "--accept-hosts"),
        ("GET", "localhost", "/api", "--accept-paths ^/api, --accept-hosts ^localhost$"),
    ],
)
def test_a_verdict_names_the_rule_that_decides(method: str, host: str, path: str, rule: str) -> None:
    found = with_lists(accept_paths="^/ui,^/api", reject_methods="^POST$")
    assert Judge(found).verdict(method, host, path.encode(), b"").rule == rule


def test_disabled_lists_let_everything_pass_and_rules_on_resources_stay() -> None:
    found = replace(with_lists(accept_hosts=""), disabled=True)
    assert Judge(found).verdict("POST", "evil.com", f"{POD}/exec".encode(), b"").rule == "--disable-filter"
    verdict = Judge(replace(found, read_only=True)).verdict("POST", "evil.com", f"{POD}/exec".encode(), b"")
    assert (verdict.allowed, verdict.rule) == (False, "--read-only")


def test_lists_come_before_rules_on_resources() -> None:
    verdict = Judge(replace(default_filters(), read_only=True)).verdict("GET", "localhost", f"{POD}/exec".encode(), b"")
    assert verdict.rule.startswith("--reject-paths")


def test_every_refused_pattern_of_every_list_is_told() -> None:
    found = replace(
        default_filters(), accept_hosts=(read_pattern("["),), reject_methods=(read_pattern("a"), read_pattern("(?!b)"))
    )
    with pytest.raises(InvalidInput) as refused:
        Judge(found)
    assert [problem.where for problem in refused.value.problems] == ["--accept-hosts", "--reject-methods"]


def test_a_path_too_long_for_patterns_as_large_is_refused_before_they_are_looked_for() -> None:
    judge = Judge(with_lists(reject_paths="a.{1000}b.{1000}c"))
    assert judge.longest == 1024
    verdict = judge.verdict("GET", "localhost", b"/" + b"a" * 1024, b"")
    assert (verdict.allowed, verdict.status) == (False, 400)
    assert judge.verdict("GET", "localhost", b"/" + b"a" * 1023, b"").allowed
    assert judge.verdict("GET", "x" * 1025, b"/", b"").rule == "length"
    # What counts is what RE2 gets to see: three bytes for a bad one.
    assert not judge.verdict("GET", "localhost", b"/" + b"%ff" * 342, b"").allowed


def test_patterns_that_are_larger_still_are_refused() -> None:
    with pytest.raises(InvalidInput) as refused:
        Judge(with_lists(reject_paths="a.{1000}b.{1000}c.{1000}d"))
    assert [problem.code for problem in refused.value.problems] == ["pattern.large"]


def test_patterns_of_plain_strings_take_paths_of_any_length() -> None:
    assert Judge(default_filters()).verdict("GET", "localhost", b"/a" * 100_000, b"").allowed
