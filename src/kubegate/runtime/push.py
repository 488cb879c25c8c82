"""A rendered set copied to another machine over SSH (SFTP): the whole of it or nothing, to a machine that is known.

The folder that was asked for is a link to one beside it that holds this set; it is switched in one step when all of it is there.
"""

import contextlib
import hashlib
import os
import posixpath
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubegate.errors import KubegateError
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.render.targets import Artefact, Rendered
from kubegate.system.files import reason

if TYPE_CHECKING:
    from asyncssh import SFTPClient, SSHClientConnection, SSHKey

_CONNECT_SECONDS = 10
_LOGIN_SECONDS = 20
_DESTINATION = re.compile(
    r"(?:(?P<user>[^@:/\s]+)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^@:/\s\[\]-][^@:/\s\[\]]*):(?P<folder>/[^\0\n]*)"
)
_OWN_FOLDERS = re.compile(r"[0-9a-f]{12}-[0-9a-f]{6}")


class PushFailed(KubegateError):
    """The set could not be copied; what was there before is as it was."""


@dataclass(frozen=True, slots=True)
class Destination:
    """`USER@HOST:DIR`; without a user it is the one that ssh would take."""

    user: str | None
    host: str
    folder: str

    def __str__(self) -> str:
        return f"{f'{self.user}@' if self.user else ''}{self.host}:{self.folder}"


@dataclass(frozen=True, slots=True)
class Pushed:
    """What is there now: the link, the folder that it leads to, and the one that it led to before, empty if there was none."""

    folder: str
    leads_to: str
    before: str


def destination(text: str) -> Destination:
    """Read `USER@HOST:DIR`. Raises InvalidInput."""
    found = _DESTINATION.fullmatch(text)
    folder = posixpath.normpath(found["folder"]) if found else "/"
    if found is None or folder == "/":
        hint = "write USER@HOST:DIR with the whole path of a folder, as in core@10.0.0.7:/srv/kubegate"
        raise InvalidInput([Problem(f"--push {printable(text)}", "push.destination", "this is no folder of a machine", hint)])
    return Destination(found["user"], found["host"].strip("[]"), folder)


async def push(rendered: Rendered, to: Destination) -> Pushed:
    """Copy a set. Raises PushFailed, or InvalidInput if something else stands where it is to go."""
    import asyncssh

    async with _connected(to) as connection:
        try:
            async with connection.start_sftp_client() as sftp:
                return await _copy(sftp, rendered, to)
        except asyncssh.SFTPNoSuchFile:
            hint = f"make the folder there: mkdir -p {posixpath.dirname(to.folder)}"
            raise PushFailed(f"{to.host} has no folder {posixpath.dirname(to.folder)}", hint) from None
        except asyncssh.SFTPPermissionDenied:
            raise PushFailed(f"the user may not write beside {to.folder} on {to.host}", "name another folder, or user") from None
        except (asyncssh.Error, OSError) as error:
            raise PushFailed(f"{to.host} did not take the files: {_said(error)}", "see to it there, and push again") from None


async def _copy(sftp: "SFTPClient", rendered: Rendered, to: Destination) -> Pushed:
    import asyncssh

    before = await _led_to(sftp, to)
    fresh = f"{to.folder}.{_digest(rendered)[:12]}-{secrets.token_hex(3)}"
    link = f"{fresh}.link"
    try:
        await _write_all(sftp, rendered, fresh)
        await sftp.symlink(posixpath.basename(fresh), link)
        await sftp.posix_rename(link, to.folder)
    except BaseException:
        if not await _in_use(sftp, to.folder, fresh):
            await _remove(sftp, fresh, link)
        raise
    # The new set is in its place: what is left of earlier ones is no reason to say that it is not.
    with contextlib.suppress(asyncssh.Error, OSError):
        await _prune(sftp, to.folder, {posixpath.basename(fresh), posixpath.basename(before)})
    return Pushed(to.folder, fresh, before)


async def _in_use(sftp: "SFTPClient", link: str, folder: str) -> bool:
    """Whether the link leads there already, as when the command was ended just before it heard so."""
    import asyncssh

    with contextlib.suppress(asyncssh.Error, OSError):
        return str(await sftp.readlink(link)) == posixpath.basename(folder)
    return False


async def _led_to(sftp: "SFTPClient", to: Destination) -> str:
    """Where the link leads now; empty if there is none. Raises InvalidInput if something else is there."""
    import asyncssh

    found: str | None = None
    try:
        found = str(await sftp.readlink(to.folder))
    except asyncssh.SFTPNoSuchFile:
        return ""
    except asyncssh.SFTPPermissionDenied:
        raise
    except asyncssh.SFTPError:
        pass
    if found is None or not _is_own(found, posixpath.basename(to.folder)):
        message = f"{to.folder} is there already, and is no link that an earlier push has made"
        raise InvalidInput(
            [Problem(f"--push {to}", "push.folder", message, "name another folder, or move that one away")]
        ) from None
    return posixpath.join(posixpath.dirname(to.folder), found)


def _is_own(name: str, link: str) -> bool:
    """Whether this is the name of a folder that pushes to this link make."""
    return name.startswith(f"{link}.") and _OWN_FOLDERS.fullmatch(name[len(link) + 1 :]) is not None


