"""Somebody who shows a certificate of the cluster's CA in an API server's place."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def impostor(listener: socket.socket, certificate: Path) -> Iterator[list[bytes]]:
    """A TLS server that shows a certificate (PEM with its key) and keeps whatever it is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    received: list[bytes] = []
    with listener:

        def serve() -> None:
            while True:
                try:
                    raw, _ = listener.accept()
                except OSError:
                    return
                with contextlib.suppress(OSError), context.wrap_socket(raw, server_side=True) as secured:
                    secured.settimeout(2)
                    received.append(secured.recv(65536))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield received
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join(10)
