import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubegate.cluster.server import Server, parse_server
from kubegate.model.address import Endpoint
from kubegate.model.problem import InvalidInput


@pytest.mark.parametrize(
    ("text", "server", "url"),
    [
        ("https://api.test", Server("https", Endpoint("api.test", 443)), "https://api.test"),
        ("http://api.test", Server("http", Endpoint("api.test", 80)), "http://api.test"),
        ("https://api.test:6443/", Server("https", Endpoint("api.test", 6443)), "https://api.test:6443"),
        ("HTTPS://API.Test.:443", Server("https", Endpoint("api.test", 443)), "https://api.test"),
        ("https://10.0.0.1:6443", Server("https", Endpoint("10.0.0.1", 6443)), "https://10.0.0.1:6443"),
        ("https://[0:0::1]", Server("https", Endpoint("::1", 443)), "https://[::1]"),
        ("https://[::1]:6443", Server("https", Endpoint("::1", 6443)), "https://[::1]:6443"),
        ("https://r.test/k8s/clusters/c-1/", Server("https", Endpoint("r.test", 443), "/k8s/clusters/c-1"), None),
        ("https://r.test/a%2Fb", Server("https", Endpoint("r.test", 443), "/a%2Fb"), "https://r.test/a%2Fb"),
        ("https://k3d_server:6443", Server("https", Endpoint("k3d_server", 6443)), "https://k3d_server:6443"),
        ("https://api.test:", Server("https", Endpoint("api.test", 443)), "https://api.test"),
    ],
)
def test_servers(text: str, server: Server, url: str | None) -> None:
    found = parse_server(text, "x")
    assert found == server
    assert found.url == (url or text.rstrip("/"))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("api.test", 1),
        ("api.test:6443", 1),
        ("10.0.0.1:6443", 1),
        ("ftp://api.test", 1),
        ("https://", 1),
        ("https:///path", 1),
        ("https://user:very-secret@api.test", 1),
        ("https://api.test?a=b", 1),
        ("https://api.test#x", 1),
        ("ftp://u:very-secret@api.test?x#y", 3),
        ("https://api.test:0", 1),
        ("https://api.test:70000", 1),
        ("https://api.test:abc", 1),
        ("https://[::1", 1),
        ("https://::1:6443", 1),
        ("https://[fe80::1%25eth0]", 1),
        ("https://api .test", 1),
        ("https://api.test/\n", 1),
        ("https://bücher.test", 1),
        ("https://-x.test", 1),
        ("https://256.1.1.1", 1),
        ("https://a..b", 1),
        ("https://r.test/%zz", 1),
    ],
)
def test_what_is_wrong_with_a_url(text: str, count: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_server(text, "here")
    assert len(caught.value.problems) == count
    assert {(one.where, one.code) for one in caught.value.problems} == {("here", "kubeconfig.server")}
    assert "very-secret" not in str(caught.value)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=40))
def test_no_text_does_harm(text: str) -> None:
    for url in (text, f"https://{text}"):
        try:
            server = parse_server(url, "x")
        except InvalidInput:
            continue
        assert parse_server(server.url, "x") == server
