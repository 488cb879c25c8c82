import base64
import os
from pathlib import Path

import pytest

from kubegate.cluster.kubeconfig import load
from kubegate.model.address import Endpoint
from kubegate.model.problem import InvalidInput
from tests.support.forge import forge
from tests.unit.cluster.kubeconfigs import Workbench

CA = forge("cluster CA", ca=True)
OTHER = forge("other CA", ca=True)


def coded(pem: bytes) -> str:
    return base64.b64encode(pem).decode()


def test_a_context(bench: Workbench) -> None:
    found = bench.load(
        cluster={"certificate-authority-data": coded(CA.pem), "tls-server-name": "Kubernetes", "disable-compression": True},
        context={"namespace": "team"},
    )
    assert (found.name, found.cluster_name, found.user_name, found.namespace) == ("prod", "east", "jane", "team")
    assert (found.scheme, found.host, found.port, found.path_prefix) == ("https", "api.test", 6443, "")
    assert found.server.endpoint == Endpoint("api.test", 6443)
    assert found.url == "https://api.test:6443"
    assert found.ca_pem == CA.pem
    assert found.ca_where == f"{bench.file}: clusters[east].cluster.certificate-authority-data"
    assert (found.tls_server_name, found.verified_name) == ("kubernetes", "kubernetes")
    assert not found.insecure_skip_tls_verify
    assert found.disable_compression
    assert found.proxy_url is None
    assert found.files == (bench.file,)
    assert "very-secret" not in repr(found)


def test_defaults(bench: Workbench) -> None:
    found = bench.load()
    assert (found.namespace, found.ca_pem, found.ca_where, found.tls_server_name) == ("default", None, "", None)
    assert found.verified_name == "api.test"


def test_another_context_than_the_current(bench: Workbench) -> None:
    other = {"name": "test", "context": {"cluster": "east"}}
    contexts = [{"name": "prod", "context": {"cluster": "none"}}, other]
    bench.good(contexts=contexts)
    found = bench.load("test")
    assert (found.name, found.user_name) == ("test", "")
    assert found.credential.describe() == "no credential"


def test_definitions_from_several_files(bench: Workbench) -> None:
    one = bench.write("contexts: [{name: x, context: {cluster: c, user: u}}]", "one/config")
    two = bench.write(
        "clusters: [{name: c, cluster: {server: 'https://api.test', certificate-authority: ca.crt}}]\n"
        "users: [{name: u, user: {tokenFile: ../token}}]\ncurrent-context: x\n",
        "two/config",
    )
    bench.write(CA.pem, "two/ca.crt")
    found = load(None, None, {"KUBECONFIG": f"{one}{os.pathsep}{two}"})
    assert found.ca_pem == CA.pem
    assert found.credential.token_file == bench.folder / "token"
    assert found.files == (one, two)


def test_relative_paths_start_at_their_file(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.write(CA.pem, "pki/ca.crt")
    bench.good(cluster={"certificate-authority": "pki/ca.crt"})
    (bench.folder / "elsewhere").mkdir()
    monkeypatch.chdir(bench.folder / "elsewhere")
    assert load(Path("../config"), None, {}).ca_pem == CA.pem


def test_no_context(bench: Workbench) -> None:
    bench.good(**{"current-context": ""})
    (problem,) = bench.problems()
    assert (problem.where, problem.code) == ("config", "kubeconfig.context.none")
    assert problem.hint == "--context one of: prod"


def test_unknown_contexts_offer_the_known(bench: Workbench) -> None:
    names = [f"cluster-{number:02}" for number in range(20)] + ["production"]
    bench.good(contexts=[{"name": name, "context": {"cluster": "east"}} for name in names])
    (problem,) = bench.problems("prodction")
    assert (problem.where, problem.code) == ("--context", "kubeconfig.context.unknown")
    assert problem.hint.startswith("one of: production, cluster-00, ")
    assert problem.hint.endswith(" and 9 more")
    (problem,) = bench.problems()
    assert (problem.where, problem.message) == ("config: current-context", "there is no context 'prod'")
    bench.good(contexts=[])
    assert bench.problems()[0].hint == "none is defined"


def test_everything_at_once(bench: Workbench) -> None:
    bench.good(
        cluster={
            "server": "ftp://api.test?x",
            "certificate-authority": "none.crt",
            "certificate-authority-data": "!",
            "insecure-skip-tls-verify": True,
            "tls-server-name": "a b",
            "proxy-url": "ftp://user:very-secret@proxy.test",
            "disable-compression": "yes",
        },
        user={"token": "very-secret", "username": "u", "password": "p", "client-certificate": "c", "client-key-data": "?"},
        context={"namespace": 7},
    )
    east, jane = "config: clusters[east].cluster", "config: users[jane].user"
    assert bench.codes() == [
        ("config: contexts[prod].context.namespace", "kubeconfig.type"),
        (f"{east}.server", "kubeconfig.server"),
        (f"{east}.server", "kubeconfig.server"),
        (f"{east}.certificate-authority-data", "kubeconfig.base64"),
        (f"{east}.certificate-authority", "kubeconfig.ca.both"),
        (f"{east}.insecure-skip-tls-verify", "kubeconfig.insecure"),
        (f"{east}.tls-server-name", "kubeconfig.tls-server-name"),
        (f"{east}.proxy-url", "kubeconfig.proxy-url"),
        (f"{east}.disable-compression", "kubeconfig.type"),
        (f"{jane}.client-key-data", "kubeconfig.base64"),
        (f"{jane}.token", "kubeconfig.user.several"),
    ]


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({"cluster": ""}, ("cluster", "kubeconfig.cluster.none")),
        ({"cluster": None}, ("cluster", "kubeconfig.cluster.none")),
        ({"cluster": "west"}, ("cluster", "kubeconfig.cluster.unknown")),
        ({"cluster": 7}, ("cluster", "kubeconfig.type")),
        ({"user": "joe"}, ("user", "kubeconfig.user.unknown")),
        ({"user": []}, ("user", "kubeconfig.type")),
    ],
)
def test_contexts_that_lead_nowhere(bench: Workbench, context: dict[str, object], expected: tuple[str, str]) -> None:
    key, code = expected
    assert bench.codes(context=context) == [(f"config: contexts[prod].context.{key}", code)]


