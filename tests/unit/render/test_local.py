"""The local proxy as it is rendered: what changes while it runs, and what only a reload does."""

from dataclasses import replace

import pytest

from kubegate.model.address import Endpoint
from kubegate.model.filters import default_filters
from kubegate.model.proxy_plan import Admission, Listener, ProxyPlan, Target
from kubegate.render.haproxy.live import Change, Command, Rewrite, change
from kubegate.render.haproxy.local import shape
from kubegate.render.haproxy.local.backend import CREDENTIALS_FILE
from kubegate.render.haproxy.local.frontend import CONTEXTS_FILE
from kubegate.render.haproxy.shape import Shape

TARGET = Target("c0", "dev", "api.test", True, (Endpoint("192.0.2.1", 6443),), authorization="Bearer one", pair=b"PAIR ONE")


def plan(target: Target = TARGET, **more: object) -> ProxyPlan:
    listener = Listener("proxy", 7, "c0", ("127.0.0.1",), 8001, several=True, token="admission" in more)
    return replace(ProxyPlan((listener,), (target,), default_filters(), "/run/ask.sock"), **more)  # type: ignore[arg-type]


def drawn(target: Target = TARGET, **more: object) -> Shape:
    return shape(plan(target, **more), "/run/")


def live(after: Shape) -> Change | None:
    return change(drawn(), after)


def test_another_token_writes_the_map_anew_and_no_command_holds_it() -> None:
    found = live(drawn(replace(TARGET, authorization="Bearer two; del map x")))
    assert found is not None
    assert found.leads == (Rewrite("map", CREDENTIALS_FILE, ("c0 Bearer two; del map x",)),)
    assert not found.additions and not found.retired


def test_another_certificate_is_another_server_that_takes_requests_at_once() -> None:
    found = live(drawn(replace(TARGET, pair=b"PAIR TWO")))
    assert found is not None
    texts = [step.text for step in found.additions if isinstance(step, Command)]
    assert [text.split()[:3] for text in texts[:3]] == [["new", "ssl", "cert"], ["set", "ssl", "cert"], ["commit", "ssl", "cert"]]
    assert sum(text.startswith("add server") for text in texts) == 2
    assert sum(text.startswith("enable server") for text in texts) == 2
    assert not any(text.startswith(("enable health", "set server")) for text in texts)
    assert set(found.retired) == {"c0", "c0:stream"}
    assert "PAIR" not in " ".join(texts)


@pytest.mark.parametrize(
    "target",
    [
        replace(TARGET, impersonation=(("Impersonate-User", "jane"),)),
        replace(TARGET, path="/k8s"),
        replace(TARGET, host="other.test"),
        replace(TARGET, aliases=("d",)),
    ],
)
def test_who_asks_and_where_is_a_reload_or_a_map(target: Target) -> None:
    found = live(drawn(target))
    assert found is None or bool(target.aliases)


def test_a_context_without_a_credential_is_marked() -> None:
    for target, value in (
        (replace(TARGET, authorization=""), "-"),
        (replace(TARGET, gone="removed"), "!"),
        (TARGET, "Bearer one"),
    ):
        assert drawn(target).maps[CREDENTIALS_FILE] == {"c0": value}


def test_names_are_looked_up_by_their_bytes() -> None:
    found = drawn(replace(TARGET, name="a b/ü", aliases=("x",)))
    assert found.maps[CONTEXTS_FILE] == {"78": "c0", "a b/ü".encode().hex().upper(): "c0"}


def test_a_server_that_is_not_proven_is_not_asked() -> None:
    assert drawn(replace(TARGET, servers=())).servers == {}


def test_every_section_that_leads_on_has_the_filters_and_the_credential() -> None:
    for section in drawn().sections:
        if section.backend:
            text = "\n".join(section.lines)
            assert text.index("lua.kubegate_filter") < text.index(CREDENTIALS_FILE) < text.index("set-header Host")


def test_secrets_are_in_no_section() -> None:
    found = drawn(admission=Admission(token_digest="AB" * 32))
    text = "\n".join(line for section in found.sections for line in section.lines)
    assert "Bearer one" not in text and "PAIR" not in text


def test_percent_signs_are_letters_where_a_format_stands() -> None:
    found = drawn(replace(TARGET, impersonation=(("Impersonate-User", "100%[path]'x"),)))
    lines = [line for section in found.sections for line in section.lines if "Impersonate-User" in line]
    assert lines == ["http-request add-header Impersonate-User '100%%[path]'\\''x'"] * 2