async def _write_all(sftp: "SFTPClient", rendered: Rendered, folder: str) -> None:
    import asyncssh

    # Nobody looks into it before all of it is there.
    await sftp.mkdir(folder, asyncssh.SFTPAttrs(permissions=0o700))
    for artefact in rendered.artefacts:
        path = posixpath.join(folder, artefact.name)
        if posixpath.dirname(artefact.name):
            await sftp.makedirs(posixpath.dirname(path), exist_ok=True)
        await _write(sftp, path, artefact)
    await sftp.chmod(folder, 0o755)


async def _write(sftp: "SFTPClient", path: str, artefact: Artefact) -> None:
    import asyncssh

    async with sftp.open(path, "xb", asyncssh.SFTPAttrs(permissions=0o600)) as file:
        await file.write(artefact.content)
        await file.fsync()
    await sftp.chmod(path, artefact.mode)


async def _prune(sftp: "SFTPClient", folder: str, kept: set[str]) -> None:
    """Remove what earlier pushes have left, but for the last one."""
    parent, name = posixpath.split(folder)
    for one in await sftp.listdir(parent):
        found = str(one)
        if _is_own(found, name) and found not in kept:
            await sftp.rmtree(posixpath.join(parent, found))


async def _remove(sftp: "SFTPClient", folder: str, link: str) -> None:
    import asyncssh

    with contextlib.suppress(asyncssh.Error, OSError):
        await sftp.unlink(link)
    with contextlib.suppress(asyncssh.Error, OSError):
        await sftp.rmtree(folder)


def _digest(rendered: Rendered) -> str:
    total = hashlib.sha256()
    for one in rendered.artefacts:
        total.update(f"{len(one.name)}:{one.name}:{one.mode:o}:{len(one.content)}:".encode())
        total.update(one.content)
    return total.hexdigest()


@asynccontextmanager
async def _connected(to: Destination) -> "AsyncIterator[SSHClientConnection]":
    """A connection to a machine whose host key is known, by ~/.ssh/config, the agent and the usual keys; never by a password."""
    import asyncssh

    met: list[_Met] = []

    class Client(asyncssh.SSHClient):
        """Is asked only about host keys that are not known."""

        def validate_host_public_key(self, host: str, addr: str, port: int, key: "SSHKey") -> bool:
            met.append(_Met(host, addr, port, key))
            return False

    options: Mapping[str, Any] = {"username": to.user} if to.user else {}
    try:
        connection = await asyncssh.connect(
            to.host,
            client_factory=Client,
            connect_timeout=_CONNECT_SECONDS,
            login_timeout=_LOGIN_SECONDS,
            preferred_auth="publickey",
            **options,
        )
    except asyncssh.HostKeyNotVerifiable:
        raise _unknown(to, met) from None
    except asyncssh.PermissionDenied:
        hint = "have your public key in ~/.ssh/authorized_keys there; your keys are the agent's and those of ~/.ssh, no passwords"
        raise PushFailed(f"{to.host} does not let you in", hint) from None
    except TimeoutError:
        raise PushFailed(f"{to.host} did not answer in time", "check the address, and that an SSH server runs there") from None
    except (asyncssh.Error, OSError) as error:
        hint = "check that `ssh` gets there with the same words; port, user and keys may stand in ~/.ssh/config"
        raise PushFailed(f"no connection to {to.host}: {_said(error)}", hint) from None
    async with connection:
        yield connection


@dataclass(frozen=True, slots=True)
class _Met:
    """A host key that was shown and is not known."""

    host: str
    addr: str
    port: int
    key: "SSHKey"


def _unknown(to: Destination, met: list[_Met]) -> PushFailed:
    if not met:
        hint = "ask ssh: it says which line of known_hosts is meant"
        return PushFailed(f"the host key of {to.host} is revoked, or not one that was known", hint)
    one = met[0]
    name = one.host if one.port == 22 else f"[{one.host}]:{one.port}"
    shown = f"{one.key.get_algorithm()} {one.key.get_fingerprint()}"
    add = f"ssh-keyscan -p {one.port} {one.host} >> ~/.ssh/known_hosts"
    if _is_known(one):
        message = f"{name} shows another host key than the one in ~/.ssh/known_hosts: {shown}"
        hint = f"it is another machine, unless it was set up anew: then compare this there, ssh-keygen -R '{name}', and {add}"
        return PushFailed(message, hint)
    hint = f"compare this with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` there; if it is the same: {add}"
    return PushFailed(f"the host key of {name} is not known: {shown}", hint)


def _is_known(one: _Met) -> bool:
    import asyncssh

    try:
        keys = asyncssh.match_known_hosts(str(Path.home() / ".ssh" / "known_hosts"), one.host, one.addr, one.port)
    except (OSError, ValueError, asyncssh.Error):
        return False
    return bool(keys[0])


def _said(error: Exception) -> str:
    if isinstance(error, OSError):
        # asyncio puts words of its own in the place of the system's.
        return os.strerror(error.errno).lower() if error.errno else reason(error)
    return printable(str(getattr(error, "reason", "") or error)) or type(error).__name__
