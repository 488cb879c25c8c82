"""The access log of the local proxy: HAProxy writes one line of JSON for each request, and Python says what it asked for."""

# Each field is valid JSON whatever a client sends: `json` escapes, and drops what is not UTF-8 (configuration manual 7.3.1).
_FIELDS = (
    ("ts", '"%[date,utime(%Y-%m-%dT%H:%M:%SZ)]"'),
    ("context", '"%b"'),
    ("method", '"%[var(txn.method),json(utf8ps)]"'),
    ("path", '"%[var(txn.path),json(utf8ps)]"'),
    ("query", '"%[var(txn.query),json(utf8ps)]"'),
    ("agent", '"%[var(txn.agent),json(utf8ps)]"'),
    ("status", "%ST"),
    ("sent", "%B"),
    ("ms", "%Ta"),
    ("end", '"%ts"'),
)
_LONGEST_BYTES = 32768


def lines() -> list[str]:
    """Lines of a frontend; they stand before its guards, so that what is refused is written too."""
    record = ",".join(f'"{name}":{value}' for name, value in _FIELDS)
    return [
        f"log stdout len {_LONGEST_BYTES} format raw local0 info",
        f"log-format '{{{record}}}'",
        "http-request set-var(txn.method) method,bytes(0,32)",
        "http-request set-var(txn.query) query,bytes(0,1024)",
        "http-request set-var(txn.agent) req.fhdr(user-agent),bytes(0,256)",
    ]
