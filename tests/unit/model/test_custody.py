"""Of each hop it is said what somebody in the middle gets; an interceptor tries the same in tests/feature/test_trust.py."""

import pytest

from kubegate.model.custody import Custody, Hop, Login, Loot, Verified, client_hop, gate_hop

HOP = Hop("this client", "gate:6443", verified=Verified("gate"))
OPEN = Hop("this client", "gate:6443")


@pytest.mark.parametrize("login", Login)
def test_a_verified_hop_gives_nothing_away(login: Login) -> None:
    assert client_hop(HOP, login).loot == ()
    assert client_hop(HOP, login).sound


@pytest.mark.parametrize(
    ("login", "loot"),
    [
        (Login.TOKEN, {Loot.REQUESTS, Loot.TOKEN}),
        (Login.PLUGIN, {Loot.REQUESTS, Loot.TOKEN}),
        (Login.PROVIDER, {Loot.REQUESTS, Loot.TOKEN}),
        (Login.PASSWORD, {Loot.REQUESTS, Loot.PASSWORD}),
        (Login.CERTIFICATE, {Loot.REQUESTS}),
        (Login.NOTHING, {Loot.REQUESTS}),
    ],
)
def test_an_unverified_one_gives_what_the_client_sends(login: Login, loot: set[Loot]) -> None:
    assert set(client_hop(OPEN, login).loot) == loot
    assert not client_hop(OPEN, login).sound


def test_behind_the_gate_it_is_everybodys_token() -> None:
    assert gate_hop(HOP).loot == ()
    assert set(gate_hop(OPEN).loot) == {Loot.REQUESTS, Loot.TOKENS_OF_ALL}
    assert set(gate_hop(Hop("gate", "api", tls=False)).loot) == {Loot.REQUESTS, Loot.TOKENS_OF_ALL}


def test_what_is_not_known_is_not_sound() -> None:
    unknown = gate_hop(Hop("gate", "api", unknown="who knows"))
    assert (unknown.loot, unknown.says) == ((), "")
    assert not unknown.sound
    assert Custody("c", "u", Login.TOKEN, (HOP,)).sound
    assert not Custody("c", "u", Login.TOKEN, (HOP, unknown)).sound
    assert not Hop("a", "b", verified=Verified("b"), trouble="another certificate").sound
