"""Every kubectl command through `expose`: by name and by address, on HTTP/1.1 and HTTP/2, with TLS opened and passed through."""

import pytest

from tests.e2e.commands import Commands
from tests.e2e.conftest import Client, ClientMaker

WAYS = [
    pytest.param((mode, host, http), id=f"{mode}-{'name' if host == 'localhost' else 'address'}-{http}")
    for mode in ("terminate", "passthrough")
    for host in ("localhost", "127.0.0.1")
    for http in ("h1", "h2")
]


@pytest.fixture(params=WAYS, scope="module")
def client(request: pytest.FixtureRequest, make_client: ClientMaker) -> Client:
    """kubectl as the developer, in every way there is."""
    mode, host, http = request.param
    return make_client(mode, "developer", host=host, http=http)


class TestCommands(Commands):
    """The list."""
