"""What an HAProxy says about itself, by the answers of real ones."""

from datetime import date
from pathlib import Path

import pytest

from kubegate.runtime.build import library, numbers, parse

SAID = {path.stem: path.read_text() for path in (Path(__file__).parent / "said").glob("*.txt")}


def test_the_embedded_one() -> None:
    build = parse(SAID["embedded-haproxy-2.8.25"])
    assert build is not None
    assert (build.version, build.numbers, build.branch) == ("2.8.25-5cf5d0683", (2, 8, 25), "2.8")
    assert build.released == date(2026, 6, 26)
    assert (build.long_term, build.fixes_until) == (True, "Q2 2028")
    assert build.status == "long-term supported branch - will stop receiving fixes around Q2 2028."
    assert build.known_bugs == "http://www.haproxy.org/bugs/bugs-2.8.25.html"
    assert build.tls == build.built_with == library("OpenSSL 3.0.15 3 Sep 2024")


@pytest.mark.parametrize(
    ("said", "version", "until", "tls", "built_with"),
    [
        ("debian-12-haproxy-2.6.12", "2.6.12-1+deb12u3", "Q2 2027", "OpenSSL 3.0.19", "OpenSSL 3.0.17"),
        ("debian-13-haproxy-3.0.11", "3.0.11-1+deb13u5", "Q2 2029", "OpenSSL 3.6.5", "OpenSSL 3.5.7"),
        ("debian-sid-haproxy-3.2.26", "3.2.26-1", "Q2 2030", "OpenSSL 3.6.5", "OpenSSL 3.6.5"),
    ],
)
def test_those_of_a_distribution(said: str, version: str, until: str, tls: str, built_with: str) -> None:
    build = parse(SAID[said])
    assert build is not None
    assert (build.version, build.fixes_until) == (version, until)
    assert ".".join(map(str, build.numbers)) == version.split("-")[0]
    assert (str(build.tls), str(build.built_with)) == (tls, built_with)


@pytest.mark.parametrize(
    ("words", "name", "version"),
    [
        ("OpenSSL 3.0.15 3 Sep 2024", "OpenSSL", "3.0.15"),
        ("OpenSSL 3.6.5 29 Sep 2026 (VERSIONS DIFFER!)", "OpenSSL", "3.6.5"),
        ("OpenSSL 1.1.1w  11 Sep 2023", "OpenSSL", "1.1.1w"),
        ("OpenSSL 1.1.1k  FIPS 25 Mar 2021", "OpenSSL", "1.1.1k"),
        ("OpenSSL 3.6.0-beta1 1 Sep 2025", "OpenSSL", "3.6.0"),
        ("OpenSSL 1.1.1 (compatible; AWS-LC 5.11.0)", "AWS-LC", "5.11.0"),
        ("AWS-LC 5.11.0", "AWS-LC", "5.11.0"),
        ("LibreSSL 3.6.2", "LibreSSL", "3.6.2"),
        ("wolfSSL 5.7.0", "wolfSSL", "5.7.0"),
        ("OpenSSL 1.1.1 (compatible; BoringSSL)", "BoringSSL", ""),
        ("GnuTLS 3.8", "GnuTLS", ""),
    ],
)
def test_tls_libraries(words: str, name: str, version: str) -> None:
    found = library(words)
    assert (found.name, found.version, found.words) == (name, version, words)
    assert str(found) == f"{name} {version}".strip()


def test_a_library_by_its_newer_name() -> None:
    said = (
        "HAProxy version 3.3.1 2026/01/02 - https://haproxy.org/",
        "Built with SSL library version : OpenSSL 1.1.1 (compatible; AWS-LC 5.11.0)",
        "Running on SSL library version : AWS-LC 5.12.0",
    )
    build = parse("\n".join(said))
    assert build is not None
    assert (str(build.built_with), str(build.tls)) == ("AWS-LC 5.11.0", "AWS-LC 5.12.0")


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("3.0.9", "3.0.15"),
        ("3.0.15", "3.5.0"),
        ("1.1.1", "1.1.1a"),
        ("1.1.1w", "1.1.1za"),
        ("1.1.1za", "1.1.1zb"),
        ("1.1.1zz", "3.0.0"),
    ],
)
def test_versions_compare_by_number(older: str, newer: str) -> None:
    assert numbers(older) < numbers(newer)
    assert library(f"OpenSSL {newer}").newer_than(library(f"OpenSSL {older}"))
    assert not library(f"OpenSSL {older}").newer_than(library(f"OpenSSL {newer}"))


def test_no_library_is_newer_than_itself_than_another_or_than_none() -> None:
    assert not library("OpenSSL 3.0.15").newer_than(library("OpenSSL 3.0.15 3 Sep 2024"))
    assert not library("OpenSSL 3.5.0").newer_than(library("LibreSSL 3.0.0"))
    assert not library("AWS-LC 5.11.0").newer_than(library("OpenSSL 1.1.1"))
    assert not library("OpenSSL 3.5.0").newer_than(None)


def test_little_is_said() -> None:
    """As by an old one, or by a development version: what is not said is empty."""
    old, new = parse("HA-Proxy version 1.8.19 2019/02/11"), parse("HAProxy version 3.5-dev9-1a2b3c")
    assert old is not None
    assert new is not None
    assert (old.numbers, old.released, old.tls, old.fixes_until) == ((1, 8, 19), date(2019, 2, 11), None, "")
    assert (new.numbers, new.version, new.released) == ((3, 5, 0), "3.5-dev9-1a2b3c", None)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "nginx version: nginx/1.22.1",
        "HAProxy version " + "9" * 5000 + ".1.1",
        "HAProxy version ..",
        "Running on SSL library version : OpenSSL 3.0.15",
    ],
)
def test_something_else(answer: str) -> None:
    assert parse(answer) is None


def test_a_day_that_is_none() -> None:
    build = parse("HAProxy version 2.8.1 2026/13/45")
    assert build is not None
    assert build.released is None
