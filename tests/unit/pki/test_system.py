from pathlib import Path

from kubegate.pki.system import system_ca_file


def test_the_environment_decides(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    assert system_ca_file({"SSL_CERT_FILE": str(bundle)}) is None
    bundle.write_text("")
    assert system_ca_file({"SSL_CERT_FILE": str(bundle)}) == bundle


def test_without_it_a_known_place_counts() -> None:
    found = system_ca_file({})
    assert found is None or found.is_file()
    assert system_ca_file({"SSL_CERT_FILE": ""}) == found