@pytest.mark.parametrize(("server", "code"), [("", "kubeconfig.server"), (None, "kubeconfig.server"), (7, "kubeconfig.type")])
def test_no_server(bench: Workbench, server: object, code: str) -> None:
    assert bench.codes(cluster={"server": server}) == [("config: clusters[east].cluster.server", code)]


def test_without_tls_only_impersonation_is_left(bench: Workbench) -> None:
    found = bench.load(cluster={"server": "http://api.test", "certificate-authority-data": coded(CA.pem)}, user={"as": "joe"})
    assert (found.scheme, found.port, found.ca_pem, found.insecure_skip_tls_verify) == ("http", 80, None, False)
    assert found.credential.describe() == "no credential, impersonating joe"
    assert found.credential.token == ""


def test_a_bundle_is_cleaned(bench: Workbench) -> None:
    text = b"# our CA\n" + CA.key_pem + CA.pem + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + OTHER.pem
    found = bench.load(cluster={"certificate-authority-data": coded(text)})
    assert found.ca_pem == CA.pem + OTHER.pem


def test_line_breaks_in_base64(bench: Workbench) -> None:
    text = base64.encodebytes(CA.pem).decode()
    assert bench.load(cluster={"certificate-authority-data": text}).ca_pem == CA.pem
    assert bench.codes(cluster={"certificate-authority-data": text.replace("\n", " ")})


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "kubeconfig.ca.unreadable"),
        (b"", "kubeconfig.ca.empty"),
        (CA.der, "kubeconfig.ca.empty"),
        (CA.key_pem, "kubeconfig.ca.empty"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "kubeconfig.ca.empty"),
    ],
)
def test_ca_files_that_hold_none(bench: Workbench, content: bytes | None, code: str) -> None:
    if content is not None:
        bench.write(content, "ca.crt")
    where = "config: clusters[east].cluster.certificate-authority"
    assert bench.codes(cluster={"certificate-authority": "ca.crt"}) == [(where, code)]
    if content:
        assert bench.codes(cluster={"certificate-authority-data": coded(content)}) == [(f"{where}-data", code)]


def test_a_path_that_is_none(bench: Workbench) -> None:
    assert bench.codes(cluster={"certificate-authority": "a\0b"})[0][1] == "kubeconfig.path"


@pytest.mark.parametrize("url", ["http://proxy:3128", "https://u:p@proxy", "socks5://10.0.0.1:1080"])
def test_proxies(bench: Workbench, url: str) -> None:
    found = bench.load(cluster={"proxy-url": url})
    assert found.proxy_url == url
    assert url not in repr(found)


@pytest.mark.parametrize("url", ["proxy:3128", "http://", "socks4://x", "http://x:99999", "http://[", "://"])
def test_proxies_that_are_none(bench: Workbench, url: str) -> None:
    assert bench.codes(cluster={"proxy-url": url}) == [("config: clusters[east].cluster.proxy-url", "kubeconfig.proxy-url")]


def test_the_extension_for_plugins(bench: Workbench) -> None:
    extensions = [{"name": "x", "extension": 1}, {"name": "client.authentication.k8s.io/exec", "extension": {"a": [1]}}]
    assert bench.load(cluster={"extensions": extensions}).plugin_config == '{"a": [1]}'
    bench.write(
        "clusters: [{name: c, cluster: {server: 'https://x', extensions: "
        "[{name: client.authentication.k8s.io/exec, extension: &a [*a]}]}}]\n"
        "contexts: [{name: x, context: {cluster: c}}]\ncurrent-context: x\n"
    )
    assert bench.codes() == [("config: clusters[c].cluster.extensions[0].extension", "kubeconfig.extension")]


def test_other_entries_may_be_wrong(bench: Workbench) -> None:
    """Only what the context uses has to be right; kubectl is stricter about types."""
    bench.good(users=[{"name": "jane", "user": {}}, {"name": "joe", "user": {"token": 7}}])
    assert bench.load().user_name == "jane"


def test_unreadable_files_of_the_user_do_not_matter_here(bench: Workbench) -> None:
    found = bench.load(user={"token": "", "tokenFile": "none", "client-certificate": "none", "client-key": "none"})
    assert found.credential.token_file == bench.folder / "none"
    with pytest.raises(InvalidInput):
        load(bench.folder / "none", None, {})
