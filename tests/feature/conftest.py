"""One honest API server and one gate in front of it for each module; a test keeps to paths of its own."""

from collections.abc import Iterator

import pytest

from tests.support.expose import Home, home
from tests.support.gate import Gate, plan
from tests.support.upstream import Upstream


@pytest.fixture
def person() -> Iterator[Home]:
    """Someone with an empty home."""
    with home() as folder:
        yield folder


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """An API server with a certificate as it should be."""
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def gate(upstream: Upstream) -> Iterator[Gate]:
    """A gate that opens TLS, in front of `upstream`, as it is rendered."""
    with Gate(plan(upstream.endpoint)) as gate:
        yield gate


@pytest.fixture(params=["h1", "h2"])
def version(request: pytest.FixtureRequest) -> str:
    """The HTTP version that the client speaks."""
    return str(request.param)
