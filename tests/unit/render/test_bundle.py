"""A bundle's digest: the same for the same files, another for any others."""

from kubegate.render.bundle import Bundle


def test_the_order_of_files_does_not_matter() -> None:
    assert Bundle({"a": b"1", "b": b"2"}).digest == Bundle({"b": b"2", "a": b"1"}).digest


def test_every_difference_matters() -> None:
    single = [{name: content} for name in ("a", "b", "ab") for content in (b"", b"1", b"b", b"1b:0:", b"1:b:0:")]
    bundles = [{}, *single, {"a": b"1", "b": b""}, {"a": b"", "b": b"1"}]
    assert len({Bundle(files).digest for files in bundles}) == len(bundles)


def test_contents_are_not_shown() -> None:
    assert "secret" not in repr(Bundle({"key.pem": b"secret"}))
