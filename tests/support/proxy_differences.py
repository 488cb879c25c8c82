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
    # What follows is not seen in one request; other tests show it.
    "append": (
        "the path of the server's URL is dropped unless `--append-server-path` is given",
        "it is put before each request; `--append-server-path=false` restores it; the filters see what comes after it",
        "without it such a cluster cannot be reached",
    ),
    "append-once": (
        "a request that begins with that path has it put before again",
        "it is not",
        "clients that know the URL of the server work, too",
    ),
    "exit-codes": (
        "1 for what is wrong on the command line, 255 for a pattern",
        "2, with all that is wrong at once",
        "as the other commands",
    ),
    "open": (
        "any `--address`",
        "one that others reach needs `--tls`, where clients show a token, or `--i-know-this-is-open`",
        "whoever reaches it has your rights",
    ),
    "prefixes": (
        "`--api-prefix=custom` serves nothing, `/a{b` and a prefix that is also that of the files end in a stack trace",
        "refused at the start",
        "they were not meant",
    ),
    "plugins": (
        "a plugin is asked at the first request, a user without credential for a user name",
        "a plugin is asked at the start, and again until it answers; nobody is asked for a name",
        "nobody sits in front of a proxy at night",
    ),
    "renewal": (
        "a 401 is passed on at once, and one to an upgrade renews nothing",
        "it waits until the credential was renewed, ten seconds at most; upgrades too",
        "the next request has the new one",
    ),
    "following": (
        "the kubeconfig is read once",
        "it is followed, with every file that it names; the context stays",
        "credentials are renewed while the proxy runs",
    ),
    "sockets": (
        "a socket at the path is deleted, a live one too; it is left behind, and the Host has to be accepted",
        "a live one is refused, it is removed at the end, and any Host will do",
        "only its owner may use it",
    ),
    "files": (
        "`--www` is outside of the filters, shows hidden files and what links lead to, and lists folders",
        "behind all rules; no hidden file, nothing outside of the folder, no lists",
        "a page must not read more than was put there",
    ),
    "half-close": (
        "the end of one direction of a tunnel ends both",
        "each ends by itself",
        "what the server still sends would be lost",
    ),
    "proxies": (
        "upgrades do not take the proxy of the kubeconfig or the environment",
        "they do",
        "there is no other way",
    ),
    "upstream": (
        "HTTP/2 to the API server; asks for gzip by itself and undoes it; `kubectl/...` as the user agent of who names none",
        "HTTP/1.1 on pooled connections; what the client asks for; `kubegate`",
        "one reader that stalls would hold up all others",
    ),
    "size": (
        "headers up to 1 MB",
        "32 KB, then 431",
        "a buffer of HAProxy holds them",
    ),
}


def rows() -> list[str]:
    """The rows of the table, as the page has them."""
    return [f"| {theirs} | {ours} | {why} |" for theirs, ours, why in DIFFERENCES.values()]
