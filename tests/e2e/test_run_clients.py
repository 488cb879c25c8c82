"""Client libraries through a declared gate: a watch that was opened before the gate is reloaded and taken over sees all of it."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes
import kubernetes_asyncio
import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.changes import Changes, Disturbed
from tests.e2e.declared import DeclaredGate, declared_gate
from tests.support.expose import home

OBJECTS = 40


@pytest.fixture(scope="module")
def gate(cluster: Cluster, second_cluster: Cluster) -> Iterator[DeclaredGate]:
    """The gate, in front of both."""
    with home() as folder, declared_gate(folder, cluster, second_cluster) as running:
        yield running
        # The last one of those that took over.
        running.running.end()


@pytest.fixture(scope="module")
def changes(gate: DeclaredGate) -> Changes:
    """Every second one of a kind undoes the one before, so they are counted for all tests."""
    return Changes(gate)


@pytest.fixture(params=["first", "second"])
def kubeconfig(request: pytest.FixtureRequest, gate: DeclaredGate, tmp_path: Path) -> str:
    """Of the developer of a cluster: the first one's TLS is opened, the second one's is not."""
    account = gate.clusters[request.param].accounts["developer"]
    return str(gate.kubeconfig(tmp_path / "config", request.param, account))


def _named(kind: str, number: int) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{kind}-{number}", "namespace": "dev"}}


def _expected(kind: str) -> list[tuple[str, str]]:
    return [(what, f"{kind}-{number}") for number in range(OBJECTS) for what in ("ADDED", "DELETED")]


@pytest.mark.timeout(240)
def test_the_official_python_client(gate: DeclaredGate, changes: Changes, kubeconfig: str) -> None:
    api_client: Any = kubernetes.config.new_client_from_config(kubeconfig)  # type: ignore[no-untyped-call]
    wanted = _expected("official")
    seen: list[tuple[str, str]] = []
    with api_client:
        api: Any = kubernetes.client.CoreV1Api(api_client)
        begin = api.list_namespaced_config_map("dev").metadata.resource_version

        def watch() -> None:
            # One answer, never asked for again: the stream of the library would come back by itself.
            answer = api.list_namespaced_config_map("dev", resource_version=begin, watch=True, _preload_content=False)
            stream: Any = kubernetes.watch.Watch()  # type: ignore[no-untyped-call]
            for line in kubernetes.watch.watch.iter_resp_lines(answer):  # type: ignore[no-untyped-call]
                event = stream.unmarshal_event(line, "V1ConfigMap")
                if event["object"].metadata.name.startswith("official-"):
                    seen.append((event["type"], event["object"].metadata.name))
                if len(seen) == len(wanted):
                    answer.close()
                    return

        thread = threading.Thread(target=watch)
        thread.start()
        with Disturbed(gate, changes) as disturbed:
            for number in range(OBJECTS):
                api.create_namespaced_config_map("dev", _named("official", number))
                assert api.read_namespaced_config_map(f"official-{number}", "dev").metadata.name == f"official-{number}"
                api.delete_namespaced_config_map(f"official-{number}", "dev")
                if number == OBJECTS - 2:
                    disturbed.until(2)
        thread.join(40)
    assert seen == wanted


# That library's HTTP client leaves the closing of TLS connections to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.timeout(240)
def test_kubernetes_asyncio(gate: DeclaredGate, changes: Changes, kubeconfig: str) -> None:
    wanted = _expected("asyncio")
    with Disturbed(gate, changes) as disturbed:
        seen = asyncio.run(_watched(kubeconfig, disturbed, len(wanted)))
    assert seen == wanted


async def _watched(kubeconfig: str, disturbed: Disturbed, number_of_events: int) -> list[tuple[str, str]]:
    seen: list[tuple[str, str]] = []
    async with await kubernetes_asyncio.config.new_client_from_config(kubeconfig) as api_client:
        api: Any = kubernetes_asyncio.client.CoreV1Api(api_client)
        begin = (await api.list_namespaced_config_map("dev")).metadata.resource_version
        answer = await api.list_namespaced_config_map("dev", resource_version=begin, watch=True, _preload_content=False)

        async def watch() -> None:
            stream = kubernetes_asyncio.watch.Watch()
            async for line in answer.content:
                event = stream.unmarshal_event(line.decode(), "V1ConfigMap")
                if event["object"].metadata.name.startswith("asyncio-"):
                    seen.append((event["type"], event["object"].metadata.name))
                if len(seen) == number_of_events:
                    return

        watching = asyncio.create_task(watch())
        for number in range(OBJECTS):
            await api.create_namespaced_config_map("dev", _named("asyncio", number))
            await api.delete_namespaced_config_map(f"asyncio-{number}", "dev")
            if number == OBJECTS - 2:
                await asyncio.to_thread(disturbed.until, 2)
        await asyncio.wait_for(watching, 40)
        answer.release()
    return seen
