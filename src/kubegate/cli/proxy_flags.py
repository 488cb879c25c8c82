"""The flags of `kubegate proxy`: those of `kubectl proxy` and `kubectl options`, and those that kubectl has not."""

import re

from kubegate.cli.pflags import Flag
from kubegate.model.filters import (
    DEFAULT_ACCEPT_HOSTS,
    DEFAULT_ACCEPT_PATHS,
    DEFAULT_REJECT_METHODS,
    DEFAULT_REJECT_PATHS,
)

_DURATION = re.compile(r"[+-]?(?:0|(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|ms|s|m|h))+)")
_PART = re.compile(r"([0-9.]+)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}

_NO_CLIENT = "the proxy makes no requests of its own that this would concern"
_NO_PROFILE = "nothing is profiled here"
_NO_LEVELS = "the proxy says what matters at any level; --log writes each request down"


def seconds(text: str) -> float:
    """A duration as Go writes it, in seconds. Raises ValueError."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is no duration, as 30s or 1m30s is")
    total = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    return -total if text.startswith("-") else total


def _duration(text: str) -> str:
    try:
        seconds(text)
    except ValueError as error:
        return str(error)
    return ""


def _timeout(text: str) -> str:
    """`--request-timeout` also takes seconds without a unit."""
    return "" if text.isdigit() else _duration(text)


def _port(text: str) -> str:
    return "" if re.fullmatch(r"[0-9]{1,9}", text) and int(text) < 65536 else f"{text!r} is no port (0 to 65535)"


def _number(text: str) -> str:
    return "" if re.fullmatch(r"-?[0-9]+", text) else f"{text!r} is no number"


SAME = (
    Flag(
        "accept-hosts",
        "Patterns of hosts that are served; commas separate them.",
        DEFAULT_ACCEPT_HOSTS,
        value="PATTERNS",
    ),
    Flag("accept-paths", "Patterns of paths that are served.", DEFAULT_ACCEPT_PATHS, value="PATTERNS"),
    Flag("address", "The address to listen on; others than loopback want --tls and show a token.", "127.0.0.1", value="ADDRESS"),
    Flag("api-prefix", "The prefix below which the API is served.", "/", value="PREFIX"),
    Flag("append-server-path", "Put the path of the server's URL before each request's.", "true", kind="bool"),
    Flag("disable-filter", "Switch the pattern lists off.", "false", kind="bool"),
    Flag("keepalive", "TCP keepalive of connections to the API server; negative: none.", "0s", value="DURATION", check=_duration),
    Flag("port", "The port to listen on; 0: a free one, which is printed.", "8001", short="p", value="PORT", check=_port),
    Flag("reject-methods", "Patterns of methods that are refused.", DEFAULT_REJECT_METHODS, value="PATTERNS"),
    Flag("reject-paths", "Patterns of paths that are refused, accepted or not.", DEFAULT_REJECT_PATHS, value="PATTERNS"),
    Flag("unix-socket", "Listen on this unix socket, which only you may use.", short="u", value="FILE"),
    Flag("www", "Also serve the files of this folder.", short="w", value="FOLDER"),
    Flag("www-prefix", "The prefix below which files are served.", "/static/", short="P", value="PREFIX"),
)

OWN = (
    Flag("read-only", "Let nothing pass that changes something, or runs something in a pod.", kind="bool"),
    Flag("deny", "Refuse a resource: secrets, deployments.apps, pods/exec.", kind="list", value="RESOURCE"),
    Flag("allow-origin", "Let pages of this origin use the proxy: http://localhost:3000.", kind="list", value="ORIGIN"),
    Flag("pass-authorization", "Let clients bring an Authorization of their own, in place of yours.", kind="bool"),
    Flag("pass-impersonation", "Let clients impersonate others by your rights.", kind="bool"),
    Flag("token-required", "Serve only who shows the token that is printed at the start.", kind="bool"),
    Flag("explorer", "Show browsers a page about the cluster at /.", "true", kind="bool"),
    Flag("tls", "Speak TLS and HTTP/2, with a certificate of the proxy's own unless one is named.", kind="bool"),
    Flag("tls-cert-file", "The certificate to show (PEM).", value="FILE"),
    Flag("tls-private-key-file", "Its private key (PEM).", value="FILE"),
    Flag("i-know-this-is-open", "Serve anybody who reaches the address, with your rights.", kind="bool"),
    Flag("also-context", "Serve this context too, at /clusters/NAME/ (or ALIAS/).", kind="list", value="[ALIAS=]NAME"),
    Flag("all-contexts", "Serve all contexts, at /clusters/NAME/.", kind="bool"),
    Flag("context-at", "Serve a context at a port, address or socket of its own.", kind="list", value="NAME=PLACE"),
    Flag("log", "Write each request as a line of JSON; without a file on standard error.", bare="-", value="FILE"),
    Flag("explain", "Say which rule decides on a request, and serve nothing: 'GET /api/v1/pods'.", value="REQUEST"),
    Flag("haproxy", "The HAProxy to run.", value="FILE"),
    Flag("help", "Show this help.", kind="bool", short="h"),
)

GLOBAL = (
    Flag("as", "Whom to impersonate.", value="USER"),
    Flag("as-group", "A group to impersonate.", kind="list", value="GROUP"),
    Flag("as-uid", "A UID to impersonate.", value="UID"),
    Flag("as-user-extra", "More about whom to impersonate.", kind="list", value="KEY=VALUE"),
    Flag("cache-dir", "", value="FOLDER", note="nothing is cached here"),
    Flag("certificate-authority", "The CA of the API server.", value="FILE"),
    Flag("client-certificate", "A client certificate.", value="FILE"),
    Flag("client-key", "Its key.", value="FILE"),
    Flag("cluster", "The cluster of the kubeconfig to use.", value="NAME"),
    Flag("context", "The context of the kubeconfig to use.", value="NAME"),
    Flag("disable-compression", "", kind="bool", note="the proxy never asks for compression by itself"),
    Flag("insecure-skip-tls-verify", "Do not verify the API server.", kind="bool"),
    Flag("kubeconfig", "The kubeconfig to read.", value="FILE"),
    Flag("kuberc", "The preferences of kubectl to read, for rules about plugins.", value="FILE"),
    Flag("log-flush-frequency", "", value="DURATION", check=_duration, note="what is said is said at once"),
    Flag("match-server-version", "", kind="bool", note=_NO_CLIENT),
    Flag("namespace", "", short="n", value="NAME", note="requests say by themselves which namespace they mean"),
    Flag("password", "Password of basic authentication.", value="PASSWORD"),
    Flag("profile", "", value="NAME", note=_NO_PROFILE),
    Flag("profile-output", "", value="FILE", note=_NO_PROFILE),
    Flag("proxy-url", "The proxy by which the API server is reached.", value="URL"),
    Flag("request-timeout", "", value="DURATION", check=_timeout, note="kubectl proxy does not apply it to requests either"),
    Flag("server", "The API server's URL.", short="s", value="URL"),
    Flag("tls-server-name", "The name by which it is verified.", value="NAME"),
    Flag("token", "The bearer token to show to the API server.", value="TOKEN"),
    Flag("user", "The user of the kubeconfig to use.", value="NAME"),
    Flag("username", "User name of basic authentication.", value="NAME"),
    Flag("v", "", short="v", value="LEVEL", check=_number, note=_NO_LEVELS),
    Flag("version", "Print the version.", bare="true", value="FORM"),
    Flag("vmodule", "", value="PATTERNS", note=_NO_LEVELS),
    Flag("warnings-as-errors", "", kind="bool", note=_NO_CLIENT),
)

ALL = (*SAME, *OWN, *GLOBAL)


def help_text() -> str:
    """What `--help` prints."""
    lines = [
        "Serve the Kubernetes API of a kubeconfig to this machine's programs: kubectl proxy, on HAProxy.",
        "",
        "Usage:",
        "  kubegate proxy [flags]",
        "  kubegate proxy [flags] -- COMMAND [ARGUMENTS]",
        "",
        "Examples:",
        "  kubegate proxy --port=0",
        "  kubegate proxy --read-only --deny secrets -- my-agent",
        "  kubegate proxy --also-context staging --also-context prod",
        "  kubegate proxy --explain 'GET /api/v1/namespaces/default/pods/web/exec'",
    ]
    for title, flags in (("Flags of kubectl proxy", SAME), ("More flags", OWN), ("Flags of every kubectl command", GLOBAL)):
        lines += ["", f"{title}:", *(_described(one) for one in flags if not one.note)]
    lines += ["", "Accepted, and without a meaning here: " + ", ".join(f"--{one.name}" for one in ALL if one.note) + "."]
    return "\n".join(lines)


def _described(flag: Flag) -> str:
    short = f"-{flag.short}, " if flag.short else "    "
    value = "" if flag.kind == "bool" else f"={flag.value}"
    default = f" (default {flag.default})" if flag.default not in ("", "false") else ""
    return f"  {short}--{flag.name + value:<34} {flag.help}{default}"
