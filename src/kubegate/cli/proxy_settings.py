"""From the flags of `kubegate proxy` to what they ask for, or to everything that is wrong with them."""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from kubegate.cli.pflags import Parsed
from kubegate.cli.proxy_flags import ALL, seconds
from kubegate.cluster.overrides import Overrides
from kubegate.model.filters import (
    DEFAULT_ACCEPT_HOSTS,
    DEFAULT_ACCEPT_PATHS,
    DEFAULT_REJECT_METHODS,
    DEFAULT_REJECT_PATHS,
    Filters,
    read_denied,
)
from kubegate.model.patterns import Pattern, read_pattern
from kubegate.model.problem import Problem
from kubegate.runtime.local_settings import Named, Place, Settings, Tls

_DEFAULT_PORT = 8001
_PREFIX = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
_LISTS = (
    ("accept-hosts", DEFAULT_ACCEPT_HOSTS),
    ("accept-paths", DEFAULT_ACCEPT_PATHS),
    ("reject-paths", DEFAULT_REJECT_PATHS),
    ("reject-methods", DEFAULT_REJECT_METHODS),
)


def read_settings(parsed: Parsed, warn: Callable[[str], None]) -> tuple[Settings, list[Problem]]:
    """The settings, and all that is wrong; `warn` is told what is accepted and means less than it seems to."""
    problems = list(parsed.problems)
    _notes(parsed, warn)
    settings = Settings(
        kubeconfig=_path(parsed, "kubeconfig"),
        context=parsed.text("context") or None,
        overrides=_overrides(parsed),
        named=(*_also(parsed), *_placed(parsed, problems)),
        all_contexts=parsed.flag("all-contexts"),
        place=_place(parsed, problems),
        tls=_tls(parsed, problems),
        prefix=_prefix("--api-prefix", parsed.text("api-prefix", "/"), problems),
        append_server_path=parsed.flag("append-server-path", default=True),
        www=_folder(parsed, warn),
        www_prefix=_prefix("--www-prefix", parsed.text("www-prefix", "/static/"), problems),
        filters=_filters(parsed, problems, warn),
        keepalive=_seconds(parsed),
        allow_origins=_origins(parsed, problems),
        pass_authorization=parsed.flag("pass-authorization"),
        pass_impersonation=parsed.flag("pass-impersonation"),
        token_required=parsed.flag("token-required"),
        page=parsed.flag("explorer", default=True),
        open_to_others=parsed.flag("i-know-this-is-open"),
        log=parsed.text("log"),
        haproxy=_path(parsed, "haproxy"),
    )
    if settings.www is not None and settings.www_prefix == settings.prefix:
        message = "is the prefix of the API too, and a path can lead to one of the two only"
        problems.append(Problem("--www-prefix", "flag.prefix", message, "choose another one, or another --api-prefix"))
    return settings, problems


def _notes(parsed: Parsed, warn: Callable[[str], None]) -> None:
    for flag in ALL:
        if flag.note and flag.name in parsed.given:
            warn(f"note: --{flag.name} has no effect: {flag.note}")
    if parsed.arguments:
        warn(f"note: {' '.join(parsed.arguments)} means nothing here; a command to run stands behind --")


def _overrides(parsed: Parsed) -> Overrides:
    return Overrides(
        server=parsed.text("server"),
        token=parsed.text("token"),
        user=parsed.text("user"),
        cluster=parsed.text("cluster"),
        username=parsed.text("username"),
        password=parsed.text("password"),
        as_user=parsed.text("as"),
        as_group=parsed.all("as-group"),
        as_uid=parsed.text("as-uid"),
        as_user_extra=parsed.all("as-user-extra"),
        client_certificate=parsed.text("client-certificate") or None,
        client_key=parsed.text("client-key") or None,
        certificate_authority=parsed.text("certificate-authority") or None,
        tls_server_name=parsed.text("tls-server-name"),
        insecure_skip_tls_verify=parsed.flag("insecure-skip-tls-verify"),
        disable_compression=parsed.flag("disable-compression"),
        proxy_url=parsed.text("proxy-url"),
        kuberc=parsed.text("kuberc") or None,
    )


def _path(parsed: Parsed, name: str) -> Path | None:
    text = parsed.text(name)
    return Path(text) if text else None


def _seconds(parsed: Parsed) -> float:
    return seconds(parsed.text("keepalive", "0s"))


def _place(parsed: Parsed, problems: list[Problem]) -> Place:
    port = int(parsed.text("port", str(_DEFAULT_PORT)))
    socket = _path(parsed, "unix-socket")
    if socket is None:
        return Place(parsed.text("address", "127.0.0.1").strip("[]"), port)
    if port != _DEFAULT_PORT:
        message = "cannot be given beside --unix-socket, for the proxy listens at one place"
        problems.append(Problem("--port", "flag.both", message, "use --context-at for places of other contexts"))
    return Place(socket=socket, flag="--unix-socket")


