"""A context's credential that runs, and what it depends on, to be changed under it."""

import asyncio
import contextlib
import errno
import json
import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from kubegate.cluster.kubeconfig import Chosen
from kubegate.cluster.login import Login
from kubegate.errors import KubegateError
from kubegate.proxy.credentials import Credentials

V1 = "client.authentication.k8s.io/v1"
# How long is waited; how long it takes is a test of its own.
WITHIN_SECONDS = 5.0
QUIET_SECONDS = 0.9


class Desk:
    """A folder with a kubeconfig, and credentials made of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kubeconfig = folder / "config"
        self.environ = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder)}
        self.published: list[tuple[Login | None, str]] = []
        self.said: list[str] = []
        self.user: dict[str, Any] = {"token": "first"}
        self.cluster: dict[str, Any] = {"server": "https://api.test:6443"}
        self.credentials: Credentials
        self.first = Login()
        self.refuses = 0
        self.may_fail = False

    def document(self, **top: Any) -> dict[str, Any]:
        return {
            "clusters": [{"name": "c", "cluster": self.cluster}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}, {"name": "y", "context": {"cluster": "c"}}],
            "users": [{"name": "u", "user": self.user}],
            "current-context": "x",
        } | top

    def write(self, **top: Any) -> None:
        """The kubeconfig anew, in one step."""
        replace_file(self.kubeconfig, yaml.safe_dump(self.document(**top)))

    def plugin(self, script: str, **more: Any) -> None:
        """A plugin, which counts how often it runs."""
        path = self.folder / "login"
        path.write_text(f"#!/bin/sh\necho run >> {self.folder}/runs\n{script}\n")
        path.chmod(0o755)
        self.user = {"exec": {"command": str(path), "apiVersion": V1, "interactiveMode": "IfAvailable"} | more}

    def grants(self, token: str, seconds: float | None = None) -> None:
        """What the plugin answers from now on."""
        status = {"token": token}
        if seconds is not None:
            status["expirationTimestamp"] = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
        answer = json.dumps({"kind": "ExecCredential", "apiVersion": V1, "status": status})
        replace_file(self.folder / "answer", answer)

    @property
    def runs(self) -> int:
        return len((self.folder / "runs").read_text().splitlines())

    def sent(self) -> list[str | None]:
        """What was published, as the value of Authorization."""
        return [login.authorization if login else None for login, _ in self.published]

    async def publishes(self, count: int = 1, within: float = WITHIN_SECONDS) -> None:
        """Wait until so much was published since the start."""
        began = time.monotonic()
        while len(self.published) < count:
            assert time.monotonic() - began < within, f"not within {within} s: {self.published} {self.said}"
            await asyncio.sleep(0.01)

    def run(self, scene: Callable[["Desk"], Awaitable[None]], *, patience: float = 5.0) -> None:
        """Play a scene with credentials that have started."""

        async def publish(login: Login | None, why: str) -> None:
            if self.refuses:
                self.refuses -= 1
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.published.append((login, why))

        async def play() -> None:
            load = Chosen(self.kubeconfig, None, self.environ)
            self.credentials = Credentials(load, self.environ, publish, self.said.append, patience=patience, timeout=10)
            with contextlib.suppress(*([KubegateError] if self.may_fail else [])):
                self.first = await self.credentials.start()
            running = asyncio.create_task(self.credentials.run())
            await asyncio.sleep(0.3)
            try:
                await scene(self)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

        asyncio.run(play())
        assert not any("first" in text or "secret" in text for text in self.said)


def replace_file(path: Path, content: str | bytes) -> None:
    """Another file of the same name, in one step."""
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content if isinstance(content, bytes) else content.encode())
    new.replace(path)


async def quiet(desk: Desk) -> None:
    """Nothing is published for a while."""
    before = len(desk.published)
    await asyncio.sleep(QUIET_SECONDS)
    assert len(desk.published) == before, desk.published[before:]
