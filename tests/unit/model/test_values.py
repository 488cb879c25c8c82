"""Values as people type them, and what is said about those that are something else."""

import ipaddress
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticKnownError

from kubegate.model.address import Endpoint
from kubegate.model.values import (
    BASE_FOLDER,
    BadValue,
    Dial,
    FileName,
    Flag,
    Host,
    Listen,
    Name,
    Whole,
    format_duration,
    parse_dial,
    parse_duration,
    parse_network,
)

HOST, NAME, LISTEN, DIAL, FILE = (TypeAdapter[object](kind) for kind in (Host, Name, Listen, Dial, FileName))


def refusal(read: Callable[[str], object], text: str) -> tuple[str, str]:
    """Message and hint about a value."""
    try:
        read(text)
    except ValidationError as error:
        cause = error.errors()[0]["ctx"]["error"]
        assert isinstance(cause, BadValue)
        return str(cause), cause.hint
    except BadValue as error:
        return str(error), error.hint
    raise AssertionError(f"{text!r} was accepted")


@pytest.mark.parametrize(
    ("text", "span", "shown"),
    [
        ("500ms", timedelta(milliseconds=500), "500ms"),
        ("10s", timedelta(seconds=10), "10s"),
        ("90s", timedelta(seconds=90), "90s"),
        ("1h30m", timedelta(minutes=90), "90m"),
        ("7d", timedelta(days=7), "7d"),
        ("24h", timedelta(days=1), "1d"),
        ("1d2h3m4s5ms", timedelta(days=1, hours=2, minutes=3, seconds=4, milliseconds=5), "93784005ms"),
    ],
)
def test_durations(text: str, span: timedelta, shown: str) -> None:
    assert parse_duration(text) == span
    assert format_duration(span) == shown
    assert parse_duration(shown) == span


@given(st.integers(1, 24 * 86_400_000))
def test_every_duration_is_read_back(millis: int) -> None:
    span = timedelta(milliseconds=millis)
    assert parse_duration(format_duration(span)) == span


@pytest.mark.parametrize("text", ["", "10", "s", "10 s", "-1s", "1.5h", "1m1h", "10S", "1h30", "٣s", "1" * 300 + "s"])
def test_no_durations(text: str) -> None:
    message, hint = refusal(parse_duration, text)
    assert "is not a duration" in message
    assert "10s" in hint
    assert len(message) < 100


@pytest.mark.parametrize("text", ["0s", "0ms", "25d", "999999h"])
def test_durations_that_haproxy_cannot_hold(text: str) -> None:
    assert refusal(parse_duration, text)[0] == f"'{text}' is not between 1ms and 24d"


@pytest.mark.parametrize("number", [3, 1.5])
def test_a_number_has_no_unit(number: float) -> None:
    with pytest.raises(BadValue, match="without a unit"):
        parse_duration(number)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.1.2.3", "10.1.2.3/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::1", "::1/128"),
        ("::/0", "::/0"),
        ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
    ],
)
def test_networks(text: str, network: str) -> None:
    assert parse_network(text) == ipaddress.ip_network(network)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "is not an address range", "10.0.0.0/8"),
        ("10.0.0.0/33", "is not an address range", "10.0.0.0/8"),
        ("10.0.0", "is not an address range", "10.0.0.0/8"),
        ("example.com", "is not an address range", "10.0.0.0/8"),
        ("fe80::1%eth0", "is not an address range", "10.0.0.0/8"),
        ("10.1.2.3/8", "bits set behind its prefix", "write 10.0.0.0/8"),
        ("2001:db8::1/32", "bits set behind its prefix", "write 2001:db8::/32"),
        ("::ffff:10.0.0.0/104", "IPv4 in the clothes of IPv6", "IPv4 range"),
        ("x" * 300, "a text of 300 characters", "10.0.0.0/8"),
    ],
)
def test_no_networks(text: str, message: str, hint: str) -> None:
    found = refusal(parse_network, text)
    assert message in found[0]
    assert hint in found[1]


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("10.0.0.1:443", Endpoint("10.0.0.1", 443)),
        ("10.0.0.1", Endpoint("10.0.0.1", 6443)),
        ("API.Example.com.:443", Endpoint("api.example.com", 443)),
        ("api.example.com", Endpoint("api.example.com", 6443)),
        ("[2001:db8::1]:443", Endpoint("2001:db8::1", 443)),
        ("[2001:db8::1:2]", Endpoint("2001:db8::1:2", 6443)),
        ("2001:db8::1", Endpoint("2001:db8::1", 6443)),
        (" a ", Endpoint("a", 6443)),
    ],
)
def test_servers(text: str, endpoint: Endpoint) -> None:
    assert parse_dial(text) == endpoint
    assert parse_dial(str(endpoint)) == endpoint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("https://api:6443", "is a URL"),
        ("user:secret@api", "is a URL"),
        ("api:", "has no port"),
        ("api:0", "has no port"),
        ("api:65536", "has no port"),
        ("api:http", "has no port"),
        ("a_b:1", "neither a DNS name nor an IP address"),
        ("1.2.3:1", "looks like an IPv4 address"),
        ("[::1", "neither a DNS name nor an IP address"),
        ("", "neither a DNS name nor an IP address"),
        ("x" * 300, "a text of 300 characters"),
    ],
)
def test_no_servers(text: str, message: str) -> None:
    found = refusal(parse_dial, text)
    assert message in found[0]
    assert "secret" not in "".join(found)
    assert "api.example.com:443" in found[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("6443", "is not ADDR:PORT"),
        (":6443", "names no address"),
        ("gate.example.com:6443", "has no IP address before the port"),
        ("x" * 300, "a text of 300 characters is not ADDR:PORT"),
    ],
)
def test_no_listeners(text: str, message: str) -> None:
    found = refusal(LISTEN.validate_python, text)
    assert message in found[0]
    assert "127.0.0.1:6443" in found[1]


