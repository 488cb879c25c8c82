"""API servers that tell who the members of their cluster are, as a real one does with the EndpointSlices of `kubernetes`."""

import json
from collections.abc import Callable
from typing import Any

from tests.support.upstream import Exchange, Upstream

SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
TOKEN = "token-of-the-gate"


class Member(Upstream):
    """An API server that names the members of its cluster to whoever has the token."""

    def __init__(self, **more: Any) -> None:
        self.members: list[Upstream] = [self]
        self.token = TOKEN
        self.answer: Callable[[Exchange], None] = self.tell
        super().__init__(**more)
        self.at(SLICES, lambda exchange: self.answer(exchange))

    def tell(self, exchange: Exchange) -> None:
        """The answer that names the members."""
        if exchange.request.values("authorization") != [f"Bearer {self.token}"]:
            status(401)(exchange)
            return
        items = [
            {
                "addressType": "IPv4",
                "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
                "ports": [{"name": "https", "port": member.port, "protocol": "TCP"}],
            }
            for member in self.members
        ]
        says({"kind": "EndpointSliceList", "apiVersion": "discovery.k8s.io/v1", "items": items})(exchange)

    def asked(self) -> list[str]:
        """The credentials with which it was asked for its members, in order."""
        return [value for request in self.seen(SLICES) for value in request.values("authorization")]


def says(body: object) -> Callable[[Exchange], None]:
    """An answer in JSON."""
    return lambda exchange: exchange.reply(200, "Content-Type: application/json", body=json.dumps(body).encode())


def status(code: int) -> Callable[[Exchange], None]:
    """An answer that says no."""
    body = json.dumps({"kind": "Status", "status": "Failure", "message": f"said {code}", "code": code}).encode()
    return lambda exchange: exchange.reply(code, "Content-Type: application/json", body=body)


def silent(exchange: Exchange) -> None:
    """No answer, until whoever asked has left."""
    while exchange.receive():
        pass
    exchange.leave()
