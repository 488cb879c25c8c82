"""Where kubectl finds what it needs, and ours does too: lists of kubeconfigs, variables, a pod, an identity provider."""

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.feature.test_kubectl_parity import KUBERC
from tests.support.identity import CLIENT, SECRET, IdentityProvider, id_token
from tests.support.parity import CA, Case, Place, plugin
from tests.support.tls import cluster_authority

# A mount namespace with a service account's volume where pods have it; /var/run is /run.
IN_A_POD = """
mount -t tmpfs none /run && mkdir -p /run/secrets/kubernetes.io/serviceaccount && \
cp "$VOLUME"/* /run/secrets/kubernetes.io/serviceaccount/ && exec "$@"
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path, Case("places"))
    with place.server:
        yield place


def written(place: Place, name: str, **document: Any) -> Path:
    path = place.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document))
    return path


def cluster(place: Place, **more: str) -> dict[str, Any]:
    return {"server": f"https://127.0.0.1:{place.server.port}", "certificate-authority-data": CA} | more


def same(place: Place, *before: str) -> str:
    """What arrives from both, without a flag that names a kubeconfig: the value of Authorization."""
    theirs, they_say = place.by_kubectl(*before, named=False)
    ours, we_say = place.by_us(*before, named=False)
    assert ours == theirs, f"{they_say}\n{we_say}"
    assert ours is not None, f"{they_say}\n{we_say}"
    return " ".join(ours.authorization)


def test_the_first_definition_counts_whole(place: Place) -> None:
    (place.folder / "b").mkdir()
    (place.folder / "b" / "token").write_text("of-b")
    first = written(place, "a/config", users=[{"name": "u", "user": {"tokenFile": "../b/token"}}])
    second = written(
        place,
        "b/config",
        users=[{"name": "u", "user": {"token": "t", "as": "joe"}}],
        clusters=[{"name": "c", "cluster": cluster(place)}],
        contexts=[{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        **{"current-context": "x"},
    )
    third = written(
        place, "c/config", clusters=[{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}], **{"current-context": "z"}
    )
    place.environ["KUBECONFIG"] = os.pathsep.join(map(str, ["", first, place.folder / "none", second, third, first]))
    assert same(place) == "Bearer of-b"


def test_the_home_folder(place: Place) -> None:
    document = yaml.safe_load(place.kubeconfig.read_text())
    document["users"][0]["user"] = {"token": "at-home"}
    written(place, ".kube/config", **document)
    assert same(place) == "Bearer at-home"


@pytest.mark.parametrize(
    ("environ", "runs"),
    [
        ({}, False),
        ({"KUBERC": "off"}, True),
        ({"KUBECTL_KUBERC": "false"}, True),
        ({"KUBERC": "{}/empty"}, True),
        ({"KUBERC": "{}/rules"}, False),
    ],
)
def test_where_the_rules_for_plugins_are(tmp_path: Path, environ: dict[str, str], runs: bool) -> None:
    place = Place(tmp_path, Case("rules", plugin(), kuberc=f"{KUBERC}DenyAll"))
    with place.server:
        place.environ |= {name: value.replace("{}", str(tmp_path)) for name, value in environ.items()}
        theirs, they_say = place.by_kubectl()
        ours, we_say = place.by_us()
    assert ours == theirs, f"{they_say}\n{we_say}"
    assert (ours is not None) == runs


def test_kubernetes_master(tmp_path: Path) -> None:
    place = Place(tmp_path, Case("master", plain=True, flags={"token": "t"}))
    with place.server:
        place.environ["KUBERNETES_MASTER"] = f"127.0.0.1:{place.server.port}"
        assert same(place) == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="a mount namespace needs root")
@pytest.mark.parametrize(("flags", "expected"), [({}, "Bearer of-the-pod"), ({"token": "mine"}, "Bearer mine")])
def test_a_pod(tmp_path: Path, flags: dict[str, str], expected: str) -> None:
    place = Place(tmp_path, Case("pod", flags=flags))
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "token").write_text("of-the-pod\n")
    (volume / "ca.crt").write_bytes(cluster_authority().pem)
    with place.server:
        service = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(place.server.port)}
        place.environ |= service | {"VOLUME": str(volume)}
        assert same(place, "unshare", "--mount", "sh", "-c", IN_A_POD, "sh") == expected


@pytest.mark.parametrize("header", [True, False])
def test_an_id_token_is_renewed_and_kept(tmp_path: Path, header: bool) -> None:
    with IdentityProvider(header=header) as provider:
        settings = {
            "idp-issuer-url": provider.issuer,
            "client-id": CLIENT,
            "client-secret": SECRET,
            "idp-certificate-authority-data": base64.b64encode(cluster_authority().pem).decode(),
            "id-token": id_token("old", -1),
            "refresh-token": "refresh-1",
        }
        provider.answer["refresh_token"] = "refresh-2"
        place = Place(tmp_path, Case("oidc", {"auth-provider": {"name": "oidc", "config": settings}}))
        with place.server:
            before = place.kubeconfig.read_text()
            theirs, they_say = place.by_kubectl()
            kept = yaml.safe_load(place.kubeconfig.read_text())["users"]
            their_forms, provider.forms = provider.forms, []
            place.kubeconfig.write_text(before)
            ours, we_say = place.by_us()
        assert ours is not None, f"{they_say}\n{we_say}"
        assert ours == theirs
        assert ours.authorization == (f"Bearer {provider.answer['id_token']}",)
        assert sorted(yaml.safe_load(place.kubeconfig.read_text())["users"], key=str) == sorted(kept, key=str)
        assert provider.forms == their_forms
