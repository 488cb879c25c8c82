"""What a kubeconfig comes to, tried on a server: one request with a login, verified and sent as a proxy would."""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from kubegate.cluster.context import Context
from kubegate.cluster.kubeconfig import load
from kubegate.cluster.login import Login, log_in
from kubegate.cluster.overrides import Overrides
from kubegate.cluster.tls import inquiring_context, load_client_pair, verifying_context
from kubegate.errors import KubegateError
from tests.support.wire import Wire


def visit(context: Context, login: Login, path: str) -> int:
    """The status of the answer to a GET."""
    tls = None
    if context.scheme == "https":
        insecure = context.insecure_skip_tls_verify
        tls = inquiring_context() if insecure else verifying_context(context.ca_pem, intermediates_suffice=True)
        if login.certificate_pem:
            load_client_pair(tls, login.certificate_pem, login.key_pem)
    headers = [("Host", str(context.server.endpoint)), *login.impersonation]
    if login.authorization:
        headers.append(("Authorization", login.authorization))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    with Wire.connect(context.host, context.port, tls, context.verified_name if tls else None) as wire:
        wire.send(f"GET {context.path_prefix}{path} HTTP/1.1\r\n{head}Connection: close\r\n\r\n".encode())
        return int(wire.receive().split(b" ")[1])


def arrive(kubeconfig: Path | None, context: str | None, environ: dict[str, str], flags: dict[str, Any], path: str) -> str:
    """Load, log in and visit; why it came to nothing, or an empty text."""
    try:
        found = load(kubeconfig, context, environ, overrides=Overrides(**flags), fallback=True)
        login = asyncio.run(log_in(found, environ, terminal=False))
        visit(found, login, path)
    except KubegateError as error:
        return f"{error.message} {error.hint}"
    except OSError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--kubeconfig", type=Path)
    parser.add_argument("--flags", type=json.loads, default={})
    given = parser.parse_args()
    sys.exit(arrive(given.kubeconfig, None, dict(os.environ), given.flags, "/probe"))
