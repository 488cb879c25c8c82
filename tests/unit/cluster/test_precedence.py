"""What is said of a user's credentials is what a login makes of them."""

import asyncio
import itertools
from typing import Any

import pytest

from kubegate.cluster.errors import PluginFailed
from kubegate.cluster.kubeconfig import load
from kubegate.cluster.login import log_in
from kubegate.cluster.precedence import choices
from kubegate.model.problem import InvalidInput
from tests.support.parity import PAIR
from tests.unit.cluster.kubeconfigs import Workbench

PARTS: dict[str, dict[str, Any]] = {
    "certificate": PAIR,
    "token": {"token": "the-token"},
    "token file": {"tokenFile": "token"},
    "empty token file": {"tokenFile": "empty"},
    "password": {"username": "u", "password": "p"},
    "exec": {"exec": {"command": "/bin/false", "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}},
    "as": {"as": "joe"},
}
SETS = [names for length in range(4) for names in itertools.combinations(PARTS, length)]


KINDS = ("client certificate", "token file", "token", "user name", "exec plugin", "impersonation")
SENT = {"Bearer of-the-file": "token file", "Bearer the-token": "token", "Basic dTpw": "user name"}


def kind(what: str) -> str:
    """What sort of credential is described."""
    return next(one for one in KINDS if what.startswith(one))


@pytest.mark.parametrize("parts", SETS, ids=" ".join)
def test_what_is_used_is_what_is_sent(bench: Workbench, parts: tuple[str, ...]) -> None:
    user: dict[str, Any] = {"token": None}
    for part in parts:
        user |= PARTS[part]
    bench.write("of-the-file\n", "token")
    bench.write("", "empty")
    try:
        context = load(bench.good(user=user))
        told = choices(context.credential)
        login = asyncio.run(log_in(context))
    except InvalidInput:
        assert {"password", "empty token file"} & set(parts), "kubectl refuses these, too"
        return
    except PluginFailed:
        assert [kind(one.what) for one in told if one.used][:1] == ["exec plugin"]
        return
    expected = {"client certificate"} if login.certificate_pem else set()
    expected |= {"impersonation"} if login.impersonation else set()
    expected |= {SENT[login.authorization]} if login.authorization else set()
    assert {kind(one.what) for one in told if one.used} == expected
    assert not any(secret in repr(told) for secret in ("the-token", "of-the-file", "Basic dTpw"))


def test_without_tls_nothing_is_sent(bench: Workbench) -> None:
    context = load(bench.good(user={"token": "t"}))
    [choice] = choices(context.credential, tls=False)
    assert (choice.used, "without TLS" in choice.why) == (False, True)


def test_nobody(bench: Workbench) -> None:
    [choice] = choices(load(bench.good(user={"token": None})).credential)
    assert (choice.what, choice.used) == ("no credential", False)
