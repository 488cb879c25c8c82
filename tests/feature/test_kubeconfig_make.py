"""`kubegate kubeconfig make`: what is in the file, who can read it, what is warned about, and what is refused."""

import base64
import json
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.commands import facts, said
from tests.support.expose import Home, kubegate, problems
from tests.support.forge import CLIENT, forge
from tests.support.run import cluster, gate_file, run
from tests.support.tls import API_NAME, api_leaf, cluster_authority, front_authority
from tests.support.upstream import Upstream

URL = "https://api.test:6443"
MAKE = ("kubeconfig", "make")


@pytest.fixture
def ca(person: Home) -> str:
    path = person.path / "ca.crt"
    path.write_bytes(b"# ours\n" + cluster_authority().pem)
    return str(path)


@pytest.fixture
def token(person: Home) -> str:
    path = person.path / "token"
    path.write_text("secret-token\n")
    return str(path)


def pair(person: Home) -> tuple[str, str]:
    """The files of a client certificate."""
    me = forge("me", cluster_authority(), usages=[CLIENT])
    (person.path / "me.crt").write_bytes(me.pem)
    (person.path / "me.key").write_bytes(me.key_pem)
    return str(person.path / "me.crt"), str(person.path / "me.key")


def made(*words: str, home: Home) -> Any:
    """The kubeconfig that is printed."""
    return yaml.safe_load(facts(*MAKE, *words, home=home)["kubeconfig"])


def codes(*words: str, home: Home) -> list[tuple[str, str]]:
    """Where and code of every problem; exit code 2, and no secret is repeated."""
    done = kubegate(*MAKE, *words, "--output", "json", home=home, extra={"EMPTY": ""})
    assert done.returncode == 2, done.stdout + done.stderr
    assert "secret" not in done.stdout
    return [(one["where"].split(" ")[0], one["code"]) for one in problems(done)]


def warnings(*words: str, home: Home) -> list[str]:
    return [one["code"] for one in facts(*MAKE, *words, home=home)["warnings"]]


def data(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_with_a_ca_and_a_token(person: Home, ca: str, token: str) -> None:
    words = ("--server", f"lab={URL}", "--ca", ca, "--token-file", token, "--tls-server-name", API_NAME, "--namespace", "dev")
    assert made(*words, home=person) == {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "lab",
                "cluster": {
                    "server": URL,
                    "certificate-authority-data": data(cluster_authority().pem),
                    "tls-server-name": API_NAME,
                },
            }
        ],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab-user", "namespace": "dev"}}],
        "users": [{"name": "lab-user", "user": {"token": "secret-token"}}],
        "current-context": "lab",
    }
    assert warnings(*words, home=person) == []


def test_a_publicly_trusted_front_needs_no_ca_and_it_is_said(person: Home, token: str) -> None:
    words = ("--server", URL, "--token-file", token)
    assert made(*words, home=person)["clusters"][0] == {"name": "api.test", "cluster": {"server": URL}}
    assert warnings(*words, home=person) == ["kubeconfig.system-ca"]


def test_insecure_is_warned_about_each_time(person: Home, token: str) -> None:
    words = ("--server", URL, "--token-file", token, "--insecure")
    assert made(*words, home=person)["clusters"][0]["cluster"] == {"server": URL, "insecure-skip-tls-verify": True}
    for out in ((), ("--out", str(person.path / "out"))):
        done = kubegate(*MAKE, *words, *out, home=person)
        assert done.returncode == 0
        assert "warning: --insecure: nobody verifies the server" in done.stderr
    assert warnings(*words, home=person) == ["kubeconfig.insecure"]


def test_without_a_user_it_is_said(person: Home, ca: str) -> None:
    words = ("--server", URL, "--ca", ca)
    found = made(*words, home=person)
    assert (found["users"], found["contexts"]) == ([], [{"name": "api.test", "context": {"cluster": "api.test"}}])
    assert warnings(*words, home=person) == ["kubeconfig.no-user"]


def test_several_servers_and_a_plugin(person: Home, ca: str) -> None:
    words: tuple[str, ...] = ("--server", "a=https://a.test", "--server", "b=https://[2001:db8::1]:6443/prefix", "--ca", ca)
    words += ("--exec", "aws", "--exec-arg", "eks", "--exec-arg", "get-token", "--exec-env", "AWS_PROFILE=x=y", "--user", "me")
    found = made(*words, home=person)
    assert [one["cluster"]["server"] for one in found["clusters"]] == ["https://a.test", "https://[2001:db8::1]:6443/prefix"]
    assert [one["context"]["user"] for one in found["contexts"]] == ["me", "me"]
    plugin: dict[str, Any] = {"apiVersion": "client.authentication.k8s.io/v1", "command": "aws", "interactiveMode": "IfAvailable"}
    plugin |= {"args": ["eks", "get-token"], "env": [{"name": "AWS_PROFILE", "value": "x=y"}]}
    assert found["users"] == [{"name": "me", "user": {"exec": plugin}}]


