"""The tables of known holes, and what is said by them."""

import re
from datetime import date
from pathlib import Path

import pytest

from kubegate.runtime.binary import Binary
from kubegate.runtime.build import numbers, parse
from kubegate.runtime.holes import Hole, Table, branch, review, reviews, table, warnings_about

PRODUCTS = ["HAProxy", "OpenSSL"]
SAID = Path(__file__).parent / "said"
GOLDEN = Path(__file__).parents[2] / "golden"
# Words of a configuration that would use a part which a table calls unused.
WORDS = {
    "HTTP/3 and QUIC": ["quic", "h3"],
    "FastCGI": ["fcgi"],
    "the JSON converters": ["json_query", "jwt_"],
    "the regsub converter": ["regsub"],
    "delta revocation lists": ["crl-file"],
    "key exchange groups with the word DEFAULT": ["curves DEFAULT"],
    "OCSP responses": ["ocsp"],
    "the OCB, SIV and CFB ciphers": ["aes_"],
}


def the(product: str) -> Table:
    """The table of a product."""
    found = table(product)
    assert found is not None
    return found


def binary(said: str, *, embedded: bool = False) -> Binary:
    """An HAProxy that said this about itself."""
    build = parse((SAID / f"{said}.txt").read_text())
    assert build is not None
    return Binary(Path("/bin/haproxy"), build.numbers, embedded, build)


def ids(product: str, version: str, *, concerning: bool = False) -> set[str]:
    """The holes of a version."""
    found = review(product, version)
    return {each.hole.id for each in (found.concerning if concerning else found.found)}


@pytest.mark.parametrize("product", PRODUCTS)
def test_each_hole_has_an_id_a_date_a_part_and_one_sentence(product: str) -> None:
    known = the(product)
    assert known.holes
    assert known.made <= date.today()
    assert len({hole.id for hole in known.holes}) == len(known.holes)
    for hole in known.holes:
        assert re.fullmatch(r"CVE-20\d\d-\d{4,7}", hole.id)
        assert int(hole.id[4:8]) <= hole.published.year
        assert hole.published <= known.made, hole.id
        assert hole.part, hole.id
        assert 20 < len(hole.says) < 160, hole.id
        assert ". " not in f"{hole.says} ", hole.id


@pytest.mark.parametrize("product", PRODUCTS)
def test_holes_are_in_the_order_in_which_they_became_known(product: str) -> None:
    dates = [hole.published for hole in the(product).holes]
    assert dates == sorted(dates)


@pytest.mark.parametrize("product", PRODUCTS)
def test_ranges_are_sorted_one_a_branch_and_end_after_they_begin(product: str) -> None:
    for hole in the(product).holes:
        firsts = [first for first, _ in hole.affected]
        assert firsts
        assert firsts == sorted(firsts, key=numbers), hole.id
        assert len({branch(first) for first in firsts}) == len(firsts), hole.id
        for first, mended in hole.affected:
            assert not mended or (branch(first) == branch(mended) and numbers(first) < numbers(mended)), hole.id


@pytest.mark.parametrize("product", PRODUCTS)
def test_branches_know_their_newest(product: str) -> None:
    known = the(product)
    for name, there in known.branches.items():
        assert branch(there.since) == branch(there.newest) == numbers(name)[:2]
        assert numbers(there.since) <= numbers(there.newest)
        assert there.ended is None or there.ended <= known.made
    for hole in known.holes:
        mends = [mended for _, mended in hole.affected if mended]
        newest = {branch(there.newest): numbers(there.newest) for there in known.branches.values()}
        assert product == "OpenSSL" or all(numbers(m) <= newest.get(branch(m), numbers(m)) for m in mends), hole.id


def test_what_a_table_calls_unused_no_rendered_configuration_uses() -> None:
    configurations = [path.read_text() for path in GOLDEN.glob("*/expected/haproxy.cfg")]
    unused = {hole.part for product in PRODUCTS for hole in the(product).holes if not hole.concerns}
    assert configurations
    assert unused >= set(WORDS)
    for part, words in WORDS.items():
        assert not [word for word in words for text in configurations if word in text], part


@pytest.mark.parametrize(
    ("version", "mended"),
    [
        ("2.8.0", "2.8.16"),
        ("2.8.15", "2.8.16"),
        ("2.8.16", None),
        ("2.8.17", None),
        ("2.7.9", None),
        ("2.9.0", ""),
        ("2.9.99", ""),
        ("3.0.4", None),
        ("3.0.5", "3.0.12"),
        ("3.0.12", None),
        ("3.10.0", None),
    ],
)
def test_a_version_in_a_range(version: str, mended: str | None) -> None:
    affected = (("2.8.0", "2.8.16"), ("2.9.0", ""), ("3.0.5", "3.0.12"))
    assert Hole("CVE-2099-1234", date(2026, 1, 1), "a part", True, "it lets it happen", affected).mended_in(version) == mended


