"""`kubegate certs inspect`: certificates of a file, a server or a kubeconfig, and who would trust them. Changes nothing."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509

from kubegate.cluster.context import Context
from kubegate.cluster.errors import ClusterError
from kubegate.cluster.kubeconfig import load
from kubegate.cluster.shown import shown_der
from kubegate.errors import KubegateError
from kubegate.model.address import Endpoint
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.model.values import parse_dial
from kubegate.pki.certificate import UNPARSABLE, Certificate, load_bundle, read_certificate
from kubegate.pki.chain import Arrangement, Verdict, arrange, by_browser, by_bundle, is_bundle
from kubegate.pki.key import belongs_to, load_key
from kubegate.pki.pem import blocks
from kubegate.pki.system import system_ca_file
from kubegate.system.files import reason

KUBECONFIG = "kubeconfig"
_MOST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class View:
    """What was found at one place: a chain, a bundle of CAs, or why there is neither.

    `browser` and `kubeconfig` say whether these would trust the chain; the latter is None where there is no kubeconfig, and
    `context` names it. `key_belongs` is None where no key is there; `key_trouble` says why one could not be looked at.
    """

    title: str
    arrangement: Arrangement | None = None
    bundle: tuple[Certificate, ...] = ()
    browser: Verdict | None = None
    kubeconfig: Verdict | None = None
    context: str = ""
    key_belongs: bool | None = None
    key_trouble: str = ""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    """How to look: by which kubeconfig, for which name, with which key."""

    kubeconfig: Path | None = None
    context: str | None = None
    server_name: str | None = None
    key: Path | None = None


async def inspect(target: str, options: Options, environ: Mapping[str, str]) -> list[View]:
    """Look at a file, at HOST:PORT, or at a kubeconfig. Raises InvalidInput, or ClusterError if nobody shows a certificate."""
    content = _content(target)
    if content is None and target == KUBECONFIG:
        return await _kubeconfig(_Judge.of(options, environ, needed=True), options)
    if content is not None:
        if b"-----BEGIN" not in content and (document := _document(content)) is not None:
            if document.get("kind") == "Config":
                named = Options(Path(target), options.context, options.server_name)
                return await _kubeconfig(_Judge.of(named, environ, needed=True), named)
            if document.get("kind") == "Secret":
                content = _secret(document, printable(target))
        return [_file(content, printable(target), _Judge.of(options, environ), options)]
    at = _endpoint(target)
    return [await _server(at, str(at), _Judge.of(options, environ), options)]


@dataclass(frozen=True, slots=True)
class _Judge:
    """By whose CAs certificates are judged."""

    system: Path | None
    context: Context | None
    now: datetime

    @classmethod
    def of(cls, options: Options, environ: Mapping[str, str], *, needed: bool = False) -> "_Judge":
        context = None
        try:
            context = load(options.kubeconfig, options.context, environ)
        except InvalidInput:
            # One that nobody has named need not be there.
            if needed or options.kubeconfig is not None or options.context is not None:
                raise
        return cls(system_ca_file(environ), context, datetime.now(UTC))

    def judged(self, view: dict[str, Any], given: Sequence[Certificate], browser_name: str | None, name: str | None) -> View:
        """A view of certificates with what would be thought of them; the names are those that are asked for, None for its own."""
        context, chain = self.context, _in_order(given)
        return View(
            arrangement=arrange(given),
            browser=by_browser(chain, browser_name, self.now, self.system),
            kubeconfig=self._by_kubeconfig(context, chain, name) if context is not None else None,
            context=printable(context.name) if context is not None else "",
            **view,
        )

    def _by_kubeconfig(self, context: Context, chain: Sequence[Certificate], name: str | None) -> Verdict:
        if context.insecure_skip_tls_verify:
            return Verdict(True, "it skips verification, so it trusts whoever answers")
        if context.ca_pem is None:
            return by_browser(chain, name, self.now, self.system)
        return by_bundle(chain, name, self.now, load_bundle(context.ca_pem, context.ca_where))


def _file(content: bytes, shown: str, judge: _Judge, options: Options) -> View:
    given = _certificates(content, shown)
    if is_bundle(given):
        return View(shown, bundle=tuple(given))
    view: dict[str, Any] = {"title": shown} | _key(content, options.key, arrange(given).leaf)
    return judge.judged(view, given, options.server_name, options.server_name)


async def _server(at: Endpoint, title: str, judge: _Judge, options: Options) -> View:
    """What a server shows. Raises ClusterError."""
    context = judge.context
    own = options.server_name or at.host
    # Who dials it by a kubeconfig verifies the name that stands there.
    asked = options.server_name or (context.tls_server_name if context is not None else None) or at.host
    shown = await shown_der(at.host, at.port, options.server_name)
    try:
        given = [read_certificate(x509.load_der_x509_certificate(one)) for one in shown]
    except UNPARSABLE:
        raise ClusterError(f"the certificate of {at} is of a form that cannot be understood") from None
    view: dict[str, Any] = {"title": f"{title} shows"} | _key(b"", options.key, given[0])
    return judge.judged(view, given, own, asked)


async def _kubeconfig(judge: _Judge, options: Options) -> list[View]:
    """The server of a kubeconfig's context, the CA in it, and the client certificate of its user."""
    context = judge.context
    assert context is not None
    views = []
    at = Endpoint(context.host, context.port)
    if context.scheme == "https":
        named = Options(server_name=options.server_name or context.tls_server_name)
        try:
            views.append(await _server(at, f"{at}, the server of context {printable(context.name)},", judge, named))
        except ClusterError as error:
            views.append(View(f"{at}, the server of context {printable(context.name)}", trouble=error.message))
    if context.ca_pem is not None:
        bundle = tuple(load_bundle(context.ca_pem, context.ca_where))
        views.append(View(f"the CA in it ({printable(context.ca_where)})", bundle=bundle))
    if context.credential.certificate is not None:
        views.append(_client(context))
    return views


