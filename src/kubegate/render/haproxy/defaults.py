"""The `defaults` section: timeouts, keepalive, and errors that kubectl prints as they are."""

from kubegate.render.haproxy import errors
from kubegate.render.haproxy.global_ import STREAM_TIMEOUT


def lines() -> list[str]:
    """Defaults of every frontend and backend.

    How long a stream may be silent is said by `timeout server` of the stream backend, and by `timeout tunnel` after an upgrade
    and where TLS is passed through. `timeout client` says how long a reader may pause, an upload may stall, and a TLS handshake
    may take, for which HAProxy 2.8 has no timeout of its own. Dead peers are found by TCP keepalive.
    """
    return [
        "mode http",
        "timeout connect 10s",
        "timeout http-request 10s",
        "timeout http-keep-alive 120s",
        "timeout check 5s",
        "timeout queue 10s",
        "timeout client 1h",
        f"timeout tunnel {STREAM_TIMEOUT}",
        "timeout server 5m",
        "option clitcpka",
        "clitcpka-idle 30s",
        "clitcpka-intvl 10s",
        "clitcpka-cnt 3",
        "option srvtcpka",
        "srvtcpka-idle 30s",
        "srvtcpka-intvl 10s",
        "srvtcpka-cnt 3",
        *errors.http_error_lines(),
    ]
