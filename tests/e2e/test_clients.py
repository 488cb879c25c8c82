"""Client libraries through the gate, and bursts such as helm sends."""

import asyncio
import base64
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import kubernetes
import kubernetes_asyncio
import pytest
import yaml

from tests.cluster.cluster import Cluster
from tests.e2e.conftest import ClientMaker
from tests.support.expose import Exposed

MODES = ("terminate", "passthrough")


def _config_map(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "dev"}, "data": {"a": "1"}}


@pytest.mark.parametrize("mode", MODES)
def test_the_official_python_client_with_a_watch(make_client: ClientMaker, mode: str) -> None:
    api_client: Any = kubernetes.config.new_client_from_config(str(make_client(mode).kubeconfig))  # type: ignore[no-untyped-call]
    with api_client:
        api: Any = kubernetes.client.CoreV1Api(api_client)
        name = f"python-{mode}"
        seen: list[str] = []
        begin = api.list_namespaced_config_map("dev").metadata.resource_version

        def watch() -> None:
            stream: Any = kubernetes.watch.Watch()  # type: ignore[no-untyped-call]
            for event in stream.stream(api.list_namespaced_config_map, "dev", resource_version=begin, timeout_seconds=30):
                if event["object"].metadata.name == name:
                    seen.append(event["type"])
                if seen == ["ADDED", "DELETED"]:
                    return

        thread = threading.Thread(target=watch)
        thread.start()
        api.create_namespaced_config_map("dev", _config_map(name))
        assert api.read_namespaced_config_map(name, "dev").data == {"a": "1"}
        api.delete_namespaced_config_map(name, "dev")
        thread.join(40)
        assert seen == ["ADDED", "DELETED"]


# That library's HTTP client leaves the closing of TLS connections to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("mode", MODES)
def test_kubernetes_asyncio_with_a_watch(make_client: ClientMaker, mode: str) -> None:
    path = str(make_client(mode).kubeconfig)
    name = f"asyncio-{mode}"

    async def run() -> list[str]:
        async with await kubernetes_asyncio.config.new_client_from_config(path) as api_client:
            api: Any = kubernetes_asyncio.client.CoreV1Api(api_client)
            begin = (await api.list_namespaced_config_map("dev")).metadata.resource_version
            seen: list[str] = []

            async def watch() -> None:
                async with kubernetes_asyncio.watch.Watch() as stream:
                    async for event in stream.stream(
                        api.list_namespaced_config_map, "dev", resource_version=begin, timeout_seconds=30
                    ):
                        if event["object"].metadata.name == name:
                            seen.append(event["type"])
                        if seen == ["ADDED", "DELETED"]:
                            return

            watching = asyncio.create_task(watch())
            await api.create_namespaced_config_map("dev", _config_map(name))
            await api.delete_namespaced_config_map(name, "dev")
            await asyncio.wait_for(watching, 40)
            return seen

    assert asyncio.run(run()) == ["ADDED", "DELETED"]


@pytest.mark.parametrize("http2", [False, True], ids=["h1", "h2"])
@pytest.mark.parametrize("mode", MODES)
def test_a_burst_of_500_parallel_requests(gates: Mapping[str, Exposed], cluster: Cluster, mode: str, http2: bool) -> None:
    config = yaml.safe_load(Path(gates[mode].facts["kubeconfig"]).read_text())["clusters"][0]["cluster"]
    context = ssl.create_default_context(cadata=_ca(config))
    token = cluster.accounts["developer"].token

    async def run() -> list[int]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(verify=context, http2=http2, limits=limits, timeout=60, trust_env=False) as client:

            async def ask(number: int) -> int:
                answer = await client.get(
                    f"{config['server']}/api/v1/namespaces/dev/configmaps?limit=1&burst={number}",
                    headers={"Authorization": f"Bearer {token}"},
                    extensions={"sni_hostname": config.get("tls-server-name", "127.0.0.1")},
                )
                return answer.status_code

            return await asyncio.gather(*(ask(number) for number in range(500)))

    assert set(asyncio.run(run())) == {200}


def _ca(config: Mapping[str, str]) -> str:
    return base64.b64decode(config["certificate-authority-data"]).decode()