def test_a_client_certificate(person: Home, ca: str) -> None:
    cert, key = pair(person)
    found = made("--server", URL, "--ca", ca, "--client-cert", cert, "--client-key", key, home=person)
    user = {"client-certificate-data": data(Path(cert).read_bytes()), "client-key-data": data(Path(key).read_bytes())}
    assert found["users"] == [{"name": "api.test-user", "user": user}]


def test_a_token_of_the_environment(person: Home, ca: str) -> None:
    done = kubegate(*MAKE, "--server", URL, "--ca", ca, "--token-env", "T", home=person, extra={"T": "secret-token"})
    assert yaml.safe_load(done.stdout)["users"][0]["user"] == {"token": "secret-token"}


def test_it_is_private_and_replaces_nothing(person: Home, ca: str, token: str) -> None:
    out = person.path / "out"
    words = (*MAKE, "--server", URL, "--ca", ca, "--token-file", token, "--out", str(out))
    text = said(*words, home=person)
    assert "for this user alone" in text
    assert "secret" not in text
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    before = out.read_bytes()
    done = kubegate(*words, "--output", "json", home=person)
    assert (done.returncode, problems(done)[0]["code"], out.read_bytes()) == (2, "out.exists", before)
    assert json.loads(kubegate(*words, "--force", "--output", "json", home=person).stdout)["file"] == str(out)


def test_no_folder(person: Home, ca: str) -> None:
    done = kubegate(*MAKE, "--server", URL, "--ca", ca, "--out", str(person.path / "none" / "out"), home=person)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "no such file or directory" in done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), [("--server", "flag.combination")]),
        (("--server", "http://api.test"), [("--server", "kubeconfig.server")]),
        (("--server", "https://me:secret@api.test"), [("--server", "kubeconfig.server")]),
        (("--server", "api.test"), [("--server", "kubeconfig.server")]),
        (("--server", URL, "--server", URL), [("--server", "kubeconfig.rename")]),
        (("--server", URL, "--ca", "none"), [("--ca", "file.unreadable")]),
        (("--server", URL, "--ca", "/dev/null"), [("--ca", "certificate.empty")]),
        (("--server", URL, "--ca", "{ca}", "--insecure"), [("--insecure", "flag.combination")]),
        (("--server", URL, "--tls-server-name", "a b"), [("--tls-server-name", "flag.host")]),
        (("--server", URL, "--token-file", "none"), [("--token-file", "file.unreadable")]),
        (("--server", URL, "--token-file", "{ca}"), [("--token-file", "credential.token")]),
        (("--server", URL, "--token-env", "NOT_SET_AT_ALL"), [("--token-env", "credential.token")]),
        (("--server", URL, "--token-env", "EMPTY"), [("--token-env", "credential.token")]),
        (("--server", URL, "--token-env", "eyJ.secret-typed-here"), [("--token-env", "flag.variable")]),
        (("--server", URL, "--client-cert", "{ca}"), [("--client-cert", "flag.combination")]),
        (("--server", URL, "--exec-arg", "x"), [("--exec-arg", "flag.combination")]),
        (("--server", URL, "--exec", "x", "--exec-env", "secret"), [("--exec-env", "flag.variable")]),
        (("--server", URL, "--exec", "x", "--token-env", "PATH"), [("--exec", "flag.combination")]),
        (
            ("--server", URL, "--cluster", "x", "--address", "y"),
            [("--cluster", "flag.combination"), ("--address", "flag.combination")],
        ),
        (("-c", "none.yaml"), [("none.yaml", "file.unreadable")]),
        (
            ("--server", "http://x", "--token-file", "none", "--ca", "none"),
            [("--ca", "file.unreadable"), ("--server", "kubeconfig.server"), ("--token-file", "file.unreadable")],
        ),
    ],
    ids=lambda value: " ".join(map(str, value)) if value and isinstance(value[0], str) else "",
)
def test_what_is_wrong_is_told_at_once(person: Home, ca: str, words: tuple[str, ...], expected: list[tuple[str, str]]) -> None:
    words = tuple(ca if word == "{ca}" else word for word in words)
    assert codes(*words, home=person) == expected


def test_a_key_of_another_certificate(person: Home, ca: str) -> None:
    cert, key = pair(person)
    Path(key).write_bytes(forge("other").key_pem)
    words = ("--server", URL, "--ca", ca, "--client-cert", cert, "--client-key", key)
    assert codes(*words, home=person) == [("--client-key", "credential.mismatch")]


# For the clusters of a declared gate.


def declared(person: Home, **changes: Any) -> str:
    """A file with two clusters, one whose TLS is opened and one passed through, before an API server that need not run."""
    with Upstream() as api:
        opened = cluster(person.path, "one", api)
        passed = cluster(person.path, "two", api, mode="passthrough", hosts=[API_NAME])
    file = person.path / "kubegate.yaml"
    file.write_text(yaml.safe_dump(gate_file(person.path, opened | changes, passed, port=7443)))
    return str(file)


