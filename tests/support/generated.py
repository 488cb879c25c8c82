"""Generated requests and pattern lists for the filters of the local proxy: odd ones, and near to each other."""

from dataclasses import dataclass

from hypothesis import strategies as st

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "XGET", "PROPFIND"]
HOSTS = [
    "localhost",
    "127.0.0.1",
    "[::1]",
    "::1",
    "a.corp",
    "evil.com",
    "LOCALHOST",
    "aXb",
    "abc",
    "a",
    "[0::1]",
    "localhost,a.corp",
    "",
]
PORTS = ["", ".", "..", ":80", ":", ":x", ".:80", ":1:2"]
PIECES = [
    *("/api/v1", "/apis/apps/v1", "/api", "/ui", "/pods", "/p", "/exec", "/attach", "/proxy", "/secrets", "/deployments", "/x"),
    *(
        "/namespaces/d",
        "/watch",
        "//",
        "/.",
        "/..",
        "%2F",
        "%2e",
        "%65xec",
        "%ff",
        "%e2%82",
        "%C3%A9",
        "%0a",
        "%00",
        "%",
        "%zz",
        "%25",
    ),
    *(
        "a",
        "b",
        "x",
        "1",
        ";",
        "\\",
        "é",
        "\xff",
        "/",
        "'",
        '"',
        "{",
        "|",
        "~",
        ":",
        "*",
        "/openapi/v3",
        "/version",
        "/portforward",
    ),
]
TOKENS = [
    *(
        "/api",
        "/",
        "pods",
        "exec",
        "a",
        "b",
        "x",
        "%",
        "é",
        "'",
        " ",
        ".*",
        ".*",
        ".*",
        ".",
        r"\.",
        r"\/",
        "[^/]",
        "(a|b)",
        "a?",
        "/+",
    ),
    *("(?i)", "{1,2}", r"\d", r"\pL", "GET", "P", "localhost", "corp", r"\[", ":", "\ufffd", r"\b", r"\B"),
]

methods = st.sampled_from(METHODS)
hosts = st.one_of(
    st.tuples(st.sampled_from(HOSTS), st.sampled_from(PORTS)).map("".join), st.text("abc.[]:-_LOCALHOST127%é\xff", max_size=12)
)
paths = st.lists(st.sampled_from(PIECES), max_size=8).map("".join).map(lambda path: path if path.startswith("/") else f"/{path}")
queries = st.sampled_from(["", "dryRun=All", "watch=1", "dryRun=All&dryRun=None", "dryRun=All;x", "a=%zz", "watch"])

_pattern = st.tuples(
    st.sampled_from(["", "^"]), st.lists(st.sampled_from(TOKENS), max_size=4).map("".join), st.sampled_from(["", "", "$"])
).map("".join)


@dataclass(frozen=True)
class Request:
    """One request; texts are Latin-1, for any byte."""

    method: str
    host: str
    path: str


requests = st.builds(Request, methods, hosts, paths)


def pattern_lists(*usual: str) -> st.SearchStrategy[str]:
    """Values of a flag; `usual` are ones that let something pass."""
    return st.one_of(st.sampled_from(usual), st.lists(_pattern, max_size=3).map(",".join))
