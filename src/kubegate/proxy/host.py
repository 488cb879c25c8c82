"""The host that a request names, in every form in which a pattern may be meant for it.

`kubectl proxy` takes the port off, and the brackets of an IPv6 address with it, so that its own `^\\[::1\\]$` never fits
`[::1]:8001`; case and a dot at the end make another host there. Here a pattern fits if it fits any form of the same host.
"""

import ipaddress


def forms(header: bytes) -> tuple[bytes, ...]:
    """What patterns are compared with: kubectl's own reading; in lower case, without the dot at the end; an address with and
    without brackets, and as it is written shortest.
    """
    first = without_port(header)
    normal = first.lower().removesuffix(b".")
    found = [first, normal]
    bare = normal[1:-1] if normal.startswith(b"[") and normal.endswith(b"]") else normal
    if b":" in bare:
        found += [b"[" + bare + b"]", bare]
        try:
            short = ipaddress.IPv6Address(bare.decode("ascii")).compressed.encode()
        except ValueError:
            pass
        else:
            found += [b"[" + short + b"]", short]
    return tuple(dict.fromkeys(found))


def without_port(header: bytes) -> bytes:
    """The header without its port, by Go's `net.SplitHostPort`, which takes brackets off too; all of it where that fails."""
    colon = header.rfind(b":")
    if colon < 0:
        return header
    if header.startswith(b"["):
        end = header.find(b"]")
        if end + 1 != colon or b"[" in header[1:] or b"]" in header[end + 1 :]:
            return header
        return header[1:end]
    host = header[:colon]
    return header if b":" in host or b"[" in header or b"]" in header else host