def _also(parsed: Parsed) -> list[Named]:
    found = []
    for text in parsed.all("also-context"):
        alias, equals, name = text.partition("=")
        found.append(Named(name, alias) if equals else Named(text))
    return found


def _placed(parsed: Parsed, problems: list[Problem]) -> list[Named]:
    found = []
    for text in parsed.all("context-at"):
        name, equals, where = text.rpartition("=")
        place = _where(where)
        if not equals or not name or place is None:
            hint = "write NAME=PORT, NAME=ADDRESS:PORT, or NAME=/path/of/a/socket"
            problems.append(Problem("--context-at", "flag.place", f"{text!r} does not say where a context listens", hint))
        else:
            found.append(Named(name, place=place))
    return found


def _where(text: str) -> Place | None:
    if "/" in text:
        return Place(socket=Path(text), flag="--context-at")
    address, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        return None
    return Place(address.strip("[]") or "127.0.0.1", int(port), flag="--context-at")


def _tls(parsed: Parsed, problems: list[Problem]) -> Tls | None:
    cert, key = _path(parsed, "tls-cert-file"), _path(parsed, "tls-private-key-file")
    if (cert is None) != (key is None):
        missing = "tls-private-key-file" if key is None else "tls-cert-file"
        problems.append(Problem(f"--{missing}", "flag.missing", "is missing: a certificate and its key are given together"))
    return Tls(cert, key) if parsed.flag("tls") or cert is not None or key is not None else None


def _prefix(flag: str, text: str, problems: list[Problem]) -> str:
    prefix = text if text.endswith("/") else f"{text}/"
    if not _PREFIX.fullmatch(prefix) or "//" in prefix:
        message = f"{text!r} is no beginning of a path: it begins with a slash, and has no spaces, braces or empty parts"
        problems.append(Problem(flag, "flag.prefix", message, "write it as /custom/"))
        return "/"
    return prefix


def _folder(parsed: Parsed, warn: Callable[[str], None]) -> Path | None:
    folder = _path(parsed, "www")
    if folder is not None and not folder.is_dir():
        warn(f"warning: --www: {folder} is not a folder" if folder.exists() else f"warning: --www: there is no folder {folder}")
    return folder


def _origins(parsed: Parsed, problems: list[Problem]) -> tuple[str, ...]:
    found = []
    for text in parsed.all("allow-origin"):
        parts = _split(text)
        if parts is None:
            message = f"{text!r} is no origin: that is a scheme, a host, and a port unless it is the scheme's own"
            problems.append(Problem("--allow-origin", "flag.origin", message, "write it as http://localhost:3000"))
        else:
            found.append(f"{parts.scheme}://{parts.netloc}".lower())
    return tuple(found)


def _split(text: str) -> SplitResult | None:
    """An origin (RFC 6454, section 6.2) in its parts, None if the text is none."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    whole = parts.scheme and _HOST.fullmatch(parts.hostname or "") and "@" not in parts.netloc and not parts.netloc.endswith(":")
    return parts if whole and parts.path in ("", "/") and not (parts.query or parts.fragment) else None


def _filters(parsed: Parsed, problems: list[Problem], warn: Callable[[str], None]) -> Filters:
    hosts, paths, rejected_paths, rejected_methods = (
        _patterns(parsed, name, default, problems, warn) for name, default in _LISTS
    )
    denied, wrong = read_denied("--deny", list(parsed.all("deny")))
    problems += wrong
    disabled = parsed.flag("disable-filter")
    if disabled and not parsed.text("unix-socket"):
        warn("warning: --disable-filter: any host name and any path is served; pages of other origins are refused all the same")
    return Filters(hosts, paths, rejected_paths, rejected_methods, parsed.flag("read-only"), denied, disabled)


def _patterns(
    parsed: Parsed, name: str, default: str, problems: list[Problem], warn: Callable[[str], None]
) -> tuple[Pattern, ...]:
    """The patterns of a list. Where they are kubectl's own, nothing has to be loaded to know that they are good."""
    if name not in parsed.given:
        return tuple(read_pattern(text) for text in default.split(","))
    from kubegate.proxy.patterns import doubts, read_list

    found, wrong = read_list(f"--{name}", parsed.all(name))
    problems += wrong
    for doubt in doubts(f"--{name}", found):
        warn(f"warning: {doubt.where}: {doubt.message}; {doubt.hint}")
    if not found and name.startswith("reject"):
        warn(f"warning: --{name} is empty: what it would refuse by default is let pass")
    return found
