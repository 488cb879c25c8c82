"""The test cluster as one object: bring it up, use it, take it down."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.cluster import accounts, bringup, build, control_plane, layout, network, pods, requirements, teardown, versions
from tests.cluster.accounts import Account
from tests.cluster.api import Api
from tests.cluster.errors import ClusterError
from tests.cluster.lock import Lock
from tests.cluster.pki import Authority, Leaf
from tests.cluster.state import State

Progress = Callable[[str], None]

SLEEP = ("sleep", "1000000")


def _silent(text: str) -> None:
    """Says nothing."""


@dataclass(frozen=True)
class ApiServer:
    """One of the two API servers."""

    index: int
    address: str
    port: int
    url: str
    certificate: Path
    audit_log: Path
    log: Path


class Cluster:
    """A running cluster.  Made by `Cluster.up` or `Cluster.attach`, ended by `close` (or by leaving `with`)."""

    def __init__(self, state: State, lock: Lock) -> None:
        """Not for callers: use `up` or `attach`."""
        self._state = state
        self._lock = lock
        binaries = Path(state.binaries)
        self.version = state.version
        self.work = layout.WORK
        self.kubectl_path = binaries / "kubectl"
        self.binaries = binaries

        self.servers = tuple(_server(index) for index in range(len(layout.API_ADDRESSES)))
        self.service_address = layout.SERVICE_ADDRESS
        self.etcd_url = layout.ETCD_URL
        self.node_name = layout.NODE_NAME
        self.node_address = layout.NODE_ADDRESS
        self.kubelet_url = f"https://{layout.NODE_ADDRESS}:{layout.KUBELET_PORT}"

        self.pki = layout.PKI
        self.ca = Authority("ca")
        self.front_proxy_ca = Authority("front-proxy-ca")
        self.etcd_ca = Authority("etcd-ca")
        self.front_proxy = _leaf("kubegate-front-proxy")
        self.etcd_client = _leaf("apiserver-etcd-client")
        self.kubelet_client = _leaf("apiserver-kubelet-client")

        self.accounts = accounts.accounts()
        self.admin = self.accounts["admin"]
        self.admin_token = self.accounts["admin-token"]
        self.developer = self.accounts["developer"]
        self.viewer = self.accounts["viewer"]
        self.bootstrap_token = accounts.bootstrap_token()

    @classmethod
    def up(cls, *, keep: bool = False, progress: Progress = _silent) -> Cluster:
        """Brings the cluster up, after building Kubernetes if need be and removing what an earlier run left.

        With `keep` it goes on when this process ends, until somebody calls `down`.
        """
        requirements.check(go=build.cached() is None)
        lock = Lock()
        try:
            _refuse_running()
            binaries = build.programs(progress)
            tell = bringup.stopwatch(progress)
            if layout.WORK.exists() and any(layout.WORK.iterdir()):
                tell("removing what an earlier run left behind")
                teardown.remove(tell)
            network.refuse_another_cluster()
            layout.WORK.mkdir(mode=0o755, exist_ok=True)
            state = State(kept=keep, binaries=str(binaries), version=versions.version())
            state.save()
            try:
                bringup.bring_up(state, tell)
                state.ready = True
                state.save()
                return cls(state, lock)
            except BaseException as error:
                if isinstance(error, Exception) and layout.LOGS.exists():
                    error.add_note(f"The logs are kept in {_kept_logs()}.")
                teardown.remove(tell)
                raise
        except BaseException:
            lock.release()
            raise

    @classmethod
    def attach(cls) -> Cluster | None:
        """The cluster that a person keeps running (`python -m tests.cluster up`), if there is one."""
        if os.geteuid() != 0:
            return None
        lock = Lock()
        state = State.load()
        if state is None or not state.kept or not state.running():
            lock.release()
            return None
        return cls(state, lock)

    @classmethod
    def down(cls, progress: Progress = _silent) -> None:
        """Removes every trace of the cluster, whoever brought it up and however far it came."""
        requirements.check(go=False)
        lock = Lock()
        try:
            teardown.remove(bringup.stopwatch(progress))
        finally:
            lock.release()

    def close(self) -> None:
        """Takes the cluster down, or leaves it whole where it is kept."""
        try:
            if not self._state.kept:
                teardown.remove(_silent)
                return
            for server in self.servers:
                if not self._state.processes[control_plane.apiserver_name(server.index)].alive():
                    self.start_apiserver(server.index)
        finally:
            self._lock.release()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def kubeconfig(self) -> Path:
        """The admin's, by client certificate."""
        return self.admin.kubeconfig

    def environment(self, kubeconfig: Path | None = None) -> dict[str, str]:
        """Variables for a kubectl that a test starts by itself: its own home, so that no cache is shared or left."""
        path = f"{self.binaries}:{os.environ.get('PATH', os.defpath)}"
        return {"PATH": path, "HOME": str(layout.HOME), "KUBECONFIG": str(kubeconfig or self.kubeconfig)}

    def kubectl(
        self,
        *args: str | Path,
        kubeconfig: Path | None = None,
        input: str | None = None,
        check: bool = True,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Runs kubectl to its end; with `check`, a failure raises with what it said."""
        done = subprocess.run(
            [self.kubectl_path, *args],
            env=self.environment(kubeconfig),
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        if check and done.returncode:
            words = " ".join(str(word) for word in args)
            raise ClusterError(f"`kubectl {words}` ended with {done.returncode}: {done.stderr.strip()}")
        return done

    def write_kubeconfig(self, path: Path, account: Account, *, server: str, ca: Path | None = None) -> Path:
        """An account's kubeconfig file for another address, such as the gate's, and the authority behind it."""
        return accounts.write_kubeconfig(path, token=account.token, client=account.client, server=server, ca=ca)

    def run_pod(
        self,
        name: str,
        *,
        namespace: str = "dev",
        command: Sequence[str] = SLEEP,
        labels: Mapping[str, str] | None = None,
        tools: bool = False,
    ) -> dict[str, Any]:
        """A busybox pod, label `app=<name>`, container `main`; waits until it runs and answers the pod object.

        With `tools` it holds `/tools/kubectl`, to speak to the API server as its service account.
        """
        return pods.run(self._api(), name, namespace, command, labels or {}, tools)

    def delete_pod(self, name: str, *, namespace: str = "dev") -> None:
        """Removes a pod at once and waits until it is gone."""
        pods.delete(self._api(), name, namespace)

    def stop_apiserver(self, index: int, number: signal.Signals = signal.SIGKILL) -> None:
        """Ends one API server: by default as a crash; SIGTERM lets it say goodbye first."""
        self._state.processes[control_plane.apiserver_name(index)].stop(number)

    def start_apiserver(self, index: int) -> None:
        """Revives a stopped API server and waits until it is ready."""
        old = self._state.processes[control_plane.apiserver_name(index)]
        if old.alive():
            raise ClusterError(f"API server {index} runs already.")
        process = bringup.started(self._state, control_plane.start_apiserver(self.binaries, index))
        bringup.await_apiserver(index, process)

    def audit_events(self) -> list[dict[str, Any]]:
        """All audit events of both API servers, in the order in which the requests arrived."""
        events: list[dict[str, Any]] = []
        for server in self.servers:
            lines = server.audit_log.read_text().splitlines(keepends=True)
            events += [json.loads(line) for line in lines if line.endswith("\n")]
        return sorted(events, key=lambda event: str(event["requestReceivedTimestamp"]))

    def _api(self) -> Api:
        """The first API server that runs."""
        names = [control_plane.apiserver_name(server.index) for server in self.servers]
        alive = [index for index, name in enumerate(names) if self._state.processes[name].alive()]
        return Api(layout.API_URLS[alive[0] if alive else 0], client=bringup.ADMIN)


def _kept_logs() -> Path:
    """A copy of the logs of a cluster that did not come up, which itself is taken away."""
    folder = Path(tempfile.mkdtemp(prefix="kubegate-test-cluster-logs-"))
    return Path(shutil.copytree(layout.LOGS, folder, dirs_exist_ok=True))


def _refuse_running() -> None:
    state = State.load()
    if state and state.kept and state.running():
        raise ClusterError(
            f"A test cluster is up already, brought up by {state.describe()}: use it, or run "
            "`python -m tests.cluster down` first."
        )


def _server(index: int) -> ApiServer:
    return ApiServer(
        index=index,
        address=layout.API_ADDRESSES[index],
        port=layout.API_PORT,
        url=layout.API_URLS[index],
        certificate=layout.PKI / f"apiserver-{index}.crt",
        audit_log=layout.AUDIT / f"apiserver-{index}.log",
        log=layout.LOGS / f"{control_plane.apiserver_name(index)}.log",
    )


def _leaf(name: str) -> Leaf:
    return Leaf(layout.PKI / f"{name}.crt", layout.PKI / f"{name}.key")
