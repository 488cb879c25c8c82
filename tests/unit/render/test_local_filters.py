"""Which conditions let an ordinary request pass; that they let no other one pass is shown with HAProxy (tests/feature)."""

import re
from dataclasses import replace

import pytest

from kubegate.model.filters import Filters, default_filters, read_denied
from kubegate.render.haproxy.local.filters import global_lines, lua, rules
from kubegate.render.haproxy.local.script import string
from tests.support.filter_lists import with_lists

PATH = "var(txn.path)"


def quick(filters: Filters) -> list[str] | None:
    """The conditions of the rule that lets pass; None without one."""
    found = [rule for rule in rules(filters) if "set-var(txn.passes)" in rule]
    return re.findall(r"!?\{ .*? \}", found[0].partition(" if ")[2]) if found else None


def test_without_flags_an_ordinary_request_meets_two_string_conditions() -> None:
    assert quick(default_filters()) == [
        f"{{ {PATH} -m found }}",
        f"!{{ {PATH} -m sub -- '%' '//' '/.' '/exec' '/attach' }}",
        "{ var(txn.host),host_only -m str -- 'localhost' '127.0.0.1' '[::1]' }",
    ]


def test_a_rule_at_the_end_refuses_what_nobody_decided() -> None:
    *_, asks, last = rules(default_filters())
    assert asks == "http-request lua.kubegate_filter unless { var(txn.passes) -m bool }"
    assert last.startswith("http-request return status 503 ") and last.endswith(" unless { var(txn.passes) -m bool }")


@pytest.mark.parametrize(
    ("filters", "conditions"),
    [
        (with_lists(reject_methods="POST,^PU"), ["{ method GET HEAD PATCH DELETE OPTIONS }"]),
        (with_lists(accept_paths="^/api/.*,^/ui"), [f"{{ {PATH} -m beg -- '/api/' '/ui' }}"]),
        (with_lists(reject_paths="^/a.*b$,c$,^/d$"), [f"!{{ {PATH} -m end -- 'c' }}", f"!{{ {PATH} -m str -- '/d' }}"]),
        (replace(default_filters(), read_only=True), ["{ method GET HEAD }", "!{ req.fhdr(upgrade) -m found }"]),
        (replace(default_filters(), read_only=True), [f"{{ {PATH} -m beg -- '/api/' '/apis/' '/openapi/' }}"]),
    ],
)
def test_other_filters_are_conditions_too(filters: Filters, conditions: list[str]) -> None:
    found = quick(filters)
    assert found is not None
    assert set(conditions) <= set(found)


def test_a_denied_resource_is_one_more_string() -> None:
    denied, _ = read_denied("--deny", ["secrets", "*/exec", "*.apps"])
    found = quick(replace(default_filters(), deny=denied))
    assert found is not None
    assert f"!{{ {PATH} -m sub -- '%' '//' '/.' '/exec' '/attach' '\\' '/secrets' '/apps/' }}" in found


@pytest.mark.parametrize(
    "filters",
    [
        with_lists(reject_paths="a|b"),
        with_lists(reject_paths=".*"),
        with_lists(accept_paths=""),
        with_lists(accept_paths="a.*b,[c]"),
        with_lists(accept_hosts="localhost"),
        with_lists(accept_hosts="^a:b$"),
        with_lists(reject_methods="(?i)get"),
        with_lists(reject_methods=".*"),
        replace(with_lists(reject_methods="GET,HEAD"), read_only=True),
        replace(default_filters(), deny=read_denied("--deny", ["*"])[0]),
    ],
)
def test_where_plain_strings_cannot_say_that_it_passes_no_condition_does(filters: Filters) -> None:
    assert quick(filters) is None


def test_without_lists_only_odd_paths_are_looked_at() -> None:
    conditions = [f"{{ {PATH} -m found }}", f"!{{ {PATH} -m sub -- '%' '//' '/.' }}"]
    assert quick(replace(default_filters(), disabled=True)) == conditions


def test_a_quote_in_a_pattern_stays_one_word() -> None:
    found = rules(with_lists(reject_paths='it\'s,-i "x"'))
    assert "'it'\\''s' '-i \"x\"'" in found[0]


def test_lua_strings_hold_any_byte() -> None:
    assert string('a"b\\c\n\u00e9') == '"a\\"b\\\\c\\010\\195\\169"'


def test_a_question_is_put_once() -> None:
    assert "httpclient.retries 0" in global_lines()


def test_the_script_names_the_socket_and_no_pattern_but_in_strings() -> None:
    text = lua("/run/x/ask.sock", with_lists(reject_paths='" os.exit --'))
    assert '"unix@/run/x/ask.sock"' in text
    assert '" os.exit --' not in "".join(re.split(r'"(?:[^"\\]|\\.)*"', text))
