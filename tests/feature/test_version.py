"""`kubegate version` as a person runs it: what would run, and what is known to be wrong with it."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from kubegate import __version__
from kubegate.runtime.binary import find
from tests.support.expose import Home, kubegate, problems
from tests.support.programs import on_path, program, without_embedded

pytestmark = pytest.mark.haproxy
SAID = Path(__file__).parents[1] / "unit" / "runtime" / "said"


def facts(person: Home, *arguments: str, extra: dict[str, str] | None = None) -> dict[str, Any]:
    """What it says to scripts."""
    done = kubegate("version", "--output", "json", *arguments, home=person, extra=extra or on_path(person))
    assert (done.returncode, done.stderr) == (0, "")
    [line] = done.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def saying(person: Home, said: Path) -> Path:
    """An HAProxy of the system that says about itself what another one said."""
    return program(person, "haproxy", f'while read -r line; do echo "$line"; done < {shlex.quote(str(said))}')


def with_library(person: Home, library: str) -> Path:
    """An HAProxy of the system that is as old as the embedded one, on another TLS library."""
    said = person.path / "said.txt"
    said.write_text((SAID / "embedded-haproxy-2.8.25.txt").read_text().replace("OpenSSL 3.0.15 3 Sep 2024", library))
    return saying(person, said)


def test_the_embedded_one(person: Home) -> None:
    """What is recorded of it is still what it says, so that the tests below compare with the right one."""
    said = facts(person)
    embedded = find()
    assert said["kubegate"] == __version__
    assert said["python"]["version"].startswith("3.")
    assert "SSL" in said["python"]["tls"]
    assert (said["haproxy"]["embedded"], said["haproxy"]["path"]) == (True, str(embedded.path))
    assert said["haproxy"]["version"] == ".".join(map(str, embedded.version)) == "2.8.25"
    assert said["haproxy"]["branch"] == "2.8"
    assert said["haproxy"]["long_term"]
    assert said["haproxy"]["fixes_until"] == "Q2 2028"
    assert said["haproxy"]["tls"]["library"] == "OpenSSL"
    [of_haproxy, of_openssl] = said["reviews"]
    assert (of_haproxy["product"], of_openssl["product"], of_openssl["version"]) == ("HAProxy", "OpenSSL", "3.0.15")
    assert of_openssl["table"].startswith("20")
    assert {"id", "published", "part", "concerns", "says", "mended_in", "only_sold"} == set(of_openssl["holes"][0])
    [warning] = said["warnings"]
    assert warning["code"] == "haproxy.holes"


def test_the_embedded_one_in_words(person: Home) -> None:
    done = kubegate("version", home=person, extra=on_path(person))
    assert (done.returncode, done.stderr) == (0, "")
    text = " ".join(done.stdout.split())
    for words in (
        f"kubegate {__version__}",
        "HAProxy 2.8.25-5cf5d0683 of 2026-06-26, embedded",
        "branch 2.8: long-term supported branch",
        "TLS library OpenSSL 3.0.15",
        "Known holes of OpenSSL 3.0.15, by a table of 20",
        "CVE-2026-35189",
        "in parts that a gate does not use",
        "older than 3.0.22",
        "the embedded HAProxy brings it along; a newer HAProxy of this system is preferred when there is one",
        "What to do",
    ):
        assert words in text, done.stdout
    assert person.left() == []


def test_a_newer_one_of_the_system_is_preferred(person: Home) -> None:
    system = saying(person, SAID / "debian-sid-haproxy-3.2.26.txt")
    said = facts(person)
    assert (said["haproxy"]["path"], said["haproxy"]["embedded"]) == (str(system), False)
    assert said["haproxy"]["full_version"] == "3.2.26-1"
    assert said["haproxy"]["tls"]["version"] == "3.6.5"
    assert [review["holes"] for review in said["reviews"]] == [[], []]
    assert said["warnings"] == []


def test_one_of_a_distribution(person: Home) -> None:
    saying(person, SAID / "debian-13-haproxy-3.0.11.txt")
    said = facts(person)
    assert said["haproxy"]["built_with_tls"] == "OpenSSL 3.5.7 9 Jun 2026"
    [warning] = said["warnings"]
    assert "HAProxy 3.0.11 has CVE-2026-55204" in warning["message"]
    assert "may have known holes" in warning["message"]
    assert "3.0.11-1+deb13u5" in warning["hint"]
    text = " ".join(kubegate("version", home=person, extra=on_path(person)).stdout.split())
    assert "a distribution may have mended holes under the same number" in text
    assert "built with OpenSSL 3.5.7" in text


@pytest.mark.parametrize("library", ["OpenSSL 3.0.16 11 Feb 2025", "OpenSSL 3.5.9 29 Sep 2026"])
def test_the_same_version_with_a_newer_tls_library_is_preferred(person: Home, library: str) -> None:
    system = with_library(person, library)
    assert facts(person)["haproxy"]["path"] == str(system)


@pytest.mark.parametrize("library", ["OpenSSL 3.0.15 3 Sep 2024", "OpenSSL 3.0.2 15 Mar 2022", "LibreSSL 4.0.0"])
def test_the_same_version_with_another_tls_library_is_not(person: Home, library: str) -> None:
    with_library(person, library)
    assert facts(person)["haproxy"]["embedded"]


def test_one_that_is_too_old_is_no_matter_beside_the_embedded(person: Home) -> None:
    saying(person, SAID / "debian-12-haproxy-2.6.12.txt")
    assert facts(person)["haproxy"]["embedded"]


def test_none_at_all_is_said_beside_the_rest(person: Home) -> None:
    said = facts(person, extra=without_embedded(person))
    assert said["haproxy"] is None
    assert said["reviews"] == []
    [warning] = said["warnings"]
    assert warning["where"] == "HAProxy"
    assert "there is no HAProxy" in warning["message"]
    assert "apt-get install haproxy" in warning["hint"]


def test_none_at_all_in_words(person: Home) -> None:
    done = kubegate("version", home=person, extra=without_embedded(person))
    assert done.returncode == 0
    assert "none that can be used" in done.stdout
    assert "there is no HAProxy: none is embedded on this platform and none is on the PATH" in done.stdout


def test_one_that_is_named(person: Home) -> None:
    named = saying(person, SAID / "debian-13-haproxy-3.0.11.txt")
    assert facts(person, "--haproxy", str(named), extra={})["haproxy"]["path"] == str(named)


def test_one_that_is_named_and_cannot_be_used(person: Home) -> None:
    named = saying(person, SAID / "debian-12-haproxy-2.6.12.txt")
    done = kubegate("version", "--output", "json", "--haproxy", str(named), home=person)
    [problem] = problems(done)
    assert done.returncode == 2
    assert (problem["where"], problem["code"]) == (f"--haproxy {named}", "haproxy")
    assert "is HAProxy 2.6.12" in problem["message"]
    assert "too old" in problem["message"]
    assert "--haproxy FILE" in problem["hint"]
