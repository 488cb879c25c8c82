"""The packet filter before and after: takes kube-proxy's chains out again, and the tables that came with them."""

from __future__ import annotations

import os
import re
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import suppress

from tests.cluster.processes import environment

COMMANDS = {"iptables": socket.AF_INET, "ip6tables": socket.AF_INET6}
OURS = re.compile(r"(KUBE|CNI)-")
COUNTERS = ("ct_state_invalid_dropped_pkts", "localhost_nps_accepted_pkts")
"""kube-proxy counts packets with these, and leaves them in the kernel."""

_NETLINK_NETFILTER = 12
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NFTABLES, _DELETE_TABLE = 10, 2
_ACCOUNTING, _DELETE_COUNTER = 7, 3
_REQUEST, _ACK = 1, 4


def tables() -> dict[str, list[str]]:
    """The tables in use, by command."""
    return {command: [name for name, _ in _tables(command)] for command in COMMANDS}


def chains() -> list[str]:
    """Kubernetes' chains that exist now, as `table/chain`."""
    return [f"{table}/{chain}" for command in COMMANDS for table, lines in _tables(command) for chain in _chains(lines)]


def clean(before: dict[str, list[str]]) -> None:
    """Removes Kubernetes' rules and chains, then each table that was not there before and says nothing any more."""
    for command, family in COMMANDS.items():
        for table, lines in _tables(command):
            _remove_chains(command, table, lines)
        if "nf_tables" not in _run(command, "--version"):
            continue  # a legacy table is part of a kernel module and cannot be taken away
        for table, lines in _tables(command):
            if table not in before.get(command, []) and all(_says_nothing(line) for line in lines):
                _delete_table(family, table)
    for counter in COUNTERS:
        _delete_counter(counter)


def _tables(command: str) -> Iterator[tuple[str, list[str]]]:
    for text in re.findall(r"^\*(.*?)^COMMIT$", _run(f"{command}-save"), re.MULTILINE | re.DOTALL):
        table, *lines = text.splitlines()
        yield table, lines


def _chains(lines: list[str]) -> list[str]:
    names = [line[1:].split()[0] for line in lines if line.startswith(":")]
    return [name for name in names if OURS.match(name)]


def _remove_chains(command: str, table: str, lines: list[str]) -> None:
    names = _chains(lines)
    if not names:
        return
    jumps = [line for line in lines if line.startswith("-A") and re.search(r" -[jg] (KUBE|CNI)-", line)]
    outside = [line.replace("-A", "-D", 1) for line in jumps if not OURS.match(line.split()[1])]
    script = [f"*{table}", *outside, *(f"-F {name}" for name in names), *(f"-X {name}" for name in names), "COMMIT"]
    _run(f"{command}-restore", "--noflush", text="\n".join(script) + "\n")


def _says_nothing(line: str) -> bool:
    return bool(re.fullmatch(r":[A-Z]+ ACCEPT \[\d+:\d+\]", line))


def _run(*argv: str, text: str = "") -> str:
    return subprocess.run(argv, input=text, capture_output=True, text=True, check=True, env=environment()).stdout


def _delete_table(family: int, table: str) -> None:
    """What `nft delete table` does; iptables can make a table but not take it away."""
    message = _message(_NFTABLES << 8 | _DELETE_TABLE, family, 0, _name(table))
    batch = [_message(kind, socket.AF_UNSPEC, _NFTABLES, b"") for kind in (_BATCH_BEGIN, _BATCH_END)]
    _send(message, *batch)


def _delete_counter(name: str) -> None:
    """What `nfacct delete` does."""
    with suppress(FileNotFoundError):
        _send(_message(_ACCOUNTING << 8 | _DELETE_COUNTER, socket.AF_UNSPEC, 0, _name(name)))


def _name(text: str) -> bytes:
    """The netlink attribute 1, which is the name for tables and for counters."""
    value = text.encode() + b"\0"
    return struct.pack("=HH", 4 + len(value), 1) + value.ljust(-(-len(value) // 4) * 4, b"\0")


def _message(kind: int, family: int, resource: int, attributes: bytes) -> bytes:
    flags = _REQUEST if kind in (_BATCH_BEGIN, _BATCH_END) else _REQUEST | _ACK
    return struct.pack("=IHHII", 20 + len(attributes), kind, flags, 1, 0) + struct.pack(">BBH", family, 0, resource) + attributes


def _send(message: bytes, begin: bytes = b"", end: bytes = b"") -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as kernel:
        kernel.settimeout(5)
        kernel.bind((0, 0))
        kernel.send(begin + message + end)
        (error,) = struct.unpack_from("=i", kernel.recv(4096), 16)
    if error:
        raise OSError(-error, f"the packet filter refused: {os.strerror(-error)}")
