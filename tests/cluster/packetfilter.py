"""The packet filter before and after: takes kube-proxy's chains out again, and the tables that came with them."""

from __future__ import annotations

import re
import socket
import struct
import subprocess
from collections.abc import Iterator

from tests.cluster.processes import environment

COMMANDS = {"iptables": socket.AF_INET, "ip6tables": socket.AF_INET6}
OURS = re.compile(r"(KUBE|CNI)-")

_NETLINK_NETFILTER = 12
_BATCH_BEGIN, _BATCH_END, _NFTABLES, _DELETE_TABLE, _TABLE_NAME = 0x10, 0x11, 10, 2, 1
_REQUEST, _ACK = 1, 4


def tables() -> dict[str, list[str]]:
    """The tables in use, by command."""
    return {command: [name for name, _ in _tables(command)] for command in COMMANDS}


def chains() -> list[str]:
    """Kubernetes' chains that exist now, as `table/chain`."""
    return [
        f"{table}/{chain}" for command in COMMANDS for table, lines in _tables(command) for chain in _chains(lines)
    ]


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
    name = table.encode() + b"\0"
    attribute = struct.pack("=HH", 4 + len(name), _TABLE_NAME) + name.ljust(-(-len(name) // 4) * 4, b"\0")
    batch = struct.pack(">BBH", socket.AF_UNSPEC, 0, _NFTABLES)
    messages = (
        _message(_BATCH_BEGIN, 0, batch)
        + _message(_NFTABLES << 8 | _DELETE_TABLE, _ACK, struct.pack(">BBH", family, 0, 0) + attribute)
        + _message(_BATCH_END, 0, batch)
    )
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as kernel:
        kernel.settimeout(5)
        kernel.bind((0, 0))
        kernel.send(messages)
        (error,) = struct.unpack_from("=i", kernel.recv(4096), 16)
    if error:
        raise OSError(-error, f"the packet filter's table {table} could not be removed")


def _message(kind: int, flags: int, payload: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(payload), kind, _REQUEST | flags, 1, 0) + payload
