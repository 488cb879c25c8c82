"""What is rendered as objects of Kubernetes, judged by the real API server and the real helm."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.cluster import Cluster
from tests.cluster.go_programs import HELM, built
from tests.e2e.declared import upstream
from tests.support.commands import facts, said
from tests.support.contour import CRDS, DATA, custom_resources
from tests.support.expose import Home, home, kubegate
from tests.support.run import front_leaf, write_pair

NAMESPACE = "gates"
IMAGE = "registry.example.com/kubegate:1"
FLAGS = {
    "contour": (),
    "gateway-api": ("--gateway-class", "example", "--gateway-namespace", "edge"),
    "ingress-nginx": (),
    "kubernetes": ("--image", IMAGE),
    "helm": ("--image", IMAGE),
}
RESOURCES = {"contour": CRDS, "gateway-api": sorted(DATA.glob("gateway-api-*.crd.yaml"))}
Document = dict[str, Any]


@pytest.fixture
def mine() -> Iterator[Home]:
    """A home of its own for each test."""
    with home() as folder:
        yield folder


def declare(folder: Path, cluster: Cluster, **more: Any) -> Path:
    """One cluster that is opened, and one that is passed through."""
    (folder / f"{cluster.name}-ca.crt").write_bytes(cluster.ca.certificate.read_bytes())
    reached = {"upstream": upstream(cluster)}
    opened = {
        "name": "prod",
        "hosts": ["prod.gate.test"],
        "certificate": write_pair(folder, "prod", front_leaf("prod.gate.test")),
    }
    document = {
        "apiVersion": "kubegate.dev/v1alpha1",
        "kind": "Gate",
        "listeners": [{"name": "public", "address": "0.0.0.0:443"}],
        "clusters": [{**opened, **reached}, {"name": "vault", "hosts": [cluster.api_name], "mode": "passthrough", **reached}],
    }
    file = folder / "kubegate.yaml"
    file.write_text(yaml.safe_dump(document | more, sort_keys=False))
    return file


def render(target: str, file: Path, person: Home, *flags: str) -> Path:
    """A target in a new folder, by the command."""
    out = person.path / target
    words = ("render", target, "-c", str(file), "--out", str(out), "--namespace", NAMESPACE, *FLAGS[target], *flags)
    facts(*words, home=person)
    return out


@contextlib.contextmanager
def namespaces(cluster: Cluster, *names: str) -> Iterator[None]:
    """Namespaces that are gone again at the end."""
    try:
        yield
    finally:
        cluster.kubectl("delete", "namespace", *names, "--ignore-not-found", "--wait=true", timeout=120)


def apply(cluster: Cluster, folder: Path, *flags: str) -> str:
    """Apply a folder on the server's side, its fields looked at strictly; returns what was said on standard error."""
    return cluster.kubectl("apply", "--server-side", "--validate=strict", *flags, "-f", folder).stderr


@pytest.mark.parametrize("target", ["contour", "gateway-api", "ingress-nginx", "kubernetes"])
def test_the_api_server_takes_it_without_a_warning(cluster: Cluster, mine: Home, target: str) -> None:
    out = render(target, declare(mine.path, cluster), mine)
    with contextlib.ExitStack() as stack:
        stack.enter_context(namespaces(cluster, NAMESPACE, "edge"))
        if target in RESOURCES:
            custom_resources(cluster, *RESOURCES[target])
        if target == "gateway-api":
            cluster.kubectl("create", "namespace", "edge")
        assert apply(cluster, out) == ""
        # What it keeps is what was asked for: nothing would change by asking again.
        assert cluster.kubectl("diff", "--server-side", "-f", out, check=False).returncode == 0
        unknown = next(out.glob("30-*")).read_text().replace("\nspec:\n", "\nspec:\n  nobodyKnowsThis: 1\n", 1)
        refused = cluster.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", input=unknown, check=False)
        assert refused.returncode != 0, "then a field that is misspelt would be taken too"


def test_pods_are_admitted_where_the_namespace_is_restricted(cluster: Cluster, mine: Home) -> None:
    out = render("kubernetes", declare(mine.path, cluster), mine)
    with namespaces(cluster, NAMESPACE):
        apply(cluster, out / "10-namespace.yaml")
        assert apply(cluster, out, "--dry-run=server") == ""
        [deployment] = [one for one in yaml.safe_load_all((out / "30-kubegate.yaml").read_text()) if one["kind"] == "Deployment"]
        template = deployment["spec"]["template"]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one", "namespace": NAMESPACE}, "spec": template["spec"]}
        cluster.kubectl("apply", "-f", out / "30-kubegate.yaml", "--server-side")
        cluster.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(pod))
        del pod["spec"]["containers"][0]["securityContext"]["capabilities"]
        refused = cluster.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(pod), check=False)
        assert "unrestricted capabilities" in refused.stderr, "then the profile counts for nothing"


def rights(cluster: Cluster, account: str) -> list[str]:
    """What a ServiceAccount may do in the namespace `default`."""
    listed = cluster.kubectl(
        "auth", "can-i", "--list", "-n", "default", f"--as=system:serviceaccount:{NAMESPACE}:{account}"
    ).stdout
    return sorted(" ".join(line.split()) for line in listed.splitlines())


