"""The `global` section: process limits, TLS floor, and the socket of the Runtime API."""

from kubegate.model.plan import Process

# One buffer must hold a request line with an exec command of 20,000 characters, and 32 KB of headers, though not both at their
# largest: what may be repeated costs a copy of a whole buffer.
BUFFER_BYTES = 40960
# Buffers for some hundred requests at one time, which would otherwise be given back and asked for again, request by request.
_HOT_BYTES = 8 << 20
STREAM_TIMEOUT = "7d"

_CIPHERS = ":".join(
    f"ECDHE-{key}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for key in ("ECDSA", "RSA")
)


def lines(process: Process, admin_socket: str, *, hops: bool = False, resumes: bool = True) -> list[str]:
    """The section; `admin_socket` is relative to the generation's folder, or absolute. `hops`: some connections count twice.

    Where not all listeners `resumes` TLS sessions none is kept here; others resume by tickets, which their clients keep.
    """
    return [
        f"nbthread {process.threads}",
        f"maxconn {process.max_connections * (2 if hops else 1)}",
        f"hard-stop-after {STREAM_TIMEOUT}",
        f"stats socket unix@{admin_socket} mode 600 level admin",
        f"tune.bufsize {BUFFER_BYTES}",
        f"tune.memory.hot-size {_HOT_BYTES}",
        "tune.http.maxhdr 512",
        "tune.h2.fe.max-concurrent-streams 250",
        # Together these end a connection that floods resets or malformed frames (CVE-2023-44487 and its kind).
        "tune.h2.fe.max-total-streams 10000",
        "tune.h2.fe.glitches-threshold 1000",
        *(() if resumes else ("tune.ssl.cachesize 0",)),
        "ssl-server-verify required",
        "ssl-default-bind-options ssl-min-ver TLSv1.2",
        f"ssl-default-bind-ciphers {_CIPHERS}",
        "ssl-default-server-options ssl-min-ver TLSv1.2",
    ]
