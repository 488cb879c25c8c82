"""Client libraries through the gate, and bursts such as helm sends."""

import asyncio
import base64
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Target:
    """A gate as raw clients need it."""

    host: str
    port: int
    name: str
    tls: ssl.SSLContext
    authorization: str


@pytest.fixture(params=MODES)
def target(request: pytest.FixtureRequest, gates: Mapping[str, Exposed], cluster: Cluster) -> Target:
    """The gate in each mode, with the developer's token."""
    gate = gates[request.param]
    config = yaml.safe_load(Path(gate.facts["kubeconfig"]).read_text())["clusters"][0]["cluster"]
    context = ssl.create_default_context(cadata=_ca(config))
    name = config.get("tls-server-name", "127.0.0.1")
    return Target("127.0.0.1", gate.port, name, context, f"Bearer {cluster.accounts['developer'].token}")


def _path(number: int) -> str:
    return f"/api/v1/namespaces/dev/configmaps?limit=1&burst={number}"


def test_a_burst_of_500_connections(target: Target) -> None:
    async def ask(number: int) -> int:
        reader, writer = await asyncio.open_connection(target.host, target.port, ssl=target.tls, server_hostname=target.name)
        lines = [f"GET {_path(number)} HTTP/1.1", "Host: gate", f"Authorization: {target.authorization}", "Connection: close"]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        assert answer.endswith((b"}\n", b"0\r\n\r\n"))
        return int(answer.split()[1])

    async def run() -> list[int]:
        return await asyncio.gather(*(ask(number) for number in range(500)))

    assert set(asyncio.run(run())) == {200}


def test_a_burst_of_500_requests_on_few_connections(target: Target) -> None:
    async def run() -> list[int]:
        async with httpx.AsyncClient(verify=target.tls, http2=True, timeout=60, trust_env=False) as client:

            async def ask(number: int) -> int:
                answer = await client.get(
                    f"https://{target.host}:{target.port}{_path(number)}",
                    headers={"Authorization": target.authorization},
                    extensions={"sni_hostname": target.name},
                )
                assert answer.http_version == "HTTP/2"
                return answer.status_code

            return await asyncio.gather(*(ask(number) for number in range(500)))

    assert set(asyncio.run(run())) == {200}


def _ca(config: Mapping[str, str]) -> str:
    return base64.b64decode(config["certificate-authority-data"]).decode()
