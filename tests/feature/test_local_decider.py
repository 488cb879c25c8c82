"""Who answers HAProxy on a unix socket: verdicts that are remembered first, renewals within a bound, and nothing else."""

import asyncio
import contextlib
import os
import socket
import stat
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from kubegate.errors import KubegateError
from kubegate.model.filters import default_filters
from kubegate.proxy import decider
from kubegate.proxy.decider import Decider
from kubegate.proxy.judge import Judge
from kubegate.proxy.verdict_memo import VerdictMemo, key_of
from tests.support.filter_lists import with_lists

Work = Callable[[Path], Awaitable[None]]
QUESTION = b"GET\nlocalhost\n/api/v1/pods\n\n,"


class Asked:
    """A decider whose callbacks are written down."""

    def __init__(self, *, renews: float = 0, seconds: float = 5) -> None:
        self.log: list[str] = []
        self._renews = renews
        memo = VerdictMemo(self._remember, self._forget, self.log.append)
        self.decider = Decider(Judge(default_filters()), memo, self._refresh, seconds)

    async def _remember(self, key: str, value: str) -> None:
        self.log.append(f"{key} {value}")

    async def _forget(self) -> None:
        self.log.append("forget")

    async def _refresh(self, cluster: str) -> None:
        await asyncio.sleep(self._renews)
        self.log.append(cluster)

    def during(self, folder: Path, work: Work) -> None:
        async def run() -> None:
            async with self.decider.serving(folder / "ask.sock"):
                await work(folder / "ask.sock")

        asyncio.run(run())


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder whose name is short enough for a socket."""
    yield tmp_path_factory.mktemp("d")


async def say(path: Path, data: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(data)
    answer = b""
    with contextlib.suppress(OSError):
        answer = await reader.read()
    writer.close()
    return answer


def post(target: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {target} HTTP/1.1", "Host: decider", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def test_a_verdict_is_remembered_before_it_is_given(folder: Path) -> None:
    asked = Asked()

    async def work(path: Path) -> None:
        answer = await say(path, post("/judge", QUESTION))
        assert asked.log == [f"{key_of(QUESTION)} allow"]
        assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\nallow")

    asked.during(folder, work)


def test_a_refusal_has_status_and_message(folder: Path) -> None:
    async def work(path: Path) -> None:
        answer = await say(path, post("/judge", b"GET\nevil.com\n/api\n\n,body"))
        assert answer.endswith(b'\r\n\r\n403 "no pattern of --accept-hosts fits the host that this request names"')

    Asked().during(folder, work)


def test_another_judge_answers_from_then_on(folder: Path) -> None:
    asked = Asked()

    async def work(path: Path) -> None:
        await say(path, post("/judge", QUESTION))
        asked.decider.judge = Judge(with_lists(accept_hosts=""))
        asked.decider.memo.clear()
        assert b"403" in await say(path, post("/judge", QUESTION))
        assert [line.split(" ")[1] for line in asked.log] == ["allow", "403"]

    asked.during(folder, work)


@pytest.mark.parametrize(
    "data",
    [
        b"GET /judge HTTP/1.1\r\nHost: x\r\n\r\n",
        post("/other", QUESTION),
        post("/judge", b""),
        post("/judge", b"GET\nlocalhost\n/\n"),
        post("/judge", QUESTION + b"\n"),
        post("/judge", b"x" * 200_000),
        post("/unauthorized", b"prod"),
        post("/unauthorized", b'{"cluster": 1}'),
        post("/unauthorized", b"[]"),
        b"nonsense\r\n\r\n",
        b"POST /judge HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    ],
)
def test_what_is_no_question_is_a_bad_request(folder: Path, data: bytes) -> None:
    asked = Asked()

    async def work(path: Path) -> None:
        answer = await say(path, data)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert not asked.log

    asked.during(folder, work)


def test_a_renewal_is_answered_when_it_is_done(folder: Path) -> None:
    asked = Asked(renews=0.2)

    async def work(path: Path) -> None:
        answer = await say(path, post("/unauthorized", b'{"cluster":"prod/eu"}'))
        assert asked.log == ["prod/eu"]
        assert answer.startswith(b"HTTP/1.1 200 ")

    asked.during(folder, work)


def test_a_renewal_that_takes_too_long_is_not_waited_for_and_delays_no_verdict(folder: Path) -> None:
    asked = Asked(renews=30, seconds=0.5)

    async def work(path: Path) -> None:
        began = time.monotonic()
        renewal = asyncio.create_task(say(path, post("/unauthorized", b'{"cluster":"prod"}')))
        assert (await say(path, post("/judge", QUESTION))).endswith(b"allow")
        assert time.monotonic() - began < 0.4
        assert (await renewal).startswith(b"HTTP/1.1 504 ")
        assert time.monotonic() - began < 5

    asked.during(folder, work)


@pytest.mark.parametrize(("error", "answer"), [(KubegateError("no login"), b"HTTP/1.1 502 "), (RuntimeError("a fault"), b"")])
def test_a_renewal_that_fails_is_answered_at_once(folder: Path, error: Exception, answer: bytes) -> None:
    async def refresh(_: str) -> None:
        raise error

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context.get("exception")))
        async with Decider(Judge(default_filters()), Asked().decider.memo, refresh).serving(folder / "ask.sock"):
            async with asyncio.timeout(2):
                found = await say(folder / "ask.sock", post("/unauthorized", b'{"cluster":"prod"}'))
        assert found[:13] == answer

    told: list[BaseException | None] = []
    asyncio.run(run())
    assert told == ([] if answer else [error])


def test_who_says_nothing_is_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decider, "_QUESTION_SECONDS", 0.2)

    async def work(path: Path) -> None:
        assert await say(path, post("/judge", QUESTION)[:-3]) == b""
        assert (await say(path, post("/judge", QUESTION))).endswith(b"allow")

    Asked().during(folder, work)


def test_many_ask_at_once(folder: Path) -> None:
    asked = Asked()

    async def work(path: Path) -> None:
        answers = await asyncio.gather(*(say(path, post("/judge", b"GET\nlocalhost\n/%d\n\n," % (n % 50))) for n in range(300)))
        assert {answer.rpartition(b"\r\n")[2] for answer in answers} == {b"allow"}
        assert len(asked.log) == 50

    asked.during(folder, work)


def test_the_socket_is_the_owners_and_goes_with_the_decider(folder: Path) -> None:
    path = folder / "ask.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))

    async def work(path: Path) -> None:
        mode = os.stat(path).st_mode  # noqa: PTH116
        assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600

    Asked().during(folder, work)
    assert not path.exists()
