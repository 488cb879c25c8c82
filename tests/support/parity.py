"""One kubeconfig through the real kubectl and through ours, at one server that notes what arrives."""

import base64
import json
import ssl
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import build
from tests.support.forge import CLIENT, forge
from tests.support.tls import api_leaf, authority, cluster_authority, server_context
from tests.support.upstream import Upstream
from tests.support.visitor import arrive
from tests.support.wire import Wire

V1, V1BETA1 = "client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"
USERS = authority("users")
JANE, OTHER = (forge(name, USERS, usages=[CLIENT]) for name in ("jane", "other"))
EXPIRED = forge("late", USERS, usages=[CLIENT], until=timedelta(days=-1), since=timedelta(days=9))
REPOSITORY = Path(__file__).parents[2]


def data(content: bytes) -> str:
    return base64.b64encode(content).decode()


CA = data(cluster_authority().pem)
PAIR = {"client-certificate-data": data(JANE.pem), "client-key-data": data(JANE.key_pem)}
FILES = {
    "jane.crt": JANE.pem,
    "jane.key": JANE.key_pem,
    "other.crt": OTHER.pem,
    "other.key": OTHER.key_pem,
    "ca.crt": cluster_authority().pem,
    "wrong.crt": USERS.pem,
    "token": b" of-the-file\n",
    "empty": b"\n",
    "rules": b"apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\ncredentialPluginPolicy: DenyAll\n",
}


def plugin(version: str = V1, **more: Any) -> dict[str, Any]:
    return {"exec": {"command": "./login", "apiVersion": version, "interactiveMode": "Never"} | more}


def granted(version: str = V1, **status: str) -> str:
    return json.dumps({"kind": "ExecCredential", "apiVersion": version, "status": status or {"token": "granted"}})


@dataclass(frozen=True)
class Case:
    """A row: what stands in the kubeconfig, the flags over it, and what the plugin answers. `{ca}` is the good one."""

    name: str
    user: dict[str, Any] = field(default_factory=dict)
    cluster: dict[str, Any] = field(default_factory=dict)
    flags: dict[str, Any] = field(default_factory=dict)
    answer: str = granted()
    kuberc: str = ""
    context: dict[str, Any] = field(default_factory=dict)
    plain: bool = False
    top: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Arrived:
    """What a server saw of a visitor, and what a plugin was told."""

    path: str = ""
    authorization: tuple[str, ...] = ()
    impersonation: tuple[tuple[str, str], ...] = ()
    certificate: str = ""
    name: str | None = None
    told: str = ""


