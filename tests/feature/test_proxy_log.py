"""`kubegate proxy --log`: a line of JSON for each request, whatever it holds."""

import json
import stat
from typing import Any

import pytest

from tests.support.expose import Home, kubeconfig
from tests.support.proxy import proxying
from tests.support.upstream import Upstream, eventually

pytestmark = pytest.mark.haproxy


def test_a_file(person: Home, upstream: Upstream) -> None:
    config = str(kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}"))
    file = person.path / "log"
    with proxying("--kubeconfig", config, "-p0", f"--log={file}", home=person) as proxy:
        proxy.ask("/api/v1/namespaces/dev/pods/web?x=1", 'User-Agent: "quoted" \\')
        proxy.ask("/api/v1/namespaces/dev/pods?watch=1")
        proxy.ask("/apis/apps/v1/namespaces/dev/deployments/web/scale", method="PATCH", body=b"{}")
        proxy.ask("/api/v1/namespaces/dev/pods/web/exec")
        proxy.ask("/version", "Origin: http://evil.example")

        def lines() -> list[dict[str, Any]]:
            return [json.loads(line) for line in file.read_text().splitlines()]

        eventually(lambda: len(lines()) == 5)
        first, second, third, fourth, fifth = lines()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (first["context"], first["verb"], first["resource"], first["name"]) == ("dev", "get", "pods", "web")
    assert (first["status"], first["query"], first["agent"]) == (200, "x=1", '"quoted" \\')
    assert isinstance(first["ms"], int)
    assert (second["verb"], second["resource"]) == ("watch", "pods")
    assert (third["verb"], third["group"], third["subresource"]) == ("patch", "apps", "scale")
    assert (fourth["status"], fourth["subresource"]) == (403, "exec")
    assert (fifth["status"], fifth["path"]) == (403, "/version")
    assert b"token-of-the-person" not in file.read_bytes()


def test_standard_error_and_nothing_by_default(person: Home, upstream: Upstream) -> None:
    config = str(kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}"))
    with proxying("--kubeconfig", config, "-p0", "--log", home=person) as proxy:
        proxy.ask("/version")
        proxy.wait_for('"path":"/version"')
    with proxying("--kubeconfig", config, "-p0", home=person) as proxy:
        proxy.ask("/version")
        proxy.stop()
        assert "/version" not in proxy.said