def test_every_cluster_of_a_file(person: Home, token: str) -> None:
    found = made("-c", declared(person), "--token-file", token, home=person)
    assert [(one["name"], one["cluster"]) for one in found["clusters"]] == [
        # The certificate stands alone in its file, so clients pin it.
        ("one", {"server": "https://one.test:7443", "certificate-authority-data": data((person.path / "one.crt").read_bytes())}),
        ("two", {"server": f"https://{API_NAME}:7443", "certificate-authority-data": data(cluster_authority().pem)}),
    ]
    assert [one["context"]["user"] for one in found["contexts"]] == ["kubegate-user", "kubegate-user"]


def test_at_another_address_the_name_is_kept(person: Home, token: str) -> None:
    words = ("-c", declared(person), "--token-file", token, "--address", "127.0.0.1")
    found = made(*words, home=person)
    assert [(one["cluster"]["server"], one["cluster"]["tls-server-name"]) for one in found["clusters"]] == [
        ("https://127.0.0.1:7443", "one.test"),
        ("https://127.0.0.1:7443", API_NAME),
    ]
    assert [one["name"] for one in made(*words, "--cluster", "two", home=person)["clusters"]] == ["two"]


def test_the_declared_ca_is_embedded(person: Home, token: str) -> None:
    (person.path / "front-ca.crt").write_bytes(front_authority().pem)
    file = declared(person)
    certificate = {"cert": "one.crt", "key": "one.key", "ca": "front-ca.crt"}
    document = yaml.safe_load(Path(file).read_text())
    document["clusters"][0]["certificate"] = certificate
    Path(file).write_text(yaml.safe_dump(document))
    found = made("-c", file, "--cluster", "one", "--token-file", token, home=person)
    assert found["clusters"][0]["cluster"]["certificate-authority-data"] == data(front_authority().pem)


@pytest.mark.parametrize("public", [True, False])
def test_a_front_that_the_systems_cas_verify_needs_none(person: Home, token: str, public: bool) -> None:
    bundle = person.path / "public.pem"
    bundle.write_bytes((front_authority() if public else cluster_authority()).pem)
    words = (*MAKE, "-c", declared(person), "--cluster", "one", "--token-file", token)
    done = kubegate(*words, home=person, extra={"SSL_CERT_FILE": str(bundle)})
    assert (done.returncode, done.stderr) == (0, "")
    assert ("certificate-authority-data" in done.stdout) is not public


def test_a_client_certificate_for_an_opened_cluster_is_warned_about(person: Home) -> None:
    cert, key = pair(person)
    words = ("-c", declared(person), "--client-cert", cert, "--client-key", key)
    assert warnings(*words, home=person) == ["client-certificate"]
    assert warnings(*words, "--cluster", "two", home=person) == []


@pytest.mark.parametrize("mode", ["required", "optional"])
def test_a_gate_that_asks_for_client_certificates_gets_one_beside_a_token(person: Home, token: str, mode: str) -> None:
    cert, key = pair(person)
    file = Path(declared(person))
    document = yaml.safe_load(file.read_text())
    document["clusters"] = document["clusters"][:1]
    (person.path / "clients.crt").write_bytes(front_authority().pem)
    document["listeners"][0]["clientCertificates"] = {"ca": "clients.crt", "mode": mode}
    file.write_text(yaml.safe_dump(document))
    certificate = ("--client-cert", cert, "--client-key", key)
    assert warnings("-c", str(file), *certificate, "--token-file", token, home=person) == []
    assert warnings("-c", str(file), *certificate, home=person) == ["client-certificate"]
    without = ["client-certificate"] if mode == "required" else []
    assert warnings("-c", str(file), "--token-file", token, home=person) == without


def test_a_cluster_that_is_not_there(person: Home, token: str) -> None:
    words = ("-c", declared(person), "--cluster", "none", "--token-file", token)
    assert codes(*words, home=person) == [("--cluster", "gate.cluster")]


def test_a_gate_that_never_ran_has_no_certificate_of_its_own(person: Home, token: str) -> None:
    file = declared(person)
    document = yaml.safe_load(Path(file).read_text())
    del document["clusters"][0]["certificate"]
    Path(file).write_text(yaml.safe_dump(document))
    assert codes("-c", file, "--token-file", token, home=person) == [("cluster", "gate.certificate")]
    assert not person.state.exists(), "none was made"


@pytest.mark.haproxy
def test_the_certificate_that_a_running_gate_made(person: Home, token: str) -> None:
    with Upstream(api_leaf()) as api:
        document = gate_file(
            person.path, {key: value for key, value in cluster(person.path, "one", api).items() if key != "certificate"}
        )
        with run(document, person) as gate:
            [kept] = person.state.glob("front/*/certificate.pem")
            words = ("-c", str(gate.file), "--token-file", token)
            expected = data(kept.read_bytes())
            assert made(*words, home=person)["clusters"][0]["cluster"]["certificate-authority-data"] == expected
            # As where the gate is a service, with a state folder of its own.
            kept.unlink()
            assert made(*words, home=person)["clusters"][0]["cluster"]["certificate-authority-data"] == expected
