"""Flags: what they mean, and everything that can be wrong with them at once."""

from pathlib import Path

import pytest

from kubegate.model.address import Endpoint
from kubegate.model.config import FrontFiles, Mode
from kubegate.runtime.declare import Flags, declare, seconds


def test_defaults_are_safe() -> None:
    declared, problems = declare(Flags())
    assert not problems
    assert declared.listen == Endpoint("127.0.0.1", 6443)
    assert declared.cluster.mode is Mode.TERMINATE
    assert not declared.cluster.upstream.insecure


def test_everything_said() -> None:
    flags = Flags(
        kubeconfig=Path("k"),
        context="c",
        listen="[::]:443",
        hosts=["Gate.Example.", "gate.example", "10.0.0.1"],
        cert=Path("crt"),
        key=Path("key"),
        out=Path("out"),
        account="dev/robot",
        lifetime="90m",
    )
    declared, problems = declare(flags)
    assert not problems
    assert declared.cluster.hosts == ("gate.example", "10.0.0.1")
    assert declared.cluster.certificate == FrontFiles(cert=Path("crt"), key=Path("key"))
    assert declared.account is not None
    assert (declared.account.namespace, declared.account.name, declared.account.seconds) == ("dev", "robot", 5400)


@pytest.mark.parametrize(
    ("flags", "where"),
    [
        (Flags(cert=Path("c")), ["--cert"]),
        (Flags(key=Path("k")), ["--key"]),
        (Flags(passthrough=True, cert=Path("c"), key=Path("k")), ["--passthrough"]),
        (Flags(passthrough=True, insecure_upstream=True), ["--passthrough"]),
        (Flags(insecure_upstream=True, account="a/b", out=Path("o")), ["--account"]),
        (Flags(account="a/b"), ["--account"]),
        (Flags(lifetime="1h"), ["--for"]),
        (
            Flags(listen="x", hosts=["*"], account="a", cert=Path("c")),
            ["--listen", "--host", "--account", "--cert", "--account"],
        ),
    ],
)
def test_what_does_not_go_together(flags: Flags, where: list[str]) -> None:
    _, problems = declare(flags)
    assert [problem.where for problem in problems] == where
    assert all(problem.hint for problem in problems)


@pytest.mark.parametrize(("text", "value"), [("10m", 600), ("1h", 3600), ("1h30m", 5400), ("600s", 600), ("1h0m5s", 3605)])
def test_lifetimes(text: str, value: int) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "0", "9m59s", "1", "h", "1d", "-1h", "1h 30m", "30m1h", "99999999h"])
def test_no_lifetimes(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        seconds(text)