class Place:
    """A folder with a kubeconfig and what it names, and the server that it leads to."""

    def __init__(self, folder: Path, case: Case) -> None:
        self.folder, self.case = folder, case
        self.names: list[str | None] = []
        tls = server_context(api_leaf(), USERS)
        # X509_V_FLAG_NO_CHECK_TIME: whoever comes is looked at.
        tls.verify_flags |= ssl.VerifyFlags(0x200000)
        tls.sni_callback = lambda _socket, name, _context: self.names.append(name)
        self.server = Upstream(leaf=None) if case.plain else Upstream(context=tls)
        self.elsewhere = folder / "elsewhere"
        self.elsewhere.mkdir()
        self.environ = {"HOME": str(folder), "PATH": "/usr/bin:/bin"}
        for name, content in FILES.items():
            (folder / name).write_bytes(content)
        script = f'printf %s "$KUBERNETES_EXEC_INFO|$1|$MINE" > {folder}/told; cat {folder}/answer'
        (folder / "login").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "login").chmod(0o755)
        (folder / "answer").write_text(case.answer)
        if case.kuberc:
            (folder / ".kube").mkdir()
            (folder / ".kube" / "kuberc").write_text(self._filled(case.kuberc))
        self.kubeconfig = folder / "config"
        self.kubeconfig.write_text(self._filled(yaml.safe_dump(self._document())))

    def _document(self) -> dict[str, Any]:
        good = {"server": f"http{'' if self.case.plain else 's'}://127.0.0.1:PORT", "certificate-authority-data": CA}
        cluster = {key: value for key, value in (good | self.case.cluster).items() if value is not None}
        return {
            "clusters": [{"name": "c", "cluster": cluster}, {"name": "second", "cluster": good}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"} | self.case.context}],
            "users": [{"name": "u", "user": self.case.user}, {"name": "second", "user": {"token": "of-the-second"}}],
            "current-context": "x",
        } | self.case.top

    def _filled(self, text: str) -> str:
        return text.replace("PORT", str(self.server.port)).replace("FOLDER", str(self.folder))

    def flags(self) -> dict[str, Any]:
        return {key: self._filled(value) if isinstance(value, str) else value for key, value in self.case.flags.items()}

    def arguments(self) -> list[str]:
        """The flags as kubectl has them."""
        found = []
        for key, value in self.flags().items():
            name = "as" if key == "as_user" else key.replace("_", "-")
            values = value if isinstance(value, tuple) else [value]
            found += [f"--{name}={str(one).lower() if isinstance(one, bool) else one}" for one in values]
        return found

    def by_kubectl(self, *before: str, named: bool = True) -> tuple[Arrived | None, str]:
        """What arrives from kubectl, and what it says. `before` runs it, `named` says whether a flag names the kubeconfig."""
        where = [f"--kubeconfig={self.kubeconfig}"] if named else []
        said = self._run([*before, kubectl(), *where, *self.arguments(), "get", "--raw", "/probe"])
        return self.arrived(), said

    def by_us(self, *before: str, named: bool = True) -> tuple[Arrived | None, str]:
        """What arrives from us, and what we say."""
        kubeconfig = self.kubeconfig if named else None
        if before:
            said = self._run([*before, sys.executable, "-m", "tests.support.visitor", "--flags", json.dumps(self.flags())])
        else:
            said = arrive(kubeconfig, None, self.environ, self.flags(), "/probe")
        return self.arrived(), said

    def by_kubectl_proxy(self) -> tuple[Arrived | None, str]:
        """What arrives from a request without credentials through `kubectl proxy`, and what it answers."""
        command = [kubectl(), f"--kubeconfig={self.kubeconfig}", *self.arguments(), "proxy", "--port=0"]
        with subprocess.Popen(
            command,
            cwd=self.elsewhere,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                assert process.stdout
                line = process.stdout.readline().decode()
                said = _get(line.rsplit(":", 1)[1]) if ":" in line else ""
            finally:
                process.kill()
        return self.arrived(), said

    def _run(self, command: Sequence[str]) -> str:
        environ = self.environ | {"PYTHONPATH": str(REPOSITORY)}
        done = subprocess.run(
            command, cwd=self.elsewhere, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30
        )
        return done.stderr

    def arrived(self) -> Arrived | None:
        requests = self.server.seen("/")
        told, name = self.folder / "told", self.names[-1] if self.names else None
        info = told.read_text() if told.exists() else ""
        told.unlink(missing_ok=True)
        self.server.requests.clear()
        self.names.clear()
        if not requests:
            return None
        (request,) = requests
        subject = [value for part in request.wire.peer.get("subject", ()) for _, value in part]
        headers = [(key, value) for key, value in request.headers if key.startswith("impersonate-")]
        return Arrived(
            path=request.path,
            authorization=tuple(request.values("authorization")),
            impersonation=tuple(sorted(headers)),
            certificate=" ".join(subject),
            name=name,
            told=_normal(info),
        )


def _normal(info: str) -> str:
    """What a plugin was told, in one order; the CA's certificates without the text around them."""
    if not info:
        return ""
    text, _, rest = info.partition("|")
    return f"{json.dumps(json.loads(text), sort_keys=True)}|{rest}"


def _get(port: str) -> str:
    """The answer to a request from this machine; connections are not kept."""
    with Wire.connect("127.0.0.1", int(port)) as wire:
        wire.send(b"GET /probe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return wire.receive_rest().decode()


def kubectl() -> str:
    """kubectl of the test cluster's version, or the test is left out."""
    built = build.cached()
    if built is None:
        pytest.skip("kubectl of the test cluster is not built (make test builds it)")
    return str(built / "kubectl")
