"""A small client of the API server for the cluster's own use; nothing of kubegate, which is what gets tested."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from tests.cluster.errors import ClusterError
from tests.cluster.pki import Leaf

T = TypeVar("T")


class ApiError(ClusterError):
    """The API server's refusal."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"The API server answered {status}: {text}")
        self.status = status


class Api:
    """One server, spoken to with one client certificate."""

    def __init__(self, url: str, *, ca: Path, client: Leaf) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 443
        self._context = ssl.create_default_context(cafile=ca)
        self._context.load_cert_chain(client.certificate, client.key)

    def text(self, method: str, path: str, body: object = None) -> str:
        connection = http.client.HTTPSConnection(self._host, self._port, timeout=30, context=self._context)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status >= 400:
            raise ApiError(answer.status, _message(text))
        return text

    def json(self, method: str, path: str, body: object = None) -> Any:
        return json.loads(self.text(method, path, body))

    def ready(self, path: str = "/readyz") -> bool:
        return attempt(lambda: self.text("GET", path)) is not None


def attempt(call: Callable[[], T]) -> T | None:
    """The answer, or nothing while the server does not answer or refuses: for waiting."""
    try:
        return call()
    except (ApiError, OSError, http.client.HTTPException):
        return None


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:500]
