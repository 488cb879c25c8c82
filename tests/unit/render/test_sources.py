"""Whose a stream is, out of what HAProxy answers."""

from kubegate.render.haproxy.sources import read_sources

SESSIONS = """\
0x1ead180: [24/Nov/2026:07:25:25.706818] id=25 proto=tcpv4 source=127.0.0.1:57848
  flags=0x4a, conn_retries=0, conn_exp=<NEVER> conn_et=0x000 srv_conn=0x1, pend_pos=(nil) waiting=0 epoch=0
  frontend=main (id=2 mode=tcp), listener=? (id=1) addr=127.0.0.1:36533
  backend=main:opened (id=3 mode=tcp) addr=unix
  server=main (id=1) addr=unix
0x1eac860: [24/Nov/2026:07:25:25.790693] id=29 proto=unix_stream source=unix:1
  flags=0xc4a, conn_retries=0, conn_exp=<NEVER> conn_et=0x000 srv_conn=0x1, pend_pos=(nil) waiting=0 epoch=0
  frontend=main:opened (id=4 mode=http), listener=? (id=1) addr=unix:1
  backend=first:stream (id=6 mode=http) addr=198.18.0.1:53930
0x1eac450: [24/Nov/2026:07:25:25.818841] id=30 proto=tcpv6 source=::1:57864
  flags=0x4a, conn_retries=0, conn_exp=<NEVER> conn_et=0x000 srv_conn=0x1, pend_pos=(nil) waiting=0 epoch=0
  frontend=main (id=2 mode=tcp), listener=? (id=1) addr=127.0.0.1:36533
  backend=second (id=7 mode=tcp) addr=198.18.0.17:48980
0x2157d80: [24/Nov/2026:07:25:25.904268] id=35 proto=unix_stream source=unix:1
  flags=0xc4a, conn_retries=0, conn_exp=<NEVER> conn_et=0x000 srv_conn=0x1, pend_pos=(nil) waiting=0 epoch=0
  frontend=main:opened (id=4 mode=http), listener=? (id=1) addr=unix:1
  backend=first:stream (id=6 mode=http) addr=198.18.0.1:60524
"""
STREAMS = """\
# table: first:stream, type: string, size:1048576, used:3
0x20fc5d0: key=29@2001:db8::2 use=1 exp=2256 shard=0
0x1f18c40: key=35@192.0.2.7 use=0 exp=2372 shard=0
"""
PASSED = """\
# table: second, type: string, size:1048576, used:1
0x21271e0: key=::1:57864@192.0.2.1 use=1 exp=0 shard=0
"""


def test_each_session_is_found_in_the_table_of_its_section() -> None:
    assert [one[:4] for one in read_sources(SESSIONS, [STREAMS, PASSED])] == [
        ("0x1ead180", "main", "main:opened", None),
        ("0x1eac860", "main:opened", "first:stream", "2001:db8::2"),
        ("0x1eac450", "main", "second", "192.0.2.1"),
        # Its entry is what an earlier stream has left.
        ("0x2157d80", "main:opened", "first:stream", None),
    ]


def test_where_there_is_no_table_nobody_knows() -> None:
    assert {one.source for one in read_sources(SESSIONS, ["No such table\n"])} == {None}
