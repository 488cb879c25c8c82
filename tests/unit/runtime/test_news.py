"""What HAProxy says about servers becomes one sentence, and everything else none."""

import pytest

from kubegate.model.problem import Problem
from kubegate.runtime.generation import alerts
from kubegate.runtime.news import News
from kubegate.runtime.server_news import ServerNews

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
            None,
        ),
        (f"[WARNING]  (7) : Server dev:stream/10.0.0.1:6443 is DOWN, reason: Layer4 timeout, {ELSE}", None),
        ("[NOTICE]   (7) : New worker (8) forked", None),
        ("[ALERT]    (7) : backend 'dev' has no server available!", None),
        ("", None),
    ],
)
def test_news(line: str, news: str | None) -> None:
    assert heard(line) == ([news] if news else [])


DOWN, UP = "Server a/10.0.0.1:6443_0123abcd is DOWN, reason: Layer4 timeout.", "Server a/10.0.0.1:6443_0123abcd is UP."


def test_only_a_server_that_was_down_answers_again_and_what_another_worker_repeats_is_no_news() -> None:
    down, again = "API server 10.0.0.1:6443 is down: Layer4 timeout.", "API server 10.0.0.1:6443 answers again"
    assert heard(UP, DOWN, DOWN, UP, UP, DOWN) == [down, again, down]


def test_what_was_said_long_ago_is_news_again() -> None:
    said: list[str] = []
    now = [0.0]
    news = ServerNews(said.append, lambda: now[0])
    for moment in (0.0, 59.0, 200.0):
        now[0] = moment
        news.hear(DOWN)
    assert len(said) == 2


def heard(*lines: str) -> list[str]:
    """What is said of these lines, one after the other."""
    said: list[str] = []
    news = ServerNews(said.append)
    for line in lines:
        news.hear(line)
    return said


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
