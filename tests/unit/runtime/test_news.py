"""What HAProxy says about servers becomes one sentence, and everything else none."""

import pytest

from kubegate.model.problem import Problem
from kubegate.runtime.generation import alerts
from kubegate.runtime.news import News
from kubegate.runtime.process import server_news

ELSE = "check duration: 0ms. 0 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue."


@pytest.mark.parametrize(
    ("line", "news"),
    [
        (
            f'[WARNING]  (7) : Server dev/10.0.0.1:6443 is DOWN, reason: Layer4 connection problem, info: "Refused", {ELSE}',
            "API server 10.0.0.1:6443 is down: Layer4 connection problem, Refused",
        ),
        (
            f'[WARNING]  (7) : Server dev/[::1]:6443 is DOWN, reason: Layer7 wrong status, code: 500, info: "Oops", {ELSE}',
            "API server [::1]:6443 is down: Layer7 wrong status, status 500, Oops",
        ),
        (
            "[WARNING]  (7) : Server a/10.0.0.1:6443_0123abcd is UP, reason: Layer7 check passed, code: 200, check duration.",
            "API server 10.0.0.1:6443 answers again",
        ),
        (f"[WARNING]  (7) : Server dev:stream/10.0.0.1:6443 is DOWN, reason: Layer4 timeout, {ELSE}", None),
        ("[NOTICE]   (7) : New worker (8) forked", None),
        ("[ALERT]    (7) : backend 'dev' has no server available!", None),
        ("", None),
    ],
)
def test_news(line: str, news: str | None) -> None:
    assert server_news(line) == news


def test_alerts_are_told_as_one_line() -> None:
    said = "[NOTICE] (1) : version\n[ALERT] (1) : config : a : b\n[ALERT] (1) : c\n"
    assert alerts(said) == "config : a : b; c"
    assert alerts(" nothing of the kind \n") == "nothing of the kind"
    assert alerts("") == "it gave no reason"


def test_a_warning_is_said_once_and_again_when_it_is_back() -> None:
    said: list[str] = []
    news = News(said.append)
    one, two = Problem("cluster a", "x", "is wrong", "mend it"), Problem("", "y", "is old")
    for warnings in ((one,), (one, two, two), (two,), (one, two)):
        news.warned(warnings)
    assert said == ["warning: cluster a: is wrong", "warning: is old", "warning: cluster a: is wrong"]