def test_endpoints_are_written_as_they_are_typed() -> None:
    for adapter in (LISTEN, DIAL):
        endpoint = adapter.validate_python("[::1]:6443")
        assert endpoint == Endpoint("::1", 6443)
        assert adapter.dump_python(endpoint) == "[::1]:6443"
        assert adapter.validate_json(adapter.dump_json(endpoint)) == endpoint


@pytest.mark.parametrize(
    ("text", "host"), [("Prod.Example.COM.", "prod.example.com"), ("10.0.0.1", "10.0.0.1"), ("[::1]", "::1")]
)
def test_hosts(text: str, host: str) -> None:
    assert HOST.validate_python(text) == host


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("https://prod.example.com", "is a URL", "no https://"),
        ("*.example.com", "is a wildcard", "in full"),
        ("prod.example.com:6443", "has a port", "listener"),
        ("größe.example", "letters that DNS has not", "xn--"),
        ("a_b", "neither a DNS name nor an IP address", "prod.example.com"),
        ("1.2.3", "looks like an IPv4 address", "prod.example.com"),
        ("x" * 300, "a text of 300 characters", "prod.example.com"),
    ],
)
def test_no_hosts(text: str, message: str, hint: str) -> None:
    found = refusal(HOST.validate_python, text)
    assert message in found[0]
    assert hint in found[1]


@pytest.mark.parametrize("text", ["a", "prod-1", "1", "x" * 63])
def test_names(text: str) -> None:
    assert NAME.validate_python(text) == text


@pytest.mark.parametrize("text", ["", "Prod", "-a", "a-", "a.b", "a_b", "a b", "x" * 64, "a\n"])
def test_no_names(text: str) -> None:
    message, hint = refusal(NAME.validate_python, text)
    assert message.endswith("is not a name")
    assert "lower-case" in hint


def test_files_start_at_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/you")
    context = {BASE_FOLDER: Path("/etc/kubegate")}
    assert FILE.validate_python("tls/a.crt", context=context) == Path("/etc/kubegate/tls/a.crt")
    assert FILE.validate_python("/a", context=context) == Path("/a")
    assert FILE.validate_python("~/a", context=context) == Path("/home/you/a")
    assert FILE.validate_python("tls/a.crt") == Path("tls/a.crt")


@pytest.mark.parametrize("text", ["", "  ", "a\0b", "~nobody-has-this-name/a"])
def test_no_files(text: str) -> None:
    message, hint = refusal(FILE.validate_python, text)
    assert "file" in message or "home folder" in message
    assert "path" in hint


@pytest.mark.parametrize("read", [parse_network, parse_dial, LISTEN.validate_python, parse_duration])
@pytest.mark.parametrize("value", [None, True, ["a"], {"host": "127.0.0.1", "port": 1}])
def test_what_is_no_text_at_all(read: Callable[[object], object], value: object) -> None:
    with pytest.raises((PydanticKnownError, ValidationError), match="valid string"):
        read(value)


@pytest.mark.parametrize(("kind", "value"), [(Whole, "1"), (Whole, True), (Whole, 1.0), (Flag, "true"), (Flag, 1)])
def test_numbers_and_truth_values_are_not_guessed(kind: type[object], value: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter[object](kind).validate_python(value)
