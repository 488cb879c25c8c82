"""Where `kubegate proxy` is not as `kubectl proxy` on purpose, and why: the table of docs/kubectl-proxy.md."""

# By a word that tests name: what kubectl does, what kubegate does, and the reason.
DIFFERENCES: dict[str, tuple[str, str, str]] = {
    "host-normal": (
        "`[::1]:8001`, `LOCALHOST` and `localhost.` are refused by the default list",
        "they pass",
        "they are names of this machine, and the first one is in the list",
    ),
    "methods": (
        "any method passes",
        "405 for all but GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS",
        "the API knows no others, and TRACE shows a request's headers",
    ),
    "connection-names": (
        "headers that `Connection` names are dropped",
        "they go on; 400 if they say who is calling",
        "HAProxy cannot drop what a client names, and identity must not be dropped",
    ),
    "underscores": (
        "headers with an underscore in their name go on",
        "they are dropped; 400 if they imitate identity",
        "some servers read them as a dash",
    ),
    "addresses": (
        "`X-Real-Ip`, `Forwarded` and `X-Remote-*` go on",
        "they are dropped",
        "an API server's audit log would take them for the caller's address or identity",
    ),
    "rights": (
        "`Authorization` and `Impersonate-*` of a client take the place of the proxy's, or are added to them",
        "403; `--pass-authorization` and `--pass-impersonation` let them pass",
        "rights must not grow, and a request must not run as somebody whom it does not name",
    ),
    "origins": (
        "pages of any origin may use it, upgrades too",
        "403 for other origins and sites, but for links; `--allow-origin`",
        "a page in the browser would have the rights of the person",
    ),
    "refusals": (
        "`Forbidden`, `404 page not found` and others as plain text",
        "a `Status` in JSON with the same code, which names the rule",
        "kubectl prints its message, and so do other clients of the API",
    ),
    "errors": (
        "500 with Go's words for whatever goes wrong on the way to the API server",
        "502, 503 or 504 with a `Status`",
        "programs tell from it whether to try again",
    ),
    "escapes": (
        "below a prefix `%2F` becomes a slash",
        "it stays",
        "it is another path",
    ),
    "redirects": (
        "307 (301 before 1.36) to the clean path",
        "no redirects: the path goes on as it is",
        "many clients make a GET of a POST that is redirected",
    ),
    "no-upgrade": (
        "500 where an upgrade is answered by 200",
        "the answer is passed on, and there is no tunnel",
        "it is what the API server says",
    ),
    "protocols": (
        "an upgrade to any protocol is a tunnel",
        "400 for all but websocket and SPDY/3.1",
        "Kubernetes speaks no others, and each is a way round HTTP's rules",
    ),
}


def rows() -> list[str]:
    """The rows of the table, as the page has them."""
    return [f"| {theirs} | {ours} | {why} |" for theirs, ours, why in DIFFERENCES.values()]
