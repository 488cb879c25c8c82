"""A test cluster as one object: bring it up, use it, take it down."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.cluster import accounts, bringup, build, control_plane, layout, network, pods, requirements, teardown, versions, wait
from tests.cluster.accounts import Account
from tests.cluster.api import Api, attempt
from tests.cluster.errors import ClusterError
from tests.cluster.layout import FIRST, Site
from tests.cluster.lock import Lock
from tests.cluster.pki import Authority, Leaf
from tests.cluster.state import State

Progress = Callable[[str], None]

SLEEP = ("sleep", "1000000")


def _silent(text: str) -> None:
    """Says nothing."""


@dataclass(frozen=True)
class ApiServer:
    """One of the API servers."""

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
        site = state.site
        self._state = state
        self._lock = lock
        self.name = site.name
        self.version = state.version
        self.work = site.work
        self.binaries = Path(state.binaries)
        self.kubectl_path = self.binaries / "kubectl"

        self.servers = tuple(_server(site, index) for index in range(len(site.api_addresses)))
        self.spare = _server(site, len(self.servers))
        self.api_name = site.api_name
        self.service_address = site.service_address
        self.etcd_url = site.etcd_url
        self.node_name = site.node_name
        self.node_address = site.node_address
        self.kubelet_url = f"https://{site.node_address}:{layout.KUBELET_PORT}"

        self.pki = site.pki
        self.ca = Authority(site.pki, "ca")
        self.front_proxy_ca = Authority(site.pki, "front-proxy-ca")
        self.etcd_ca = Authority(site.pki, "etcd-ca")
        self.front_proxy = Leaf.at(site.pki / "kubegate-front-proxy")
        self.etcd_client = Leaf.at(site.pki / "apiserver-etcd-client")
        self.kubelet_client = Leaf.at(site.pki / "apiserver-kubelet-client")

        self.accounts = accounts.accounts(site)
        self.admin = self.accounts["admin"]
        self.admin_token = self.accounts["admin-token"]
        self.developer = self.accounts["developer"]
        self.viewer = self.accounts["viewer"]
        self.bootstrap_token = accounts.bootstrap_token(site)

    @classmethod
    def up(cls, site: Site = FIRST, *, keep: bool = False, progress: Progress = _silent) -> Cluster:
        """Brings the cluster up, after building Kubernetes if need be and removing what an earlier run left.

        With `keep` it goes on when this process ends, until somebody calls `down`.
        """
        requirements.check(go=build.cached() is None)
        lock = Lock(site)
        try:
            _refuse_running(site)
            binaries = build.programs(progress)
            tell = bringup.stopwatch(progress)
            if site.work.exists() and any(site.work.iterdir()):
                tell("removing what an earlier run left behind")
                teardown.remove(site, tell)
            site.work.mkdir(mode=0o755, exist_ok=True)
            state = State(site, kept=keep, binaries=str(binaries), version=versions.version())
            state.save()
            try:
                bringup.bring_up(state, tell)
                state.ready = True
                state.save()
                return cls(state, lock)
            except BaseException as error:
                if isinstance(error, Exception) and site.logs.exists():
                    error.add_note(f"The logs are kept in {_kept_logs(site)}.")
                teardown.remove(site, tell)
                raise
        except BaseException:
            lock.release()
            raise

    @classmethod
    def attach(cls, site: Site = FIRST) -> Cluster | None:
        """The cluster that a person keeps running (`python -m tests.cluster up`), if there is one."""
        if os.geteuid() != 0:
            return None
        lock = Lock(site)
        try:
            state = State.load(site)
            if state and state.kept and state.running():
                cluster = cls(state, lock)
                cluster._settle()
                return cluster
        except BaseException:
            lock.release()
            raise
        lock.release()
        return None

    @classmethod
    def down(cls, site: Site = FIRST, progress: Progress = _silent) -> None:
        """Removes every trace of the cluster, whoever brought it up and however far it came."""
        requirements.check(go=False)
        lock = Lock(site)
        try:
            teardown.remove(site, bringup.stopwatch(progress))
        finally:
            lock.release()

    def close(self) -> None:
        """Takes the cluster down, or leaves it whole where it is kept."""
        try:
            if not self._state.kept:
                teardown.remove(self._state.site, _silent)
                return
            self._settle()
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
        return {"PATH": path, "HOME": str(self._state.site.home), "KUBECONFIG": str(kubeconfig or self.kubeconfig)}

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
        authority = ca or self.ca.certificate
        return accounts.write_kubeconfig(path, server=server, ca=authority, token=account.token, client=account.client)

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
        folder = self._state.site.node_binaries if tools else None
        return pods.run(self._api(), name, namespace, command, labels or {}, folder)

    def delete_pod(self, name: str, *, namespace: str = "dev") -> None:
        """Removes a pod at once and waits until it is gone."""
        pods.delete(self._api(), name, namespace)

    def stop_apiserver(self, index: int, number: signal.Signals = signal.SIGKILL) -> None:
        """Ends one API server: by default as a crash; SIGTERM lets it say goodbye first."""
        name = control_plane.apiserver_name(index)
        if process := self._state.processes.get(name):
            process.stop(number)
        if index == self.spare.index:
            self._state.forget(name)

    def start_apiserver(self, index: int) -> None:
        """Revives a stopped API server, or starts the spare one, and waits until it is ready."""
        if self.runs(index):
            raise ClusterError(f"API server {index} runs already.")
        control_plane.start_apiserver(self._state, index)
        bringup.await_apiserver(self._state, index)

    def add_apiserver(self, index: int) -> None:
        """Starts an API server and waits until the `kubernetes` Service leads to it."""
        self.start_apiserver(index)
        self._await_member(index, True)

    def remove_apiserver(self, index: int, number: signal.Signals = signal.SIGTERM) -> None:
        """Ends an API server and waits until the `kubernetes` Service leads there no more: after a crash some 15 s."""
        self.stop_apiserver(index, number)
        self._await_member(index, False)

    def members(self) -> set[str]:
        """The addresses of API servers in the EndpointSlices of the `kubernetes` Service."""
        path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io/service-name%3Dkubernetes"
        slices = self._api().json("GET", path)["items"]
        return {address for item in slices for endpoint in item["endpoints"] or () for address in endpoint["addresses"]}

    def listen(self, address: str, port: int) -> socket.socket:
        """A listening socket at an address of the cluster: in the place of a server that is stopped."""
        return network.listen(self._state, address, port)

    def audit_events(self) -> list[dict[str, Any]]:
        """All audit events of all API servers, in the order in which the requests arrived."""
        events: list[dict[str, Any]] = []
        for server in (*self.servers, self.spare):
            if server.audit_log.exists():
                lines = server.audit_log.read_text().splitlines(keepends=True)
                events += [json.loads(line) for line in lines if line.endswith("\n")]
        return sorted(events, key=lambda event: str(event["requestReceivedTimestamp"]))

    def _settle(self) -> None:
        """Every lasting API server runs, and no other, whatever a test left."""
        for server in self.servers:
            if not self.runs(server.index):
                self.start_apiserver(server.index)
        self.remove_apiserver(self.spare.index)

    def runs(self, index: int) -> bool:
        process = self._state.processes.get(control_plane.apiserver_name(index))
        return process is not None and process.alive()

    def _await_member(self, index: int, wanted: bool) -> None:
        address = self._state.site.every_api_address[index]

        def seen() -> bool:
            members = attempt(self.members)
            return members is not None and (address in members) is wanted

        wait.until(seen, f"the kubernetes service {'leads' if wanted else 'does not lead'} to {address}")

    def _api(self) -> Api:
        """The first API server that runs."""
        alive = [server for server in (*self.servers, self.spare) if self.runs(server.index)]
        return bringup.admin(self._state.site, (*alive, *self.servers)[0].url)


def _kept_logs(site: Site) -> Path:
    """A copy of the logs of a cluster that did not come up, which itself is taken away."""
    folder = Path(tempfile.mkdtemp(prefix=f"{site.work.name}-logs-"))
    return Path(shutil.copytree(site.logs, folder, dirs_exist_ok=True))


def _refuse_running(site: Site) -> None:
    state = State.load(site)
    if state and state.kept and state.running():
        raise ClusterError(
            f"The {site.name} test cluster is up already, brought up by {state.describe()}: use it, or run "
            f"`python -m tests.cluster down {site.name}` first."
        )


def _server(site: Site, index: int) -> ApiServer:
    return ApiServer(
        index=index,
        address=site.every_api_address[index],
        port=layout.API_PORT,
        url=site.api_url(index),
        certificate=site.pki / f"apiserver-{index}.crt",
        audit_log=site.audit / f"apiserver-{index}.log",
        log=site.logs / f"{control_plane.apiserver_name(index)}.log",
    )
