import asyncio

import pytest

from kubegate.cluster.errors import Unresolvable
from kubegate.cluster.resolve import resolve


@pytest.mark.parametrize(("host", "expected"), [("10.0.0.1", "10.0.0.1"), ("0:0::1", "::1")])
def test_addresses_are_themselves(host: str, expected: str) -> None:
    assert asyncio.run(resolve(host)) == (expected,)


def test_this_machine() -> None:
    found = asyncio.run(resolve("localhost"))
    assert set(found) <= {"127.0.0.1", "::1"}
    assert list(found) == sorted(set(found), key=lambda one: ":" in one)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "", "a..b", "x" * 70, "bad\nname", "fe80::1%none"])
def test_names_without_address(host: str) -> None:
    with pytest.raises(Unresolvable) as caught:
        asyncio.run(resolve(host))
    assert caught.value.message.isprintable()


def test_a_limit() -> None:
    with pytest.raises(Unresolvable, match="not resolved within 0 s"):
        asyncio.run(resolve("no-such-host.invalid", timeout=0))
