"""cluster-info is believed only with the signature of the token, whatever else stands there."""

from typing import Any

import pytest

from kubegate.cluster.cluster_info import parse_token, read
from kubegate.cluster.errors import Unreachable, Untrusted
from kubegate.model.problem import InvalidInput
from tests.support.bootstrap import TOKEN, config_map, kubeconfig_of, signature
from tests.support.forge import forge

CA, EVIL = (forge(name, ca=True).pem for name in ("cluster CA", "evil CA"))
OTHER = "fedcba.fedcba9876543210"


def test_what_the_token_signed_is_believed() -> None:
    info = read(config_map(CA, OTHER, TOKEN))
    info.check(parse_token(TOKEN))
    assert info.authority() == CA


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (config_map(CA, TOKEN, kubeconfig=kubeconfig_of(EVIL)), "somebody changed it"),
        (config_map(CA, jws_kubeconfig_abcdef=signature(kubeconfig_of(CA), "abcdef.ffffffffffffffff")), "somebody changed it"),
        (config_map(CA, jws_kubeconfig_abcdef=signature(kubeconfig_of(CA), kid="fedcba")), "somebody changed it"),
        (config_map(CA, jws_kubeconfig_abcdef=signature(kubeconfig_of(CA), alg="none")), "somebody changed it"),
        (config_map(CA, jws_kubeconfig_abcdef=signature(kubeconfig_of(CA), alg="HS512")), "somebody changed it"),
        (config_map(CA, jws_kubeconfig_abcdef=signature(kubeconfig_of(CA), key=TOKEN)), "somebody changed it"),
        (config_map(CA, jws_kubeconfig_abcdef=""), "somebody changed it"),
        (config_map(CA, jws_kubeconfig_abcdef="a.b.c"), "somebody changed it"),
        (config_map(CA, OTHER), "not signed by the bootstrap token abcdef, but by fedcba"),
        (config_map(CA), "but by no token at all"),
    ],
)
def test_anything_else_is_not(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(Untrusted) as caught:
        read(changed).check(parse_token(TOKEN))
    assert said in caught.value.message
    assert TOKEN not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("body", [{}, {"data": None}, {"data": {"other": "x"}}, {"data": {"kubeconfig": 3}}])
def test_something_else_is_no_cluster_info(body: dict[str, Any]) -> None:
    with pytest.raises(Unreachable):
        read(body)


@pytest.mark.parametrize("text", ["", "clusters: []", "clusters: [{name: a}]", "clusters: [{cluster: {server: x}}]", "- 3"])
def test_a_kubeconfig_without_ca(text: str) -> None:
    with pytest.raises(Unreachable):
        read({"data": {"kubeconfig": text}}).authority()


def test_a_ca_that_is_none() -> None:
    with pytest.raises(InvalidInput):
        read({"data": {"kubeconfig": kubeconfig_of(b"no certificate")}}).authority()


@pytest.mark.parametrize("text", ["", "secret", "secret.0123456789abcde", "SECRET.0123456789abcdef", "secret.0123456789abcdefg"])
def test_a_text_that_is_no_token_is_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="no bootstrap token") as caught:
        parse_token(text)
    assert not text or text not in str(caught.value)
