"""The auth provider oidc against an identity provider on loopback: when it is asked, what is kept, and what goes wrong."""

import asyncio
import base64
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubegate.cluster.errors import ProviderFailed
from kubegate.cluster.kubeconfig import load
from kubegate.cluster.login import Login, log_in
from kubegate.model.problem import InvalidInput
from tests.support.identity import CLIENT, SECRET, IdentityProvider, id_token
from tests.support.proxies import Server
from tests.support.tls import cluster_authority
from tests.support.wire import Wire


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    with IdentityProvider() as provider:
        yield provider


class Person:
    """A kubeconfig with the provider in it."""

    def __init__(self, folder: Path, provider: IdentityProvider) -> None:
        self.file = folder / "config"
        self.environ: dict[str, str] = {}
        self.settings = {
            "idp-issuer-url": provider.issuer,
            "client-id": CLIENT,
            "client-secret": SECRET,
            "idp-certificate-authority-data": base64.b64encode(cluster_authority().pem).decode(),
            "id-token": id_token("old", -1),
            "refresh-token": "refresh-1",
        }

    def write(self, **changes: str | None) -> None:
        config = {key: value for key, value in (self.settings | changes).items() if value is not None}
        document = {
            "clusters": [{"name": "c", "cluster": {"server": "https://api.test:6443"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {"auth-provider": {"name": "oidc", "config": config}}}],
            "current-context": "x",
        }
        self.file.write_text(f"# mine\n{yaml.safe_dump(document)}")

    def kept(self) -> dict[str, Any]:
        return dict(yaml.safe_load(self.file.read_text())["users"][0]["user"]["auth-provider"]["config"])

    def log_in(self, earlier: Login | None = None, *, renew: bool = False) -> Login:
        return asyncio.run(log_in(load(self.file, None, {}), self.environ, earlier=earlier, renew=renew))

    def fails(self) -> str:
        with pytest.raises((ProviderFailed, InvalidInput)) as caught:
            self.log_in()
        said = f"{caught.value.message} {caught.value.hint}"
        assert not any(secret in said for secret in (SECRET, "refresh-1", self.settings["id-token"]))
        return said


@pytest.fixture
def person(tmp_path: Path, provider: IdentityProvider) -> Person:
    return Person(tmp_path, provider)


def test_a_token_that_holds_is_used(person: Person, provider: IdentityProvider) -> None:
    token = id_token("holds")
    person.write(**{"id-token": token})
    found = person.log_in()
    assert (found.authorization, provider.forms) == (f"Bearer {token}", [])
    assert found.expires is not None


@pytest.mark.parametrize("seconds", [-1, 5])
def test_a_token_that_ends_is_renewed_and_kept(person: Person, provider: IdentityProvider, seconds: int) -> None:
    person.write(**{"id-token": id_token("old", seconds)})
    provider.answer["refresh_token"] = "refresh-2"
    found = person.log_in()
    assert found.authorization == f"Bearer {provider.answer['id_token']}"
    assert found.warnings == ()
    assert provider.forms == [{"grant_type": "refresh_token", "refresh_token": "refresh-1"}]
    assert person.kept() == person.settings | {"id-token": provider.answer["id_token"], "refresh-token": "refresh-2"}
    assert person.file.read_text().startswith("# mine\n")
    assert person.log_in().authorization == found.authorization
    assert len(provider.forms) == 1


def test_the_refresh_token_stays_without_another_one(person: Person) -> None:
    person.write(**{"id-token": None})
    person.log_in()
    assert person.kept()["refresh-token"] == "refresh-1"


def test_renewed_because_it_is_not_accepted(person: Person, provider: IdentityProvider) -> None:
    person.write(**{"id-token": id_token("holds")})
    assert person.log_in(renew=True).authorization == f"Bearer {provider.answer['id_token']}"
    person.write(**{"id-token": (token := id_token("holds")), "refresh-token": None})
    assert person.log_in(renew=True).authorization == f"Bearer {token}"


def test_a_client_that_proves_itself_in_the_form(person: Person, provider: IdentityProvider) -> None:
    provider.header = False
    person.write()
    person.log_in()
    assert provider.forms[-1] | {"client_id": CLIENT, "client_secret": SECRET} == provider.forms[-1]


def test_what_cannot_be_kept_stays_in_memory(person: Person, provider: IdentityProvider) -> None:
    person.write()
    person.file.with_name("config.lock").touch()
    provider.answer |= {"refresh_token": "refresh-2", "id_token": id_token("short", 5)}
    found = person.log_in()
    assert [warning.code for warning in found.warnings] == ["credential.oidc.memory"]
    assert person.kept() == person.settings
    provider.accepted = "refresh-2"
    provider.answer = {"id_token": id_token("longer")}
    again = person.log_in(found)
    assert again.authorization == f"Bearer {provider.answer['id_token']}"
    assert person.log_in(again).authorization == again.authorization
    assert len(provider.forms) == 2


def test_another_login_replaces_what_is_remembered(person: Person) -> None:
    person.write()
    person.file.with_name("config.lock").touch()
    found = person.log_in()
    person.write(**{"id-token": (token := id_token("of a login elsewhere"))})
    assert person.log_in(found).authorization == f"Bearer {token}"


def test_a_token_or_password_comes_first(person: Person, provider: IdentityProvider) -> None:
    person.write()
    document = yaml.safe_load(person.file.read_text())
    document["users"][0]["user"]["token"] = "mine"
    person.file.write_text(yaml.safe_dump(document))
    assert person.log_in().authorization == "Bearer mine"
    assert provider.forms == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"idp-issuer-url": None}, "is missing"),
        ({"client-id": ""}, "is missing"),
        ({"refresh-token": None}, "there is no refresh-token"),
        ({"refresh-token": "wrong"}, "invalid_grant, HTTP status 400"),
        ({"client-secret": "wrong"}, "invalid_client, HTTP status 401"),
        ({"id-token": "no.token"}, "is no ID token"),
        ({"id-token": "a.b.c.d"}, "is no ID token"),
        ({"idp-certificate-authority-data": None}, "TLS handshake"),
        ({"idp-certificate-authority-data": "?"}, "is not base64"),
        ({"idp-certificate-authority-data": None, "idp-certificate-authority": "/none"}, "cannot be read"),
        ({"idp-issuer-url": "http://idp.test"}, "without TLS"),
        ({"idp-issuer-url": "https://127.0.0.1:1"}, "nothing listens"),
        ({"idp-issuer-url": "https://[::1"}, "no usable host"),
    ],
)
def test_what_goes_wrong(person: Person, changes: dict[str, str | None], said: str) -> None:
    person.write(**changes)
    before = person.file.read_text()
    assert said in person.fails()
    assert person.file.read_text() == before


