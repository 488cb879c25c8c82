"""HTTPS_PROXY, HTTP_PROXY and NO_PROXY; the table is that of golang.org/x/net/http/httpproxy, row by row in meaning."""

import pytest

from kubegate.cluster.environ_proxy import proxy_for
from kubegate.model.problem import InvalidInput

PROXY = "http://proxy.test:3128"


@pytest.mark.parametrize(
    ("url", "environ", "expected"),
    [
        ("https://api.test", {}, None),
        ("https://api.test", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://api.test", {"https_proxy": PROXY}, PROXY),
        ("https://api.test", {"HTTPS_PROXY": PROXY, "https_proxy": "http://small.test"}, PROXY),
        ("https://api.test", {"HTTPS_PROXY": "", "https_proxy": PROXY}, PROXY),
        ("https://api.test", {"HTTP_PROXY": PROXY}, None),
        ("http://api.test", {"HTTP_PROXY": PROXY}, PROXY),
        ("http://api.test", {"HTTPS_PROXY": PROXY}, None),
        ("https://api.test", {"ALL_PROXY": PROXY}, None),
        ("https://api.test", {"HTTPS_PROXY": "proxy.test"}, "http://proxy.test"),
        ("https://api.test", {"HTTPS_PROXY": "proxy.test:1"}, "http://proxy.test:1"),
        ("https://api.test", {"HTTPS_PROXY": "socks5://u:p@proxy.test"}, "socks5://u:p@proxy.test"),
        ("https://localhost:6443", {"HTTPS_PROXY": PROXY}, None),
        ("https://127.1.2.3:6443", {"HTTPS_PROXY": PROXY}, None),
        ("https://[::1]:6443", {"HTTPS_PROXY": PROXY}, None),
        ("https://[::ffff:127.0.0.1]", {"HTTPS_PROXY": PROXY}, None),
        ("https://sub.localhost", {"HTTPS_PROXY": PROXY}, PROXY),
    ],
)
def test_which_proxy(url: str, environ: dict[str, str], expected: str | None) -> None:
    assert proxy_for(url, environ) == expected


@pytest.mark.parametrize(
    ("no_proxy", "url", "excluded"),
    [
        ("api.test", "https://api.test", True),
        ("API.test", "https://api.TEST", True),
        ("test", "https://api.test", True),
        ("est", "https://api.test", False),
        (".test", "https://api.test", True),
        (".api.test", "https://api.test", False),
        ("*.test", "https://api.test", True),
        ("*.api.test", "https://api.test", False),
        ("api.test:6443", "https://api.test:6443", True),
        ("api.test:6443", "https://api.test", False),
        ("api.test:443", "https://api.test", True),
        (" x , api.test ,,", "https://api.test", True),
        ("*", "https://api.test", True),
        ("10.0.0.1", "https://10.0.0.1:6443", True),
        ("10.0.0.1:443", "https://10.0.0.1:6443", False),
        ("10.0.0.1:6443", "https://10.0.0.1:6443", True),
        ("10.0.0.0/8", "https://10.1.2.3", True),
        ("10.0.0.0/8", "https://11.1.2.3", False),
        ("10.1.2.3/8", "https://10.9.9.9", True),
        ("10.0.0.0/8", "https://api.test", False),
        ("fd00::/8", "https://[fd00::1]:6443", True),
        ("fd00::1", "https://[fd00::1]:6443", True),
        ("[fd00::1]", "https://[fd00::1]:6443", False),
        ("[fd00::1]:6443", "https://[fd00::1]:6443", True),
        ("[fd00::1]:443", "https://[fd00::1]:6443", False),
        ("10.", "https://10.0.0.1", False),
        (":6443", "https://api.test:6443", False),
    ],
)
def test_who_is_excluded(no_proxy: str, url: str, excluded: bool) -> None:
    assert proxy_for(url, {"HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy}) == (None if excluded else PROXY)
    assert proxy_for(url, {"HTTPS_PROXY": PROXY, "no_proxy": no_proxy}) == (None if excluded else PROXY)


@pytest.mark.parametrize("text", ["ftp://very-secret@proxy.test", "http://", "http://proxy.test:x", "http://[::1", "://"])
def test_what_is_no_proxy(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        proxy_for("https://api.test", {"HTTPS_PROXY": text})
    assert [problem.where for problem in caught.value.problems] == ["$HTTPS_PROXY"]
    assert "very-secret" not in str(caught.value)
    assert proxy_for("https://api.test", {"HTTPS_PROXY": text, "NO_PROXY": "*"}) is None
