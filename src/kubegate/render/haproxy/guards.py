"""The guards of a gate that passes tokens through: what is refused, and what is removed, before a request goes on.

This gate decides nothing by path, so no path is refused or changed here. Most requests are reads with the same header names as
the one before on their connection: one rule recognises these, and they meet no other.
"""

from kubegate.render.haproxy.errors import deny

HEADER_LIMIT_BYTES = 32768

# Headers by which API servers and proxies behind them learn who is calling; a client must not be able to have them dropped.
_IDENTITY_BEGINNINGS = "impersonate x-remote x-forwarded"
_IDENTITY_NAMES = "authorization x-real-ip forwarded"
# How the same names begin as CGI-like servers would read them, an underscore for any dash.
_TWINS = ("impersonate_", "impersonate-extra_", "x_remote", "x-remote_", "x_forwarded", "x-forwarded_", "x_real", "x-real_")
# Names of which a rule below takes notice, or parts of them; a list of names without any of these says nothing that it minds,
# but for Host and Authorization, which are counted.
_NOTICED = "_ connection upgrade http2-settings transfer-encoding content-length x-remote x-real forwarded"
# Words by which a request may be a stream (`streams`) or run something (`backend`); a percent sign may hide them.
_TELLING = "watch follow proxy exec attach portforward %"

# A condition: the request is a read that no rule below would refuse or change, no stream, and may be repeated.
ORDINARY = "{ var(txn.ordinary) -m found }"


def shortcut(unless: str = "") -> list[str]:
    """Rules that recognise an ordinary read, which is spared every rule of the section that comes after them.

    What it asks costs least where it leaves most: names are compared with those that `approval` has kept. `unless` are
    conditions more.
    """
    return [
        "http-request set-var(txn.ordinary) bool(true)"
        " if { method GET HEAD } { req.hdr_names(:),strcmp(sess.approved) eq 0 } { req.ver 1.1 2.0 }"
        f" !{{ pathq -m sub {_TELLING} }} {{ req.hdrs,length le {HEADER_LIMIT_BYTES} }}{unless}",
        f"http-request allow if {ORDINARY}",
    ]


def approval(noticed: str = "", unless: str = "") -> list[str]:
    """A rule that keeps the header names of a request that has passed all others, for as long as its connection lasts.

    `noticed` are further parts of names of which a section takes notice, `unless` conditions more.
    """
    parts = f"{_NOTICED} {noticed}".rstrip()
    return [f"http-request set-var(sess.approved) req.hdr_names(:) if !{{ req.hdr_names(:) -m sub {parts} }}{unless}"]


def refusals() -> list[str]:
    """Rules that refuse a request. Those that look at one cheap thing come first."""
    return [
        deny(
            405,
            "this method is refused here",
            "unless { method GET POST PUT PATCH DELETE HEAD OPTIONS }",
        ),
        deny(400, "the request has no Host header, or more than one", "unless { req.fhdr_cnt(host) eq 1 }"),
        deny(400, "the request has more than one Authorization header", "if { req.fhdr_cnt(authorization) gt 1 }"),
        deny(400, "this version of HTTP is not spoken here", "unless { req.ver 1.0 1.1 2.0 }"),
        # HAProxy takes 2^64 for 0 and passes it on as it is (2.8.25).
        deny(400, "the Content-Length is too large to be true", "if { req.fhdr(content-length) -m len gt 18 }"),
        deny(400, "HTTP/1.0 has no Transfer-Encoding", "if { req.ver 1.0 } { req.fhdr(transfer-encoding) -m found }"),
        deny(
            400,
            "the Connection header names a header that says who is calling",
            f"if {{ req.hdr(connection) -m beg -i {_IDENTITY_BEGINNINGS} }}"
            f" or {{ req.hdr(connection) -m str -i {_IDENTITY_NAMES} }}",
        ),
        deny(400, "an upgrade to HTTP/2 is not offered here", "if { req.fhdr(http2-settings) -m found }"),
        deny(
            400,
            "only upgrades to websocket and SPDY/3.1 are offered here",
            "if { req.fhdr(upgrade) -m found } !{ req.fhdr(upgrade) -m str -i websocket spdy/3.1 }"
            " or { req.fhdr_cnt(upgrade) gt 1 }"
            # Upgrade does not exist in HTTP/1.0, and the extended CONNECT of HTTP/2 is for websocket.
            " or { req.fhdr(upgrade) -m found } { req.ver 1.0 }"
            " or { req.fhdr(upgrade) -m str -i spdy/3.1 } !{ req.ver 1.1 }",
        ),
        deny(
            400,
            "a header name with an underscore imitates a header that says who is calling",
            # A colon stands in no name, so it can stand between names.
            f"if {{ req.hdr_names(:) -m beg {' '.join(_TWINS)} }} or {{ req.hdr_names(:) -m sub {':' + ' :'.join(_TWINS)} }}",
        ),
        deny(
            431,
            f"the request headers are larger than {HEADER_LIMIT_BYTES // 1024} KB; "
            "a token with very many groups is the usual cause",
            f"if {{ req.hdrs,length gt {HEADER_LIMIT_BYTES} }}",
        ),
    ]


def removals(*, chain: bool = False) -> list[str]:
    """Rules that remove what only a proxy may say; the caller's address is put in its place after all rules.

    With `chain` the addresses that a client says it asks for stay before its own.
    """
    return [
        "http-request del-header connection",
        "http-request set-header Connection Upgrade if { req.fhdr(upgrade) -m found }",
        # The keys of Impersonate-Extra-* are the caller's and may hold an underscore. The pattern is ours and linear.
        "http-request del-header ^(?!(?i:impersonate-extra-)).*_ -m reg if { req.hdr_names -m sub _ }",
        "http-request del-header x-remote- -m beg",
        "http-request del-header x-real-ip",
        "http-request del-header forwarded",
        *([] if chain else ["http-request del-header x-forwarded-for"]),
        "option forwardfor",
    ]