def _client(context: Context) -> View:
    """The client certificate of a user. It is shown to servers, so nobody judges it here but the API server."""
    pair = context.credential
    assert pair.certificate is not None
    title = f"the client certificate of user {printable(context.user_name)}"
    try:
        pem = pair.certificate.read()
        given = load_bundle(pem, pair.certificate.where)
        key = pair.key.read() if pair.key is not None else b""
    except InvalidInput as error:
        return View(title, trouble=error.message)
    view: dict[str, Any] = {"title": title} | _key(key, None, arrange(given).leaf)
    return View(arrangement=arrange(given), **view)


def _in_order(given: Sequence[Certificate]) -> Sequence[Certificate]:
    """As they stood, the certificate itself first: that is how a server sends them, and clients look among the others."""
    leaf = arrange(given).leaf
    return given if given[0] is leaf else [leaf, *(one for one in given if one is not leaf)]


def _key(content: bytes, file: Path | None, leaf: Certificate) -> dict[str, Any]:
    """Whether a key that stands with a certificate, or in a file of its own, belongs to it."""
    if file is not None:
        content = _read(file)
    elif not any(block.is_key for block in blocks(content)):
        return {}
    try:
        key = load_key(content, "the key")
    except InvalidInput as error:
        return {"key_trouble": error.problems[0].message}
    return {"key_belongs": belongs_to(key, leaf.parsed)}


def _certificates(content: bytes, where: str) -> list[Certificate]:
    if content[:1] != b"\x30":
        return load_bundle(content, where)
    try:
        return [read_certificate(x509.load_der_x509_certificate(content))]
    except UNPARSABLE:
        message = "is neither PEM nor one certificate in DER form"
        hint = "of a PKCS #12 file first: openssl pkcs12 -in FILE -nokeys"
        raise InvalidInput([Problem(where, "certs.inspect", message, hint)]) from None


def _document(content: bytes) -> dict[str, Any] | None:
    """The mapping that a YAML file holds, None if it is no such file."""
    try:
        found = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _secret(document: Mapping[str, Any], where: str) -> bytes:
    """Certificate and key of the manifest of a Secret."""
    data = document.get("data")
    try:
        parts = [base64.b64decode(data[key], validate=True) for key in ("tls.crt", "tls.key") if key in data] if data else []
    except (binascii.Error, TypeError, ValueError):
        parts = []
    if not parts:
        hint = "name one of type kubernetes.io/tls"
        raise InvalidInput([Problem(where, "certs.inspect", "is a Secret that holds no certificate in tls.crt", hint)])
    return b"\n".join(parts)


def _endpoint(target: str) -> Endpoint:
    hint = f"name a file, HOST:PORT, or the word {KUBECONFIG}"
    try:
        if ":" not in target:
            raise ValueError("is no file")
        found = parse_dial(target)
    except (ValueError, KubegateError) as error:
        message = "is no file, and no HOST:PORT" if ":" in target else str(error)
        raise InvalidInput([Problem(printable(target), "certs.inspect", message, hint)]) from None
    assert isinstance(found, Endpoint)
    return found


def _content(target: str) -> bytes | None:
    """What is in the file of this name, None if there is no such file."""
    path = Path(target)
    return _read(path) if path.exists() else None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        message = f"cannot be read: {reason(error)}"
        raise InvalidInput([Problem(printable(str(path)), "file.unreadable", message, "check the path")]) from None
    if len(content) > _MOST_BYTES:
        raise InvalidInput([Problem(printable(str(path)), "file.large", "is larger than 16 MiB", "name a file of certificates")])
    return content