@pytest.mark.parametrize(
    ("answer", "said"), [({}, "gave no id_token"), ({"id_token": 7}, "gave no id_token"), ({"id_token": "x"}, "is no ID token")]
)
def test_an_answer_without_a_token(person: Person, provider: IdentityProvider, answer: dict[str, Any], said: str) -> None:
    provider.answer = answer
    person.write()
    assert said in person.fails()


@pytest.mark.parametrize("document", [{}, {"token_endpoint": 7}, {"token_endpoint": "http://idp.test/token"}])
def test_a_discovery_that_names_no_safe_endpoint(person: Person, provider: IdentityProvider, document: dict[str, Any]) -> None:
    provider.discovery = document
    person.write()
    assert person.fails()
    assert provider.forms == []


def test_a_ca_in_a_file(person: Person, tmp_path: Path) -> None:
    (tmp_path / "idp.crt").write_bytes(cluster_authority().pem)
    person.write(**{"idp-certificate-authority-data": None, "idp-certificate-authority": str(tmp_path / "idp.crt")})
    assert person.log_in().authorization


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_provider_behind_a_proxy(person: Person, provider: IdentityProvider, scheme: str) -> None:
    heard: list[bytes] = []

    def script(wire: Wire) -> None:
        """A proxy to which every name is this machine."""
        heard.append(wire.receive())
        if scheme == "socks5":
            wire.send(b"\x05\x00")
            heard.append(wire.receive())
            wire.send(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
        else:
            wire.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with Wire.connect("127.0.0.1", provider.port) as target:
            back = threading.Thread(target=carry, args=(target, wire))
            back.start()
            carry(wire, target)
            target.cut()
            back.join()

    person.write(**{"idp-issuer-url": provider.issuer.replace("127.0.0.1", "kubernetes")})
    with Server(script) as proxy:
        person.environ["HTTPS_PROXY"] = f"{scheme}://127.0.0.1:{proxy.port}"
        assert person.log_in().authorization == f"Bearer {provider.answer['id_token']}"
    assert b"kubernetes" in heard[0] + heard[1]


def carry(source: Wire, sink: Wire) -> None:
    while data := source.receive():
        sink.send(data)
