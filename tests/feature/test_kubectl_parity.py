"""Kubeconfigs as kubectl itself understands them: the same one through the real kubectl and through ours, at one server.

What arrives is compared: credentials, impersonation, the client certificate, the name in TLS, the path. One row is one rule.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.parity import EXPIRED, JANE, PAIR, USERS, V1BETA1, Case, Place, data, granted, plugin

NO_CA = {"certificate-authority-data": None}
KUBERC = "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\ncredentialPluginPolicy: "
GROUPS = {"as": "joe", "as-groups": ["a", "b"], "as-uid": "7", "as-user-extra": {"Foo/Bar": ["one", "two"], "plain": ["three"]}}
CASES = [
    Case("token", {"token": "t"}),
    Case("token file beside the kubeconfig", {"tokenFile": "token"}),
    Case("token file wins", {"token": "t", "tokenFile": "token"}),
    Case("token file is empty, token beside it", {"token": "t", "tokenFile": "empty"}),
    Case("token file is missing, token beside it", {"token": "t", "tokenFile": "none"}),
    Case("token file is missing", {"tokenFile": "none"}),
    Case("password", {"username": "u", "password": "p:ä"}),
    Case("password beside a token", {"username": "u", "password": "p", "token": "t"}),
    Case("certificate data", PAIR),
    Case("certificate files", {"client-certificate": "jane.crt", "client-key": "jane.key"}),
    Case("certificate data and file", PAIR | {"client-certificate": "other.crt"}),
    Case("certificate and token", PAIR | {"token": "t"}),
    Case("certificate without key", {"client-certificate": "jane.crt"}),
    Case("certificate of another key", {"client-certificate": "jane.crt", "client-key": "other.key"}),
    Case("key without certificate", {"client-key": "jane.key", "token": "t"}),
    Case("certificate file is missing", {"client-certificate": "none", "client-key": "jane.key"}),
    Case("certificate that expired", {"client-certificate-data": data(EXPIRED.pem), "client-key-data": data(EXPIRED.key_pem)}),
    Case("plugin v1", plugin()),
    Case("plugin v1beta1", plugin(V1BETA1), answer=granted(V1BETA1)),
    Case("plugin v1beta1 without mode", plugin(V1BETA1, interactiveMode=None), answer=granted(V1BETA1)),
    Case("plugin v1 without mode", plugin(interactiveMode=None)),
    Case("plugin v1alpha1", plugin("client.authentication.k8s.io/v1alpha1")),
    Case("plugin of an unknown mode", plugin(interactiveMode="Sometimes")),
    Case("plugin that has to ask", plugin(interactiveMode="Always")),
    Case("plugin without version", plugin(apiVersion=None)),
    Case("plugin without command", plugin(command="")),
    Case("plugin that is not there", plugin(command="./none", installHint="get it")),
    Case("plugin that is told the cluster", plugin(provideClusterInfo=True, args=["a b"], env=[{"name": "MINE", "value": "x"}])),
    Case(
        "plugin that is told all of the cluster",
        plugin(provideClusterInfo=True),
        {
            "tls-server-name": "kubernetes",
            "disable-compression": True,
            "extensions": [{"name": "client.authentication.k8s.io/exec", "extension": {"audience": "x", "count": [1, True]}}],
        },
    ),
    Case(
        "plugin gives a certificate",
        plugin(),
        answer=granted(clientCertificateData=JANE.pem.decode(), clientKeyData=JANE.key_pem.decode()),
    ),
    Case("plugin gives half a pair", plugin(), answer=granted(clientCertificateData=JANE.pem.decode())),
    Case(
        "plugin gives all",
        plugin(),
        answer=granted(token="t", clientCertificateData=JANE.pem.decode(), clientKeyData=JANE.key_pem.decode()),
    ),
    Case("plugin gives nothing", plugin(), answer=granted(expirationTimestamp="2030-01-01T00:00:00Z")),
    Case("plugin with an end", plugin(), answer=granted(token="t", expirationTimestamp="2099-01-01T00:00:00Z")),
    Case("plugin answers in another version", plugin(), answer=granted(V1BETA1)),
    Case("plugin answers no JSON", plugin(), answer="nothing"),
    Case("plugin beside a token", plugin() | {"token": "t"}),
    Case("plugin beside a token file", plugin() | {"tokenFile": "token"}),
    Case("plugin beside a password", plugin() | {"username": "u", "password": "p"}),
    Case("plugin beside a certificate", plugin() | PAIR),
    Case("plugin beside a provider", plugin() | {"auth-provider": {"name": "oidc", "config": {}}}),
    Case("kuberc allows all", plugin(), kuberc=f"{KUBERC}AllowAll"),
    Case("kuberc denies all", plugin(), kuberc=f"{KUBERC}DenyAll"),
    Case(
        "kuberc allows it by path", plugin(), kuberc=f"{KUBERC}Allowlist\ncredentialPluginAllowlist: [{{command: FOLDER/login}}]"
    ),
    Case(
        "kuberc allows it by its old key",
        plugin(),
        kuberc=f"{KUBERC}Allowlist\ncredentialPluginAllowlist: [{{name: FOLDER/login}}]",
    ),
    Case("kuberc allows another", plugin(), kuberc=f"{KUBERC}Allowlist\ncredentialPluginAllowlist: [{{command: other}}]"),
    Case(
        "kuberc allows a name that is another program",
        plugin(),
        kuberc=f"{KUBERC}Allowlist\ncredentialPluginAllowlist: [{{command: login}}]",
    ),
    Case("kuberc with an empty list", plugin(), kuberc=f"{KUBERC}Allowlist\ncredentialPluginAllowlist: []"),
    Case("kuberc with a list too many", plugin(), kuberc=f"{KUBERC}AllowAll\ncredentialPluginAllowlist: [{{command: other}}]"),
    Case("kuberc of an unknown policy", plugin(), kuberc=f"{KUBERC}Nobody"),
    Case("kuberc of an unknown version", plugin(), kuberc=f"{KUBERC}DenyAll".replace("v1beta1", "v9")),
    Case("kuberc that is no YAML", plugin(), kuberc="kind: ["),
    Case("--kuberc", plugin(), flags={"kuberc": "FOLDER/rules"}),
    Case("--kuberc over the one at home", plugin(), kuberc=f"{KUBERC}DenyAll", flags={"kuberc": "FOLDER/empty"}),
    Case("--kuberc that is missing", {"token": "t"}, flags={"kuberc": "FOLDER/none"}),
    Case("--kuberc that is missing, and a plugin", plugin(), flags={"kuberc": "FOLDER/none"}),
    Case("provider gcp", {"auth-provider": {"name": "gcp"}}),
    Case("provider x", {"auth-provider": {"name": "x"}}),
    Case("provider gcp beside a token", {"auth-provider": {"name": "gcp"}, "token": "t"}),
    Case("provider oidc without settings", {"auth-provider": {"name": "oidc"}}),
    Case("impersonation", {"token": "t"} | GROUPS),
    Case("y in the place of text", {"token": "t", "as": "joe", "as-groups": ["y"]}),
    Case("impersonation without user", {"token": "t", "as-groups": ["a"]}),
    Case("anonymous"),
    Case("wrong CA", {"token": "t"}, {"certificate-authority-data": data(USERS.pem)}),
    Case("CA in a file", {"token": "t"}, NO_CA | {"certificate-authority": "ca.crt"}),
    Case("CA in a file that is missing", {"token": "t"}, NO_CA | {"certificate-authority": "none"}),
    Case("CA as data and file", {"token": "t"}, {"certificate-authority": "ca.crt"}),
    Case("no CA", {"token": "t"}, NO_CA),
    Case("unverified", {"token": "t"}, NO_CA | {"insecure-skip-tls-verify": True}),
    Case("unverified with CA", {"token": "t"}, {"insecure-skip-tls-verify": True}),
    Case("name in TLS", {"token": "t"}, {"tls-server-name": "kubernetes"}),
    Case("wrong name in TLS", {"token": "t"}, {"tls-server-name": "wrong.test"}),
    Case("path", {"token": "t"}, {"server": "https://127.0.0.1:PORT/k8s/clusters/c-1/"}),
    Case("path and query", {"token": "t"}, {"server": "https://127.0.0.1:PORT/k8s?x=1"}),
    Case("proxy of another kind", {"token": "t"}, {"proxy-url": "ftp://127.0.0.1:1"}),
    Case("plain HTTP", {"token": "t"} | PAIR | GROUPS, NO_CA, plain=True),
    Case("plain HTTP and a plugin", plugin(), NO_CA, plain=True),
    Case("plain HTTP and a CA", {"token": "t"}, plain=True),
    Case("without scheme", {"token": "t"}, NO_CA | {"server": "127.0.0.1:PORT"}, plain=True),
    Case("cluster that is not there", {"token": "t"}, context={"cluster": "none"}),
    Case("user that is not there", {"token": "t"}, context={"user": "none"}),
    Case("context that is not there", {"token": "t"}, top={"current-context": "none"}),
    Case("no current context", {"token": "t"}, top={"current-context": ""}),
    Case("--token", {"tokenFile": "none"} | plugin(), flags={"token": "mine"}),
    Case("--token over a token file", {"tokenFile": "token"}, flags={"token": "mine"}),
    Case("--token over a token", {"token": "t"}, flags={"token": "mine"}),
    Case("--token over a password", {"username": "u", "password": "p"}, flags={"token": "mine"}),
    Case("--username", {"password": "p"}, flags={"username": "mine"}),
    Case("--username and --password", flags={"username": "mine", "password": "p"}),
    Case("--username beside a token", {"token": "t"}, flags={"username": "mine"}),
    Case(
        "--client-certificate and --client-key",
        PAIR,
        flags={"client_certificate": "FOLDER/other.crt", "client_key": "FOLDER/other.key"},
    ),
    Case("--client-certificate alone", PAIR, flags={"client_certificate": "FOLDER/jane.crt"}),
    Case("--client-certificate without key", flags={"client_certificate": "FOLDER/jane.crt"}),
    Case("--as", {"token": "t"} | GROUPS, flags={"as_user": "ann"}),
    Case(
        "--as and the rest",
        {"token": "t"} | GROUPS,
        flags={"as_user": "ann", "as_group": ("c",), "as_uid": "8", "as_user_extra": ("plain=w", "v=u")},
    ),
    Case("--as-group alone", {"token": "t"}, flags={"as_group": ("c",)}),
    Case("--as-user-extra without value", {"token": "t"}, flags={"as_user": "ann", "as_user_extra": ("c",)}),
    Case(
        "--server",
        {"token": "t"},
        {"server": "https://127.0.0.1:1", "tls-server-name": "wrong.test"},
        flags={"server": "https://127.0.0.1:PORT"},
    ),
    Case(
        "--server in plain HTTP",
        {"token": "t", "as": "joe"},
        {"server": "https://127.0.0.1:1"},
        flags={"server": "127.0.0.1:PORT"},
        plain=True,
    ),
    Case("--tls-server-name", {"token": "t"}, {"tls-server-name": "wrong.test"}, flags={"tls_server_name": "kubernetes"}),
    Case(
        "--certificate-authority",
        {"token": "t"},
        {"certificate-authority-data": data(USERS.pem)},
        flags={"certificate_authority": "FOLDER/ca.crt"},
    ),
    Case(
        "--certificate-authority over unverified",
        {"token": "t"},
        NO_CA | {"insecure-skip-tls-verify": True},
        flags={"certificate_authority": "FOLDER/wrong.crt"},
    ),
    Case(
        "--insecure-skip-tls-verify",
        {"token": "t"},
        {"certificate-authority-data": data(USERS.pem)},
        flags={"insecure_skip_tls_verify": True},
    ),
    Case(
        "--insecure-skip-tls-verify and a CA",
        {"token": "t"},
        flags={"insecure_skip_tls_verify": True, "certificate_authority": "FOLDER/ca.crt"},
    ),
    Case("--proxy-url", {"token": "t"}, flags={"proxy_url": "ftp://127.0.0.1:1"}),
    Case("--user", flags={"user": "second"}),
    Case("--user that is not there", {"token": "t"}, flags={"user": "none"}),
    Case("--cluster", {"token": "t"}, {"server": "https://127.0.0.1:1"}, flags={"cluster": "second"}),
    Case("--cluster that is not there", {"token": "t"}, flags={"cluster": "none"}),
    Case(
        "no current context, --server and --token",
        {"token": "t"},
        top={"current-context": ""},
        flags={"server": "https://127.0.0.1:PORT", "token": "mine", "certificate_authority": "FOLDER/ca.crt"},
    ),
    Case(
        "no current context, --cluster and --user",
        {"token": "t"},
        top={"current-context": ""},
        flags={"cluster": "c", "user": "second"},
    ),
]

DIFFERENT = {
    "certificate that expired": "the API server refuses it in any case; said before anything is sent",
    "anonymous": "kubectl asks for a user name on standard input; a proxy is nobody to be asked, and an anonymous request is one",
    "kuberc that is no YAML": "a rule about which programs may run must not get lost by a typo; kubectl warns and runs them",
    "path and query": "no API server has a query in its URL; kubectl drops it",
    "without scheme": "kubectl goes on in plain HTTP, without the credential; in a kubeconfig the scheme has to be said",
    "y in the place of text": "kubectl's YAML takes y and n for truth values, and refuses them as text",
    "--token over a token file": "what a person gives on the command line is meant; kubectl goes on with the file",
    "--as-user-extra without value": "kubectl drops it without a word",
}
"""Rows that come to something else on purpose, and why."""


SAID = {
    "token file is missing": ("user.tokenFile: {}/none cannot be read", "open {}/none: no such file"),
    "password beside a token": ("user.token: is given beside username and password", "more than one authentication method"),
    "certificate data and file": ("user.client-certificate: is given beside", "are both specified for u"),
    "certificate without key": ("user.client-key: is missing", "must be specified for u"),
    "certificate of another key": ("the key does not belong to the client certificate", "does not match public key"),
    "certificate file is missing": ("client-certificate: {}/none cannot be read", "unable to read client-cert {}/none"),
    "plugin v1 without mode": ("exec.interactiveMode: is missing", "interactiveMode must be specified"),
    "plugin v1alpha1": ("v1alpha1 is not known", "invalid apiVersion"),
    "plugin that has to ask": ("standard input is not a terminal", "standard input is not a terminal"),
    "plugin without version": ("exec.apiVersion: is missing", "apiVersion must be specified"),
    "plugin that is not there": ("there is no such program get it", "no such file"),
    "plugin gives half a pair": ("only one of certificate and key", "only certificate or key"),
    "plugin gives nothing": ("neither a token nor a certificate", "didn't return a token or cert/key pair"),
    "plugin answers in another version": ("another API version", "returned version"),
    "plugin beside a provider": ("auth-provider: is given beside exec", "in combination with an exec plugin"),
    "kuberc denies all": ("does not let it run (credentialPluginPolicy: DenyAll)", 'policy set to "DenyAll"'),
    "kuberc allows another": ("does not let it run", "not permitted by the credential plugin allowlist"),
    "kuberc of an unknown policy": ("credentialPluginPolicy: is none of", "unknown plugin policy"),
    "provider gcp": ("auth provider gcp is not supported", "gcp auth plugin has been removed"),
    "provider oidc without settings": ("idp-issuer-url: is missing", "Must provide idp-issuer-url"),
    "impersonation without user": ("user.as: is missing", "without impersonating a user"),
    "CA in a file that is missing": ("certificate-authority: {}/none cannot be read", "unable to read certificate-authority"),
    "CA as data and file": ("certificate-authority: is given beside", "are both specified for c"),
    "unverified with CA": ("switches off the verification", "with the insecure flag is not allowed"),
    "proxy of another kind": ("proxy-url: is no URL of a proxy (http, https, socks5)", "must be http, https, or socks5"),
    "context that is not there": ("current-context: there is no context 'none'", "context was not found"),
    "--user that is not there": ("--user: there is no user 'none'", 'auth info "none" does not exist'),
    "--cluster that is not there": ("--cluster: there is no cluster 'none'", 'cluster "none" does not exist'),
}
"""What we say of a row that comes to nothing, and what kubectl says; braces stand for the folder."""


@pytest.fixture
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    place = Place(tmp_path, request.param)
    with place.server:
        yield place


@pytest.mark.parametrize("place", CASES, ids=str, indirect=True)
def test_the_same_arrives(place: Place) -> None:
    theirs, they_say = place.by_kubectl()
    ours, we_say = place.by_us()
    if place.case.name in DIFFERENT:
        assert ours != theirs, "no difference any more"
    else:
        assert ours == theirs, f"{they_say}\n{we_say}"
    if ours is None:
        assert we_say
    if place.case.name in SAID:
        assert ours is None
        for said, expected in zip((we_say, they_say), SAID[place.case.name], strict=True):
            assert expected.replace("{}", str(place.folder)) in said


THROUGH_THE_PROXY = [
    "token",
    "token file wins",
    "certificate files",
    "certificate and token",
    "plugin v1",
    "plugin gives all",
    "impersonation",
    "plain HTTP",
    "path",
    "--as and the rest",
]


@pytest.mark.parametrize("place", [case for case in CASES if case.name in THROUGH_THE_PROXY], ids=str, indirect=True)
def test_the_same_arrives_through_kubectl_proxy(place: Place) -> None:
    theirs, they_say = place.by_kubectl_proxy()
    ours, we_say = place.by_us()
    if place.case.name == "path":
        # Without --append-server-path, whose default is another one here.
        assert theirs and ours and (theirs.path, ours.path) == ("/probe", "/k8s/clusters/c-1/probe")
    else:
        assert ours is not None and ours == theirs, f"{they_say}\n{we_say}"


def test_differences_are_rows() -> None:
    assert {*DIFFERENT, *SAID} <= {case.name for case in CASES}
    assert len({case.name for case in CASES}) == len(CASES)