def test_holes_of_real_versions() -> None:
    assert ids("HAProxy", "2.8.25") == set()
    assert {"CVE-2023-40225", "CVE-2024-53008", "CVE-2025-11230", "CVE-2026-55204"} <= ids("HAProxy", "2.8.1")
    assert ids("HAProxy", "3.2.25", concerning=True) == {"CVE-2026-110353", "CVE-2026-110354"}
    assert ids("HAProxy", "3.2.26") == set()
    assert {"CVE-2025-9230", "CVE-2025-15467", "CVE-2024-9143"} <= ids("OpenSSL", "3.0.15")
    assert ids("OpenSSL", "3.0.15", concerning=True) == {"CVE-2024-13176", "CVE-2026-35189", "CVE-2026-54872"}
    # It came with 3.0.16, and went with 3.0.18.
    assert [("CVE-2025-9232" in ids("OpenSSL", version)) for version in ("3.0.15", "3.0.16", "3.0.17", "3.0.18")] == [
        False,
        True,
        True,
        False,
    ]
    assert ids("OpenSSL", "3.6.5") == set()
    assert "CVE-2025-9231" not in ids("OpenSSL", "3.0.15")


def test_what_else_is_said_of_a_version() -> None:
    assert review("HAProxy", "2.8.25").remarks == ("older than 2.8.28, the newest of its branch that the table knows",)
    assert review("HAProxy", "3.2.26").remarks == ()
    assert review("HAProxy", "2.9.15").remarks == ("the table does not cover HAProxy 2.9",)
    assert review("OpenSSL", "3.0.15").remarks == (
        "older than 3.0.22, the newest of its branch that the table knows",
        "the branch 3.0 gets no free fixes from OpenSSL since 2026-09-07",
    )
    assert "holes that were mended before 3.0.15 are not in the table" in review("OpenSSL", "3.0.2").remarks
    assert review("OpenSSL", "1.1.1w").remarks == ("the table does not cover OpenSSL 1.1",)
    assert review("AWS-LC", "5.11.0").remarks == ("there is no table of holes for AWS-LC",)


def test_a_mended_version_that_is_only_sold() -> None:
    sold = {found.hole.id: found.sold for found in review("OpenSSL", "3.0.15").found}
    assert sold["CVE-2026-35189"]
    assert not sold["CVE-2024-13176"]
    assert not any(found.sold for found in review("OpenSSL", "3.5.0").found)


def test_the_embedded_one_is_warned_about_once_with_what_to_do() -> None:
    embedded = binary("embedded-haproxy-2.8.25", embedded=True)
    [warning] = warnings_about(embedded)
    assert (warning.where, warning.code) == ("/bin/haproxy", "haproxy.holes")
    assert "OpenSSL 3.0.15 has CVE-2024-13176, CVE-2026-35189 and CVE-2026-54872" in warning.message
    assert f"a table of {the('OpenSSL').made}" in warning.message
    assert "CVE-2025-9230" not in warning.message
    assert "preferred to the embedded one" in warning.hint
    [of_haproxy, of_openssl] = reviews(embedded)
    assert of_haproxy.found == ()
    assert "a newer HAProxy of this system is preferred when there is one" in of_openssl.remarks[-1]


def test_one_of_a_distribution_may_be_mended_under_its_number() -> None:
    system = binary("debian-13-haproxy-3.0.11")
    [warning] = warnings_about(system)
    assert "HAProxy 3.0.11 has CVE-2026-55204 and CVE-2026-110354" in warning.message
    assert (warning.code, warning.where) == ("haproxy.holes.by-number", "/bin/haproxy")
    assert "may have known holes" in warning.message
    assert "a distribution may have mended holes under the same number" in warning.message
    assert "3.0.11-1+deb13u5" in warning.hint
    [of_haproxy, of_openssl] = reviews(system)
    assert "a distribution may have mended holes under the same number" in of_haproxy.remarks[-1]
    # OpenSSL 3.6.5 has none.
    assert of_openssl.remarks == ()


def test_a_new_one_is_not_warned_about() -> None:
    assert warnings_about(binary("debian-sid-haproxy-3.2.26")) == []


def test_holes_in_unused_parts_are_no_warning() -> None:
    build = parse("HAProxy version 3.2.26 2026/10/14\nRunning on SSL library version : OpenSSL 3.5.9 29 Sep 2026\n")
    assert build is not None
    system = Binary(Path("/bin/haproxy"), (3, 2, 26), False, build)
    assert [found.hole.id for each in reviews(system) for found in each.found] == ["CVE-2026-121482"]
    assert warnings_about(system) == []


def test_one_whose_library_is_not_known() -> None:
    build = parse("HAProxy version 3.2.26\n")
    assert build is not None
    assert len(reviews(Binary(Path("/bin/haproxy"), (3, 2, 26), False, build))) == 1
