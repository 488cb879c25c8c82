"""How many connections a HAProxy may carry here."""

import resource

# HAProxy needs two descriptors for a connection, one for the health check of a server, and some for itself.
_SPARE_DESCRIPTORS = 200
_LEAST_CHECKS = 64
_MOST_CONNECTIONS = 20_000


def most_connections(servers: int = 1) -> int:
    """How many connections HAProxy may carry under this process's limit on open files, beside the checks of so many servers."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # A power of two, for another number of connections needs a reload, and a few more servers should not.
    checks = max(_LEAST_CHECKS, 1 << (servers - 1).bit_length())
    allowed = _MOST_CONNECTIONS if hard == resource.RLIM_INFINITY else (hard - _SPARE_DESCRIPTORS - checks) // 2
    return max(50, min(_MOST_CONNECTIONS, allowed))
