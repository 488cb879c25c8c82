"""What a plan of the local proxy says about itself."""

import pytest

from kubegate.model.filters import default_filters
from kubegate.model.proxy_plan import Listener, ProxyPlan, Target


@pytest.mark.parametrize(
    ("port", "pem", "origins"),
    [
        (8001, b"", ("http://127.0.0.1:8001", "http://[::1]:8001")),
        (80, b"", ("http://127.0.0.1", "http://[::1]")),
        (443, b"", ("http://127.0.0.1:443", "http://[::1]:443")),
        (443, b"pem", ("https://127.0.0.1", "https://[::1]")),
    ],
)
def test_origins_are_written_as_browsers_write_them(port: int, pem: bytes, origins: tuple[str, ...]) -> None:
    assert Listener("a", 3, "c0", ("127.0.0.1", "[::1]"), port, pem=pem).origins == origins


@pytest.mark.parametrize(("prefix", "strips"), [("/", False), ("/api/", False), ("/apis-of-mine/", False), ("/custom/", True)])
def test_a_prefix_is_taken_off_unless_it_begins_as_the_api_does(prefix: str, strips: bool) -> None:
    assert ProxyPlan((), (), default_filters(), "/s", prefix=prefix).strips == strips


def test_secrets_are_in_no_text() -> None:
    target = Target("c0", "dev", "h", True, authorization="Bearer secret", pair=b"secret")
    listener = Listener("a", 3, "c0", pem=b"secret")
    assert "secret" not in repr(ProxyPlan((listener,), (target,), default_filters(), "/s"))
