"""Objects of Kubernetes as expected to the byte (see `objects_cases`)."""

import pytest

from tests.golden.objects_cases import NAMES, expected, files


@pytest.mark.parametrize("target", NAMES)
def test_files_are_as_expected(target: str) -> None:
    assert {name: content.decode() for name, content in files(target).items()} == {
        name: content.decode() for name, content in expected(target).items()
    }
