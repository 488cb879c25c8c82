"""Exec credential plugins: `ExecCredential` of client.authentication.k8s.io, v1 and v1beta1, as client-go runs them."""

import asyncio
import base64
import json
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from kubegate.cluster.context import Context
from kubegate.cluster.credential import ExecPlugin
from kubegate.cluster.errors import PluginFailed
from kubegate.cluster.plugin_policy import read_policy
from kubegate.model.names import printable

_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_MOST_BYTES = 1 << 20
_END_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class PluginAnswer:
    """What a plugin gave: a token, or a certificate with its key (PEM), or all; `expires` is None if it did not say."""

    token: str = field(default="", repr=False)
    certificate_pem: bytes = field(default=b"", repr=False)
    key_pem: bytes = field(default=b"", repr=False)
    expires: datetime | None = None


async def run_plugin(
    plugin: ExecPlugin,
    context: Context,
    environ: Mapping[str, str] = os.environ,
    timeout: float = 180.0,  # noqa: ASYNC109 - the caller's limit, in seconds
    terminal: bool | None = None,
) -> PluginAnswer:
    """Run a plugin once and read its answer; it is ended, with its children, after `timeout` seconds.

    It inherits standard error, and standard input only where it may ask a person. `terminal` says whether somebody is
    there to ask (None: whether standard input is a terminal). Raises PluginFailed, never with what the plugin printed,
    and InvalidInput where a kuberc with rules for plugins is wrong.
    """
    interactive = _interactive(plugin, os.isatty(0) if terminal is None else terminal)
    if plugin.api_version not in _VERSIONS:
        raise _failed(plugin, f"the API version {printable(plugin.api_version)} is not known", f"use {_VERSIONS[0]}")
    command = shutil.which(plugin.command, path=environ.get("PATH"))
    if command is None:
        raise _failed(plugin, "there is no such program", _lines(plugin.install_hint) or "install it")
    policy = read_policy(context.kuberc, environ)
    if not policy.allows(plugin.command, command, environ.get("PATH")):
        hint = "allow it there in credentialPluginAllowlist, if you trust it"
        raise _failed(plugin, f"{policy.where} does not let it run (credentialPluginPolicy: {policy.kind})", hint)
    info = json.dumps(_request(plugin, context, interactive))
    environment = {**environ, **dict(plugin.environment), "KUBERNETES_EXEC_INFO": info}
    try:
        process = await asyncio.create_subprocess_exec(
            command,
            *plugin.arguments,
            stdin=None if interactive else DEVNULL,
            stdout=PIPE,
            env=environment,
            # A plugin that asks a person has to stay in the terminal's foreground; others can be ended with their children.
            start_new_session=not interactive,
        )
    except OSError as error:
        raise _failed(plugin, f"it cannot be started: {(error.strerror or 'error').lower()}") from None
    output = await _output(plugin, process, timeout, interactive)
    return read_answer(plugin, output)


def read_answer(plugin: ExecPlugin, output: bytes) -> PluginAnswer:
    """Read what a plugin printed. Raises PluginFailed if it is not a credential of the version that was asked for."""
    try:
        answer = json.loads(output)
    except (ValueError, RecursionError):
        raise _failed(plugin, "what it printed is not JSON") from None
    if not isinstance(answer, dict) or answer.get("kind") != "ExecCredential":
        raise _failed(plugin, "what it printed is not an ExecCredential")
    if answer.get("apiVersion") != plugin.api_version:
        message = f"it answered in another API version than the kubeconfig asks for ({plugin.api_version})"
        raise _failed(plugin, message, "set apiVersion in the kubeconfig to the one that the plugin speaks")
    status = answer.get("status")
    if not isinstance(status, dict):
        raise _failed(plugin, "its answer has no status")
    token, certificate, key, expires = (
        _text(plugin, status, name) for name in ("token", "clientCertificateData", "clientKeyData", "expirationTimestamp")
    )
    if bool(certificate) != bool(key):
        raise _failed(plugin, "it gave only one of certificate and key")
    if not token and not certificate:
        raise _failed(plugin, "it gave neither a token nor a certificate")
    return PluginAnswer(token, certificate.encode(), key.encode(), _time(plugin, expires))


def _interactive(plugin: ExecPlugin, terminal: bool) -> bool:
    if plugin.interactive_mode == "Always" and not terminal:
        raise _failed(plugin, "it has to ask a person, and standard input is not a terminal", "run this in a terminal")
    return terminal and plugin.interactive_mode != "Never"


def _request(plugin: ExecPlugin, context: Context, interactive: bool) -> dict[str, object]:
    spec: dict[str, object] = {"interactive": interactive}
    if plugin.provide_cluster_info:
        cluster = {
            "server": context.declared_server or context.url,
            "tls-server-name": context.tls_server_name,
            "insecure-skip-tls-verify": context.insecure_skip_tls_verify,
            "certificate-authority-data": base64.b64encode(context.ca_pem or b"").decode(),
            "proxy-url": context.proxy_url,
            "disable-compression": context.disable_compression,
        }
        given = {key: value for key, value in cluster.items() if value not in (None, "", False)}
        # kubectl says so even where there is none.
        spec["cluster"] = given | {"config": json.loads(context.plugin_config or "null")}
    return {"kind": "ExecCredential", "apiVersion": plugin.api_version, "spec": spec}


async def _output(plugin: ExecPlugin, process: Process, seconds: float, interactive: bool) -> bytes:
    try:
        async with asyncio.timeout(seconds):
            output = await _read(process)
            if len(output) > _MOST_BYTES:
                raise _failed(plugin, "it printed more than 1 MiB, which no credential is")
            code = await process.wait()
    except TimeoutError:
        await _end(process, interactive)
        raise _failed(plugin, f"it did not answer within {seconds:g} s, and was ended") from None
    except BaseException:
        await _end(process, interactive)
        raise
    if code != 0:
        how = f"exit code {code}" if code > 0 else f"signal {-code}"
        raise _failed(plugin, f"it failed with {how}", "its own messages are on standard error")
    return output


async def _read(process: Process) -> bytes:
    parts, size = [], 0
    while process.stdout is not None and size <= _MOST_BYTES:
        part = await process.stdout.read(1 << 16)
        if not part:
            break
        parts.append(part)
        size += len(part)
    return b"".join(parts)


async def _end(process: Process, interactive: bool) -> None:
    """Kill it with its children, and read what is left, so that its pipe is closed."""
    try:
        if interactive:
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    try:
        async with asyncio.timeout(_END_SECONDS):
            await process.communicate()
    except TimeoutError:
        return


def _text(plugin: ExecPlugin, status: Mapping[str, object], name: str) -> str:
    value = status.get(name)
    if value is None or isinstance(value, str):
        return value or ""
    raise _failed(plugin, f"its answer has a {name} that is not text")


def _time(plugin: ExecPlugin, text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        raise _failed(plugin, "its answer has an expirationTimestamp that is no time (RFC 3339)") from None
    if moment is not None and moment.tzinfo is None:
        raise _failed(plugin, "its answer has an expirationTimestamp without a time zone (RFC 3339)")
    return moment


def _lines(text: str) -> str:
    return "\n".join(printable(line) for line in text.strip().splitlines())


def _failed(plugin: ExecPlugin, message: str, hint: str = "") -> PluginFailed:
    return PluginFailed(f"exec plugin {printable(Path(plugin.command).name)}: {message}", hint)
