"""An OpenID Connect provider of tests: discovery and the grant refresh_token, over TLS, recording what it is asked."""

import base64
import json
import time
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

from tests.support.upstream import Exchange, Upstream

CLIENT, SECRET = "kube", "very-secret-client"


def id_token(subject: str, seconds: float = 3600) -> str:
    """A JSON Web Token that ends in so many seconds; nobody here looks at its signature."""
    parts = ({"alg": "RS256"}, {"sub": subject, "exp": int(time.time() + seconds)})
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return f"{texts[0]}.{texts[1]}.c2lnbmF0dXJl"


class IdentityProvider:
    """Grants `answer` for the refresh token `accepted`. `header` and `form` say where a client may put its secret."""

    def __init__(self, *, header: bool = True, form: bool = True) -> None:
        self.header, self.form = header, form
        self.accepted = "refresh-1"
        self.answer: dict[str, Any] = {"id_token": id_token("renewed"), "token_type": "Bearer", "access_token": "x"}
        self.forms: list[dict[str, str]] = []
        self.discovery: dict[str, Any] | None = None
        self._server = Upstream()
        self._server.at("/realm/.well-known/openid-configuration", self._discover)
        self._server.at("/token", self._grant)

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def issuer(self) -> str:
        return f"https://127.0.0.1:{self._server.port}/realm"

    def _discover(self, exchange: Exchange) -> None:
        found = {"token_endpoint": f"https://127.0.0.1:{self._server.port}/token"} if self.discovery is None else self.discovery
        exchange.reply(200, "Content-Type: application/json", body=json.dumps(found).encode())

    def _grant(self, exchange: Exchange) -> None:
        form = {key: values[0] for key, values in parse_qs(exchange.body().decode()).items()}
        self.forms.append(form)
        basic = f"Basic {base64.b64encode(f'{CLIENT}:{SECRET}'.encode()).decode()}"
        proven = (self.header and exchange.request.values("authorization") == [basic]) or (
            self.form and (form.get("client_id"), form.get("client_secret")) == (CLIENT, SECRET)
        )
        if not proven:
            exchange.reply(401, "Content-Type: application/json", body=b'{"error": "invalid_client"}')
        elif form.get("grant_type") != "refresh_token" or form.get("refresh_token") != self.accepted:
            exchange.reply(400, "Content-Type: application/json", body=b'{"error": "invalid_grant"}')
        else:
            exchange.reply(200, "Content-Type: application/json", body=json.dumps(self.answer).encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.close()