def test_the_account_has_no_right_that_it_does_not_need(cluster: Cluster, mine: Home) -> None:
    with namespaces(cluster, NAMESPACE), contextlib.ExitStack() as stack:
        stack.callback(
            cluster.kubectl, "delete", "role,rolebinding", f"kubegate-{NAMESPACE}", "-n", "default", "--ignore-not-found"
        )
        apply(cluster, render("kubernetes", declare(mine.path, cluster), mine))
        nobody = rights(cluster, "default")
        assert rights(cluster, "kubegate") == nobody
        document = yaml.safe_load((mine.path / "kubegate.yaml").read_text())
        document["clusters"][0]["upstream"] = {"discover": True}
        (mine.path / "kubegate.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
        out = mine.path / "discovering"
        kubeconfig = {"KUBECONFIG": str(cluster.kubeconfig)}
        words = ("render", "kubernetes", "-c", str(mine.path / "kubegate.yaml"), "--out", str(out), "--namespace", NAMESPACE)
        said(*words, "--image", IMAGE, home=mine, extra=kubeconfig)
        apply(cluster, out)
        assert set(rights(cluster, "kubegate")) - set(nobody) == {"endpointslices.discovery.k8s.io [] [] [list]"}
        assert set(nobody) <= set(rights(cluster, "kubegate"))


def helm(*words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run helm to its end."""
    done = subprocess.run([built(HELM, print), *words], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return done


def test_the_chart_gives_the_objects_of_the_target_kubernetes(cluster: Cluster, mine: Home) -> None:
    file = declare(mine.path, cluster, metrics={"address": "0.0.0.0:9100"})
    plain, chart = render("kubernetes", file, mine), render("helm", file, mine)
    keys = chart / "values-keys.yaml"
    linted = helm("lint", "--strict", chart / "chart", "--values", keys)
    assert "0 chart(s) failed" in linted.stdout
    made = helm("template", "kubegate", chart / "chart", "--namespace", NAMESPACE, "--values", keys).stdout
    wanted = [one for path in sorted(plain.glob("[23]0-*")) for one in yaml.safe_load_all(path.read_text())]
    assert sorted(yaml.safe_load_all(made), key=_place) == sorted(wanted, key=_place)


def _place(one: Document) -> tuple[str, str]:
    return one["kind"], one["metadata"]["name"]


def test_values_change_what_they_name_and_keys_are_asked_for(cluster: Cluster, mine: Home) -> None:
    chart = render("helm", declare(mine.path, cluster), mine)
    changed = ("--set", "replicas=3", "--set", "image=other:2", "--set", "service.type=LoadBalancer")
    made = helm("template", "gate", chart / "chart", "-n", "elsewhere", "--values", chart / "values-keys.yaml", *changed).stdout
    found = {one["kind"]: one for one in yaml.safe_load_all(made)}
    assert found["Deployment"]["spec"]["replicas"] == 3
    assert found["Deployment"]["spec"]["template"]["spec"]["containers"][0]["image"] == "other:2"
    assert found["Service"]["spec"]["type"] == "LoadBalancer"
    assert {(one["metadata"]["name"].partition("-")[0], one["metadata"]["namespace"]) for one in found.values()} == {
        ("gate", "elsewhere")
    }
    refused = helm("template", "gate", chart / "chart", check=False)
    assert refused.returncode != 0
    assert "tls.prod.crt is in values-keys.yaml" in refused.stderr


def test_every_problem_is_told_and_nothing_is_written(mine: Home, cluster: Cluster) -> None:
    file = declare(mine.path, cluster, accessLog="access.json", metrics={"address": "0.0.0.0:9100"})
    out = mine.path / "out"
    told = facts("render", "contour", "-c", str(file), "--out", str(out), home=mine, code=2)
    assert {problem["where"].partition(": ")[2] for problem in told["problems"]} == {"accessLog", "metrics"}
    assert not out.exists()


def test_keys_are_written_for_their_owner_alone(mine: Home, cluster: Cluster) -> None:
    file = declare(mine.path, cluster)
    for target in FLAGS:
        out = render(target, file, mine)
        holding = [path for path in out.rglob("*") if path.is_file() and _holds_key(path)]
        assert [path.stat().st_mode & 0o777 for path in holding] == [0o600], target
        assert out.stat().st_mode & 0o777 == 0o700
        if target == "helm":
            continue
        done = kubegate("render", target, "-c", str(file), *FLAGS[target], home=mine)
        assert done.returncode == 0, done.stderr
        shown = done.stdout
        assert "note: not printed, for private keys are in it: 20-keys.yaml" in done.stderr
        assert "PRIVATE KEY" not in shown
        assert "tls.key:" not in shown


def _holds_key(path: Path) -> bool:
    for one in yaml.safe_load_all(path.read_text()) if "templates" not in path.parts else ():
        data = one.get("data") or {} if one else {}
        if one and ("tls.key" in data or "key" in (one.get("tls") or {}).get("prod", {})):
            return True
    return False
