"""The access log: one line of JSON for each request, written by HAProxy itself to the file that is its standard output."""

# Each field is valid JSON whatever a client sends: `json` escapes, and drops what is not UTF-8 (configuration manual 7.3.1).
# A hashed token is not in it, nor any other header than the user agent.
_FIELDS = (
    ("ts", '"%[date,utime(%Y-%m-%dT%H:%M:%SZ)]"'),
    ("source", '"%ci"'),
    ("port", "%cp"),
    ("listener", '"%f"'),
    ("backend", '"%b"'),
    ("server", '"%s"'),
    ("method", '"%[capture.req.method,bytes(0,32),json(utf8ps)]"'),
    ("uri", '"%[capture.req.uri,json(utf8ps)]"'),
    ("agent", '"%[capture.req.hdr(0),json(utf8ps)]"'),
    ("status", "%ST"),
    ("received", "%U"),
    ("sent", "%B"),
    ("ms", "%Ta"),
    ("end", '"%ts"'),
)
_BROKEN = (
    '{"ts":"%[date,utime(%Y-%m-%dT%H:%M:%SZ)]","source":"%ci","port":%cp,"listener":"%f","error":"%[fc_err_str,json(utf8ps)]"}'
)

# A line that is cut is no JSON: each byte of a URI (1 KB is kept) and of a user agent may take six.
_LONGEST_BYTES = 16384


def lines() -> list[str]:
    """Lines of a frontend that sees HTTP; they stand before its guards, so that what is refused is written too."""
    record = ",".join(f'"{name}":{value}' for name, value in _FIELDS)
    return [
        f"log stdout len {_LONGEST_BYTES} format raw local0 info",
        f"log-format '{{{record}}}'",
        f"error-log-format '{_BROKEN}'",
        "capture request header user-agent len 256",
    ]
