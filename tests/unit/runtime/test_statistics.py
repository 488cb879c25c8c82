"""HAProxy's statistics as they come, with the empty line at their end."""

from kubegate.model.address import Endpoint
from kubegate.model.plan import Backend
from kubegate.runtime.statistics import Row, Statistics

HEADER = "# pxname,svname,scur,status,lastchg,check_status,check_code,last_chk,"


def test_what_show_stat_says() -> None:
    assert set(Row._fields) <= set(HEADER.removeprefix("# ").split(","))
    rows = ["one,10.0.0.1:6443_0123abcd,3,UP,7,L7OK,401,,", "one,BACKEND,3,UP,7,,,,"]
    found = Statistics.read("\n".join([HEADER, *rows, "", ""]))
    [server] = found.servers(Backend("one", (Endpoint("10.0.0.1", 6443),), tls=True, verification=None))
    assert (server.address, server.state, server.seconds, server.readiness_known) == ("10.0.0.1:6443", "up", 7, False)
    assert found.carried(["one"]) == 3


def test_nothing_is_known_without_an_answer() -> None:
    assert Statistics.read("").carried(["one"]) == 0
