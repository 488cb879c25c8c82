"""A client kubeconfig made from flags: which servers, how each is verified, and which credential goes to them."""

import base64
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubegate.cluster.authority import certificates_only
from kubegate.cluster.files import read_file
from kubegate.cluster.kubeconfig_file import Entries
from kubegate.cluster.login import pair_problems
from kubegate.cluster.server import host_name, parse_server
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.pki.certificate import check_ca
from kubegate.runtime.findings import Findings
from kubegate.runtime.gate_access import accesses
from kubegate.runtime.reading import read_file as read_declaration

Body = dict[str, Any]
_EXEC_VERSION = "client.authentication.k8s.io/v1"
# RFC 6750, section 2.1, and what others put into tokens: no spaces, no control characters.
_TOKEN = re.compile(r"[\x21-\x7e]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was typed; texts are not checked yet. Secrets are named by file or variable, never given."""

    config: Path | None = None
    clusters: Sequence[str] = ()
    servers: Sequence[str] = ()
    address: str = ""
    ca: Path | None = None
    insecure: bool = False
    tls_server_name: str = ""
    token_file: Path | None = None
    token_env: str = ""
    command: str = ""
    arguments: Sequence[str] = ()
    variables: Sequence[str] = ()
    client_cert: Path | None = None
    client_key: Path | None = None
    user: str = ""
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    """The entries, and what is not secure or will not work about them."""

    entries: Entries
    warnings: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class _Cluster:
    name: str
    url: str
    ca_pem: bytes | None = field(repr=False)
    server_name: str | None
    opened: bool = False
    asks: bool = False
    demands: bool = False

    def body(self, *, insecure: bool) -> Body:
        """As a kubeconfig writes it."""
        found: Body = {"server": self.url}
        if insecure:
            found["insecure-skip-tls-verify"] = True
        elif self.ca_pem is not None:
            found["certificate-authority-data"] = _encoded(self.ca_pem)
        if self.server_name:
            found["tls-server-name"] = self.server_name
        return found


def make(wanted: Wanted, environ: Mapping[str, str] = os.environ) -> Made:
    """The kubeconfig that was asked for. Raises InvalidInput with everything that is wrong with the request."""
    findings = Findings(list(_combinations(wanted)))
    clusters: list[_Cluster] = []
    user: Body = {}
    with findings.also("--config", "kubeconfig"):
        clusters += _of_file(wanted, environ)
    with findings.also("--server", "kubeconfig"):
        clusters += _of_servers(wanted)
    with findings.also("--user", "kubeconfig"):
        user = _user(wanted, environ)
    findings.problems += _twice(clusters)
    findings.raise_if_any()
    name = wanted.user or (f"{clusters[0].name}-user" if len(clusters) == 1 else "kubegate-user")
    context = {"user": name} if user else {}
    context |= {"namespace": wanted.namespace} if wanted.namespace else {}
    entries = Entries(
        clusters={one.name: one.body(insecure=wanted.insecure) for one in clusters},
        users={name: user} if user else {},
        contexts={one.name: {"cluster": one.name} | context for one in clusters},
        current_context=clusters[0].name,
    )
    return Made(entries, tuple(_warnings(wanted, clusters, has_user=bool(user))))


def _combinations(wanted: Wanted) -> Iterator[Problem]:
    tokens = [flag for flag, given in (("--token-file", wanted.token_file), ("--token-env", wanted.token_env)) if given]
    rules: list[tuple[bool, str, str, str]] = [
        (not wanted.config and not wanted.servers, "--server", "no server is named", "add --server URL, or -c kubegate.yaml"),
        (
            bool(wanted.config and wanted.servers),
            "--server",
            "servers come from a declared file or from flags, not from both",
            "leave out -c or --server; kubegate kubeconfig merge puts two files together",
        ),
        (bool(wanted.clusters) and not wanted.config, "--cluster", "it chooses clusters of a declared file", "add -c FILE"),
        (bool(wanted.address) and not wanted.config, "--address", "it is where the gate of a file is reached", "add -c FILE"),
        (
            wanted.config is not None and wanted.ca is not None,
            "--ca",
            "the declared file says whom clients of its gate trust (certificate.ca)",
            "leave it out",
        ),
        (
            wanted.insecure and wanted.ca is not None,
            "--insecure",
            "it switches off the verification for which --ca gives the CA",
            "leave out one of the two",
        ),
        (
            bool(wanted.tls_server_name) and wanted.config is not None,
            "--tls-server-name",
            "the declared file says by which name its gate is verified (hosts)",
            "leave it out",
        ),
        (len(tokens) > 1, " ".join(tokens), "two tokens are given", "keep one of the two"),
        (
            bool(wanted.command and (tokens or wanted.client_cert)),
            "--exec",
            "kubectl asks no plugin where a token or a certificate is given",
            "keep one way to log in",
        ),
        (
            bool(wanted.arguments or wanted.variables) and not wanted.command,
            "--exec-arg" if wanted.arguments else "--exec-env",
            "it belongs to a plugin, and none is named",
            "add --exec COMMAND",
        ),
        (
            (wanted.client_cert is None) != (wanted.client_key is None),
            "--client-cert" if wanted.client_cert else "--client-key",
            "a client certificate and its key are given together",
            f"add {'--client-key' if wanted.client_cert else '--client-cert'} FILE",
        ),
    ]
    return (Problem(where, "flag.combination", message, hint) for applies, where, message, hint in rules if applies)


def _of_file(wanted: Wanted, environ: Mapping[str, str]) -> list[_Cluster]:
    if wanted.config is None:
        return []
    address = _host("--address", wanted.address) if wanted.address else ""
    found = accesses(read_declaration(wanted.config), wanted.config, environ, tuple(wanted.clusters))
    return [
        _Cluster(one.cluster, one.url(address), one.ca_pem, one.server_name(address), one.opened, one.asks, one.demands)
        for one in found
    ]


def _of_servers(wanted: Wanted) -> list[_Cluster]:
    problems: list[Problem] = []
    ca_pem = _authority(wanted.ca, problems) if wanted.ca else None
    server_name = None
    if wanted.tls_server_name:
        try:
            server_name = _host("--tls-server-name", wanted.tls_server_name)
        except InvalidInput as error:
            problems += error.problems
    found = []
    for text in wanted.servers:
        name, separator, url = text.partition("=")
        if not separator or "/" in name:
            name, url = "", text
        try:
            server = parse_server(url, f"--server {printable(text)}" if "@" not in text else "--server")
        except InvalidInput as error:
            problems += error.problems
            continue
        if server.scheme != "https":
            message = "without TLS everybody on the way reads the credential, and kubectl sends none"
            problems.append(Problem(f"--server {printable(text)}", "kubeconfig.server", message, "write https://HOST:PORT"))
        found.append(_Cluster(name or server.endpoint.host, server.url, ca_pem, server_name))
    if problems:
        raise InvalidInput(problems)
    return found


def _host(flag: str, text: str) -> str:
    try:
        return host_name(text)
    except ValueError:
        message, hint = "is neither a DNS name nor an IP address", "write it without scheme and port, as in api.example.com"
        raise InvalidInput([Problem(f"{flag} {printable(text)}", "flag.host", message, hint)]) from None


def _authority(file: Path, problems: list[Problem]) -> bytes | None:
    where = printable(str(file))
    try:
        content = read_file(file, f"--ca {where}", "file.unreadable")
        if wrong := check_ca(content, f"--ca {where}"):
            raise InvalidInput(wrong)
        return certificates_only(content, f"--ca {where}")
    except InvalidInput as error:
        problems += error.problems
        return None


def _user(wanted: Wanted, environ: Mapping[str, str]) -> Body:
    problems: list[Problem] = []
    user: Body = {}
    if token := _token(wanted, environ, problems):
        user["token"] = token
    if wanted.client_cert and wanted.client_key:
        user |= _pair(wanted.client_cert, wanted.client_key, problems)
    if wanted.command:
        user["exec"] = _plugin(wanted, problems)
    if problems:
        raise InvalidInput(problems)
    return user


def _token(wanted: Wanted, environ: Mapping[str, str], problems: list[Problem]) -> str:
    if wanted.token_file is not None:
        where = f"--token-file {printable(str(wanted.token_file))}"
        try:
            text = read_file(wanted.token_file, where, "file.unreadable").decode("utf-8", "replace").strip()
        except InvalidInput as error:
            problems += error.problems
            return ""
    elif wanted.token_env:
        where = "--token-env"
        if not _VARIABLE.fullmatch(wanted.token_env):
            # Somebody may have typed the token itself, which must not be repeated.
            message = "is no name of an environment variable"
            problems.append(Problem(where, "flag.variable", message, "write the variable's name: --token-env TOKEN"))
            return ""
        text = environ.get(wanted.token_env, "").strip()
    else:
        return ""
    if not _TOKEN.fullmatch(text):
        message = "holds no token" if not text else "has spaces or characters that no token has"
        problems.append(Problem(where, "credential.token", message, "put the token alone into it, in one line"))
    return text


def _pair(cert: Path, key: Path, problems: list[Problem]) -> Body:
    where, key_where = f"--client-cert {printable(str(cert))}", f"--client-key {printable(str(key))}"
    contents = []
    for path, place in ((cert, where), (key, key_where)):
        try:
            contents.append(read_file(path, place, "file.unreadable"))
        except InvalidInput as error:
            problems += error.problems
    if len(contents) < 2:
        return {}
    problems += pair_problems(contents[0], contents[1], where, key_where)
    return {"client-certificate-data": _encoded(contents[0]), "client-key-data": _encoded(contents[1])}


def _plugin(wanted: Wanted, problems: list[Problem]) -> Body:
    variables = []
    for text in wanted.variables:
        name, separator, value = text.partition("=")
        if not separator or not _VARIABLE.fullmatch(name):
            problems.append(Problem("--exec-env", "flag.variable", "is not NAME=VALUE", "write --exec-env NAME=VALUE"))
        variables.append({"name": name, "value": value})
    # A path means this very file, wherever the kubeconfig will stand.
    command = os.path.abspath(wanted.command) if "/" in wanted.command else wanted.command  # noqa: PTH100
    found: Body = {"apiVersion": _EXEC_VERSION, "command": command, "interactiveMode": "IfAvailable"}
    if wanted.arguments:
        found["args"] = list(wanted.arguments)
    if variables:
        found["env"] = variables
    return found


def _twice(clusters: Sequence[_Cluster]) -> Iterator[Problem]:
    names = [one.name for one in clusters]
    for name in sorted({one for one in names if names.count(one) > 1}):
        message = f"two servers would be called {printable(name)}"
        yield Problem("--server", "kubeconfig.rename", message, "name them: --server NAME=https://HOST:PORT")


def _warnings(wanted: Wanted, clusters: Sequence[_Cluster], *, has_user: bool) -> Iterator[Problem]:
    if wanted.insecure:
        message = "nobody verifies the server: whoever answers at its address, or stands in between, gets the credential"
        yield Problem("--insecure", "kubeconfig.insecure", message, "embed its CA (--ca FILE) and leave out --insecure")
    yield from _certificate_warnings(wanted, clusters)
    if not has_user:
        message = "it names no user, so kubectl would ask for a user name"
        hint = "--token-file, --token-env, --exec, or --client-cert and --client-key; or merge it, and set-context --user"
        yield Problem("the kubeconfig", "kubeconfig.no-user", message, hint)
    exposed = [one.url for one in clusters if not wanted.insecure and one.ca_pem is None and wanted.servers]
    if exposed:
        message = f"no CA is embedded: {', '.join(exposed)} is verified by the CAs of the system on which it is used"
        yield Problem("--ca", "kubeconfig.system-ca", message, "right for a public certificate; else embed its CA: --ca FILE")


def _certificate_warnings(wanted: Wanted, clusters: Sequence[_Cluster]) -> Iterator[Problem]:
    useless = [one.name for one in clusters if one.opened and not one.asks]
    if wanted.client_cert and useless:
        message = f"a client certificate cannot pass where the gate opens TLS ({', '.join(useless)})"
        yield Problem("--client-cert", "client-certificate", message, "use a token there, or mode: passthrough")
    asking = [one.name for one in clusters if one.asks]
    if wanted.client_cert and asking and not (wanted.token_file or wanted.token_env):
        message = f"the gate keeps the client certificate to itself ({', '.join(asking)}), and the API server gets no credential"
        yield Problem("--client-cert", "client-certificate", message, "add a token: --token-file FILE")
    demanding = [one.name for one in clusters if one.demands]
    if demanding and not wanted.client_cert:
        message = f"the gate lets nobody in without a client certificate ({', '.join(demanding)}), and none is given"
        yield Problem("--client-cert", "client-certificate", message, "add --client-cert FILE and --client-key FILE")


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()
