"""What a context depends on, what changed, and when a login is due."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kubegate.cluster.context import Context
from kubegate.cluster.credential import Credential, Pem
from kubegate.cluster.login import Login
from kubegate.cluster.server import Server
from kubegate.errors import KubegateError
from kubegate.model.address import Endpoint
from kubegate.model.problem import InvalidInput, Problem
from kubegate.proxy.relay import proxy_of
from kubegate.proxy.rotation import changed_target, due, files_of, is_removal, sends_the_same, sentence

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CONTEXT = Context(
    name="x",
    cluster_name="c",
    user_name="u",
    namespace="default",
    server=Server("https", Endpoint("api.test", 6443)),
    ca_pem=b"ca",
    ca_where="",
    tls_server_name=None,
    insecure_skip_tls_verify=False,
    proxy_url=None,
    disable_compression=False,
    credential=Credential(),
    files=(Path("/a/config"),),
)


@pytest.mark.parametrize(
    ("life", "before"),
    [(24 * 3600, 300), (3600, 300), (1800, 180), (200, 20), (100, 10), (60, 10), (20, 10), (10, 5), (0, 0), (-5, 0)],
)
def test_when_a_login_is_due(life: int, before: int) -> None:
    expires = NOW + timedelta(seconds=life)
    assert due(Login(expires=expires), NOW) == expires - timedelta(seconds=before)


def test_a_login_without_end_is_never_due() -> None:
    assert due(Login(), NOW) is None


def test_every_file_counts_once() -> None:
    credential = Credential(
        token_file=Path("/t"), certificate=Pem("w", path=Path("/c")), key=Pem("w", data=b"key"), auth_provider="oidc"
    )
    context = replace(CONTEXT, credential=credential, ca_file=Path("/c"), missing=(Path("later"),))
    assert files_of(context) == (Path("/a/config"), Path.cwd() / "later", Path("/c"), Path("/t"))


def test_the_proxy_of_a_context_comes_first() -> None:
    environ = {"HTTPS_PROXY": "http://environ.test"}
    assert proxy_of(CONTEXT, {}) is None
    assert proxy_of(CONTEXT, environ) == "http://environ.test"
    assert proxy_of(CONTEXT, environ | {"NO_PROXY": "api.test:6443"}) is None
    declared = replace(CONTEXT, proxy_url="socks5://declared.test")
    assert proxy_of(declared, environ | {"NO_PROXY": "*"}) == "socks5://declared.test"


@pytest.mark.parametrize(
    ("change", "clause"),
    [
        ({"server": Server("https", Endpoint("b.test", 443))}, "its server is https://b.test now, and was https://api.test:6443"),
        ({"ca_pem": b"other"}, "its CA is another one"),
        ({"tls_server_name": "n"}, "its server is verified as n"),
        ({"insecure_skip_tls_verify": True}, "its server is not verified any more"),
        ({"proxy_url": "http://u:very-secret@p"}, "it is reached by another proxy"),
        ({"disable_compression": True}, "its compression is another one"),
    ],
)
def test_what_changed(change: dict[str, object], clause: str) -> None:
    changed = replace(CONTEXT, **change)  # type: ignore[arg-type]
    assert list(changed_target(CONTEXT, changed)) == [clause]
    assert len(list(changed_target(changed, CONTEXT))) == 1


def test_what_is_sent() -> None:
    assert sends_the_same(Login("a"), Login("a", expires=NOW))
    for other in (Login("b"), Login("a", b"c"), Login("a", key_pem=b"k"), Login("a", impersonation=(("Impersonate-User", "u"),))):
        assert not sends_the_same(Login("a"), other)


def test_what_counts_as_removed(tmp_path: Path) -> None:
    (tmp_path / "config").touch()
    there, gone = (tmp_path / "config",), (tmp_path / "none",)
    unknown = InvalidInput([Problem("w", "kubeconfig.context.unknown", "m")])
    wrong = InvalidInput([Problem("w", "kubeconfig.yaml", "m", "h")])
    assert is_removal(unknown, there)
    assert not is_removal(wrong, there)
    assert is_removal(wrong, gone)
    assert not is_removal(wrong, ())
    assert not is_removal(KubegateError("m"), gone)
    assert (sentence(wrong), sentence(KubegateError("m", "h"))) == ("w: m (h)", "m (h)")
