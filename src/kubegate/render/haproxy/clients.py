"""Client certificates at a listener: who has to show one, and who is refused for the one that he shows.

A certificate that is no good does not end the handshake, for its owner is to learn why: it is refused by the first rules of the
listener, for each request. No TLS session is resumed there: one that is resumed is not verified again, and counts at every name
of the listener. What is revoked stands in a map, which the Runtime API changes; on a connection that lives longer than its
certificate requests are refused from then on.
"""

from kubegate.model.plan import Clients, Frontend
from kubegate.render.haproxy.draft import Draft
from kubegate.render.haproxy.errors import deny

# The fingerprint of a certificate that was verified in the handshake of this connection, and when it ends.
_OWN, _END = "sess.client", "sess.client_end"
_HOLDER = "txn.holder"
# A number, `@`, and a fingerprint.
_TABLE = "stick-table type string len 96 size 1m expire 10s"
_SHOWN = "{ ssl_c_used }"
_GOOD = f"{{ var({_OWN}) -m found }}"


def revoked_file(front: Frontend) -> str:
    """The map of the certificates that are revoked at a listener."""
    return f"{front.name}-revoked.map"


def revoked(clients: Clients | None) -> dict[str, str]:
    """The entries of that map: each form of each certificate."""
    return {form: "revoked" for one in clients.revoked for form in one.split("+")} if clients is not None else {}


def bind_options(clients: Clients | None, draft: Draft) -> str:
    """Options of `bind`, with a blank before them; none where no certificate is asked for."""
    if clients is None:
        return ""
    ca = draft.authority(clients.ca_pem)
    # With stateful tickets off, too (`tune.ssl.cachesize 0`), no session is resumed.
    return f" verify optional ca-file {ca} crt-ignore-err all ca-ignore-err all no-tls-tickets"


def rules(front: Frontend, draft: Draft) -> list[str]:
    """Rules that come before all others of a listener, for each request has to meet them."""
    if front.clients is None:
        return []
    file = revoked_file(front)
    draft.maps[file] = revoked(front.clients)
    verified = f"{_SHOWN} {{ ssl_c_verify 0 }}"
    return [
        f"tcp-request session set-var({_OWN}) ssl_c_der,sha2(256),hex if {verified}",
        f"tcp-request session set-var({_END}) ssl_c_notafter,bytes(0,12) if {verified}",
        *([_none_shown()] if front.clients.required else []),
        deny(
            401,
            "the client certificate is of another CA than this gate trusts, is not valid at this time, or is not for clients",
            f"if {_SHOWN} !{_GOOD}",
        ),
        deny(401, "the client certificate has expired", f"if {{ date,utime(%y%m%d%H%M%S),sub({_END}) gt 0 }}"),
        deny(403, "the client certificate was revoked", f"if {{ var({_OWN}),map_str({file}) -m found }}"),
    ]


def streams(front: Frontend) -> list[str]:
    """Lines by which it is known who has which stream, so that those of a revoked certificate can be ended."""
    if front.clients is None:
        return []
    return [
        _TABLE,
        # What `show sess all` calls `id` (configuration manual 8.2.4).
        f"http-request set-var-fmt({_HOLDER}) %rt@%[var({_OWN})] if {_GOOD}",
        f"http-request track-sc2 var({_HOLDER}) if {_GOOD}",
    ]


def _none_shown() -> str:
    return deny(
        401,
        "this gate asks for a client certificate, and none was shown; clients show none of another CA than it trusts",
        f"unless {_SHOWN}",
    )
