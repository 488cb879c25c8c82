"""Many clusters for one gate: each with two API servers, a CA and certificates of its own; all API servers are one nginx."""

import contextlib
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.processes import running
from kubegate.system.network import free_port
from tests.support.forge import forge
from tests.support.run import front_leaf, gate_file, write_pair
from tests.support.tls import API_NAME, authority, whole

SERVERS = 2
_NGINX = """
worker_processes 1;
worker_rlimit_nofile {files};
daemon off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{
    worker_connections {connections};
}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    default_type application/json;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    ssl_protocols TLSv1.2 TLSv1.3;
{servers}
}}
"""
_SERVER = """
    server {{
        {listen}
        ssl_certificate {pem};
        ssl_certificate_key {pem};
        location / {{
            return 200 '{{"cluster":"{name}","server":"$server_addr"}}';
        }}
    }}
"""


@dataclass(frozen=True)
class Fleet:
    """Clusters `c0000` and on, in files of `folder`; `port` is that of every API server, each on an address of its own."""

    folder: Path
    names: tuple[str, ...]
    port: int

    def cluster(self, name: str) -> dict[str, Any]:
        """The declaration of one."""
        return {
            "name": name,
            "hosts": [f"{name}.test"],
            "certificate": {"cert": f"{name}.crt", "key": f"{name}.key"},
            "upstream": {
                "servers": [f"{address}:{self.port}" for address in addresses(name)],
                "ca": f"{name}-ca.crt",
                "serverName": API_NAME,
            },
        }

    def is_open(self) -> bool:
        """Whether the API servers can be dialled."""
        with socket.socket() as dialling:
            return dialling.connect_ex((addresses(self.names[-1])[-1], self.port)) == 0

    def document(self, number: int) -> dict[str, Any]:
        """The declaration of a gate with the first of them."""
        return gate_file(self.folder, *(self.cluster(name) for name in self.names[:number]))


def addresses(name: str) -> list[str]:
    """Loopback addresses of a cluster's API servers."""
    number = int(name[1:])
    return [f"127.{server + 1}.{number // 250}.{number % 250 + 1}" for server in range(SERVERS)]


@contextlib.contextmanager
def fleet(number: int) -> Iterator[Fleet]:
    """So many clusters, and their API servers running."""
    with tempfile.TemporaryDirectory(prefix="kg-many-") as name:
        folder = Path(name)
        made = Fleet(folder, tuple(f"c{one:04}" for one in range(number)), free_port("127.0.0.1"))
        for one in made.names:
            _write(made.folder, one)
        with running(["nginx", "-p", folder, "-c", _nginx(made)], made.is_open):
            yield made


def _write(folder: Path, name: str) -> None:
    ca = authority(f"CA of {name}")
    (folder / f"{name}-ca.crt").write_bytes(ca.pem)
    (folder / f"{name}-api.pem").write_bytes(whole(forge(f"api {name}", ca, names=[API_NAME, *addresses(name)])))
    write_pair(folder, name, front_leaf(f"{name}.test"))


def _nginx(made: Fleet) -> Path:
    servers = "".join(
        _SERVER.format(
            listen=" ".join(f"listen {address}:{made.port} ssl;" for address in addresses(name)),
            pem=made.folder / f"{name}-api.pem",
            name=name,
        )
        for name in made.names
    )
    connections = 4 * SERVERS * len(made.names) + 1000
    config = made.folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=made.folder, servers=servers, files=connections + 500, connections=connections))
    return config


def dump(document: dict[str, Any]) -> str:
    """A declaration as an operator's file has it."""
    return yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False)
