"""The CA and the list of a listener's client certificates: read, judged, every problem with its place."""

from datetime import timedelta
from pathlib import Path

import pytest

from kubegate.model.config import ClientCertificatesConfig
from kubegate.model.problem import InvalidInput
from kubegate.runtime.client_authorities import read
from tests.support.forge import forge

ROOT = forge("clients", ca=True, usages=None)
BETWEEN = forge("between", ROOT, ca=True, usages=None)


def declared(folder: Path, ca: bytes | None, revoked: bytes | None = b"") -> ClientCertificatesConfig:
    for name, content in (("ca.crt", ca), ("revoked", revoked)):
        if content is not None:
            (folder / name).write_bytes(content)
    return ClientCertificatesConfig(ca=folder / "ca.crt", revoked=folder / "revoked")


def at(*keys: str) -> str:
    return ".".join(("FILE:1: clientCertificates", *keys))


def test_it_is_read(tmp_path: Path) -> None:
    found, warnings = read(
        declared(tmp_path, ROOT.key_pem + BETWEEN.pem + ROOT.pem, f"{'b' * 64} 1 x\n{'A' * 64} 1 y\n".encode()), at
    )
    # A key that stands in the file goes no further.
    assert found.ca_pem == BETWEEN.pem + ROOT.pem
    assert found.revoked == ("A" * 64, "B" * 64)
    assert warnings == []


def test_a_ca_that_ends_soon(tmp_path: Path) -> None:
    soon = forge("clients", ca=True, usages=None, until=timedelta(days=3))
    _, [warning] = read(declared(tmp_path, soon.pem), at)
    assert warning.code == "clients.ca.expires"
    assert warning.hint


@pytest.mark.parametrize(
    ("ca", "revoked", "codes"),
    [
        (BETWEEN.pem, b"", ["clients.root"]),
        (forge("leaf").pem, b"", ["clients.root"]),
        (b"garbage", b"garbage\nmore\n", ["certificate.format", "revoked.line", "revoked.line"]),
        (None, None, ["file.unreadable", "file.unreadable"]),
        (forge("old", ca=True, since=timedelta(days=9), until=timedelta(days=-1)).pem, b"", ["certificate.expired"]),
        (ROOT.key_pem, b"", ["certificate.key"]),
    ],
)
def test_every_problem_with_its_place(tmp_path: Path, ca: bytes | None, revoked: bytes | None, codes: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(declared(tmp_path, ca, revoked), at)
    found = caught.value.problems
    assert [one.code for one in found] == codes
    assert all(one.where.startswith("FILE:1: clientCertificates.") for one in found)
    assert all(one.hint for one in found)
    assert "PRIVATE" not in str(caught.value)
