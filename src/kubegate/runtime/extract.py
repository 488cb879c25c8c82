"""A context of a kubeconfig as files that other programs read, and lines of curl and openssl that use them."""

import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kubegate.cluster.context import Context
from kubegate.cluster.kubeconfig import load
from kubegate.cluster.login import Login, log_in
from kubegate.cluster.precedence import Choice, choices
from kubegate.model.address import Endpoint, is_address
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.model.status import Attempt
from kubegate.system.files import explained, reason, sync_folder, write_new

_REVIEW = '{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}'
CA, CERTIFICATE, KEY, HEADERS = "ca.crt", "client.crt", "client.key", "headers"


@dataclass(frozen=True, slots=True)
class Extracted:
    """What was written where, which credential it is, and what to do with it. Nothing in here is secret."""

    context: str
    url: str
    folder: Path
    files: tuple[str, ...]
    choices: tuple[Choice, ...]
    attempts: tuple[Attempt, ...]
    warnings: tuple[Problem, ...]

    def facts(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "context": self.context,
            "url": self.url,
            "folder": str(self.folder),
            "files": list(self.files),
            "credentials": [asdict(one) for one in self.choices],
            "commands": [one.model_dump() for one in self.attempts],
            "warnings": [asdict(one) for one in self.warnings],
        }


async def extract(kubeconfig: Path | None, context: str | None, out: Path, environ: Mapping[str, str] = os.environ) -> Extracted:
    """Write what a context logs in with into a new folder (0700, files 0600). A plugin is asked, as kubectl would.

    Raises InvalidInput with every problem, PluginFailed, ProviderFailed or FileTrouble; then nothing is left behind.
    """
    problems = list(_folder_problems(out))
    try:
        found = load(kubeconfig, context, environ)
    except InvalidInput as error:
        raise InvalidInput([*error.problems, *problems]) from None
    try:
        login = await log_in(found, environ)
    except InvalidInput as error:
        problems += error.problems
    if problems:
        raise InvalidInput(problems)
    files = _files(found, login)
    _write(out, files)
    return Extracted(
        context=found.name,
        url=found.url,
        folder=out,
        files=tuple(files),
        choices=choices(found.credential, tls=found.scheme == "https"),
        attempts=tuple(_attempts(found, out, files)),
        warnings=tuple(_warnings(found, login)),
    )


def _folder_problems(out: Path) -> Iterator[Problem]:
    where = f"--out {printable(str(out))}"
    if os.path.lexists(out):
        yield Problem(where, "out.folder", "there is something of this name already", "name a folder that does not exist yet")
    elif not out.absolute().parent.is_dir():
        yield Problem(where, "out.folder", "the folder that it would be in is not there", "make that one first")


def _files(context: Context, login: Login) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    if context.ca_pem is not None:
        files[CA] = context.ca_pem
    if context.scheme == "https" and login.certificate_pem:
        files[CERTIFICATE], files[KEY] = login.certificate_pem, login.key_pem
    headers = list(login.impersonation)
    if context.scheme == "https" and login.authorization:
        headers.insert(0, ("Authorization", login.authorization))
    if headers:
        files[HEADERS] = "".join(f"{name}: {value}\n" for name, value in headers).encode()
    return files


def _write(out: Path, files: Mapping[str, bytes]) -> None:
    try:
        out.mkdir(mode=0o700)
    except OSError as error:
        where = f"--out {printable(str(out))}"
        raise InvalidInput(
            [Problem(where, "out.folder", f"the folder cannot be made: {reason(error)}", "name another")]
        ) from None
    try:
        with explained(f"{printable(str(out))} cannot be written"):
            for name, content in files.items():
                write_new(out / name, content)
            sync_folder(out)
    except BaseException:
        for name in files:
            (out / name).unlink(missing_ok=True)
        out.rmdir()
        raise


def _attempts(context: Context, out: Path, files: Mapping[str, bytes]) -> Iterator[Attempt]:
    # Names that a terminal would not show as they are cannot be copied from it.
    for shows, command in (
        ("who the API server says that this is", _curl(context, out, files, "/apis/authentication.k8s.io/v1/selfsubjectreviews")),
        ("the nodes", _curl(context, out, files, "/api/v1/nodes?limit=5")),
        ("the TLS handshake: certificate, chain, verified or not", _s_client(context, out, files)),
        ("whose certificate it is, and until when", _x509(out, CERTIFICATE) if CERTIFICATE in files else ""),
        ("the CA", _x509(out, CA) if CA in files else ""),
    ):
        if command and command.isprintable():
            yield Attempt(shows=shows, command=command)


def _curl(context: Context, out: Path, files: Mapping[str, bytes], path: str) -> str:
    words = ["curl", "--silent", "--show-error", "--fail-with-body"]
    for flag, name in (("--cacert", CA), ("--cert", CERTIFICATE), ("--key", KEY)):
        if name in files:
            words += [flag, str(out / name)]
    # Not on the command line, where everybody on this machine could read it.
    words += ["--header", f"@{out / HEADERS}"] if HEADERS in files else []
    if path.endswith("selfsubjectreviews"):
        words += ["--header", "Content-Type: application/json", "--data", _REVIEW]
    at = Endpoint(context.host, context.port)
    if context.tls_server_name and context.tls_server_name != context.host:
        named = Endpoint(context.tls_server_name, context.port)
        return shlex.join([*words, "--connect-to", f"{named}:{at}", f"{context.scheme}://{named}{context.path_prefix}{path}"])
    return shlex.join([*words, f"{context.url}{path}"])


def _s_client(context: Context, out: Path, files: Mapping[str, bytes]) -> str:
    if context.scheme != "https":
        return ""
    name = context.verified_name
    words = ["openssl", "s_client", "-connect", str(Endpoint(context.host, context.port)), "-brief", "-verify_return_error"]
    words += ["-noservername", "-verify_ip", name] if is_address(name) else ["-servername", name, "-verify_hostname", name]
    for flag, file in (("-CAfile", CA), ("-cert", CERTIFICATE), ("-key", KEY)):
        if file in files:
            words += [flag, str(out / file)]
    return f"{shlex.join(words)} </dev/null"


def _x509(out: Path, name: str) -> str:
    return shlex.join(["openssl", "x509", "-in", str(out / name), "-noout", "-subject", "-issuer", "-enddate"])


def _warnings(context: Context, login: Login) -> Iterator[Problem]:
    yield from context.warnings
    yield from login.warnings
    where = f"context {printable(context.name)}"
    if context.insecure_skip_tls_verify:
        message = "kubectl does not verify this server; the lines here do, by the system's CAs"
        yield Problem(where, "kubeconfig.insecure", message, "put the cluster's CA into the kubeconfig")
    if context.proxy_url is not None:
        message = "kubectl goes through proxy-url; the lines here go straight"
        yield Problem(where, "kubeconfig.proxy", message, "add --proxy to curl, -proxy to openssl")
    if login.expires is not None:
        message = f"what was written ends at {login.expires:%Y-%m-%d %H:%M:%S %Z}"
        yield Problem(where, "credential.ends", message, "extract it again then; kubectl gets a new one by itself")
