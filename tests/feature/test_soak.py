"""The soak (`make soak`) in short: nothing is lost, nothing is left."""

import pytest

from bench.soak import soak

pytestmark = [pytest.mark.haproxy, pytest.mark.timeout(240)]


def test_a_short_soak_ends_well() -> None:
    found = list(soak(40, 60))
    assert [str(one) for one in found if not one.good] == []
    counted = {one.what: one.found for one in found}
    assert counted["changes"] >= 16
    assert counted["kills of the control plane, HAProxy and an API server"] >= 3
    assert counted["requests"] > 1000
