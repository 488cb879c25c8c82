"""Who can read and change what on the way from a client to an API server: hop by hop, and what a person in the middle gets.

Pure: what was declared, and what was seen, is given. Every sentence here is tried against a real interceptor by the tests.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum


class Loot(StrEnum):
    """What somebody with a self-signed certificate gets who takes the place of the end of a hop."""

    REQUESTS = "requests"
    TOKEN = "token"  # noqa: S105
    PASSWORD = "password"  # noqa: S105
    TOKENS_OF_ALL = "tokens of every caller"


class Login(StrEnum):
    """How this kubeconfig's user logs in. A plugin or provider gives a token, as a rule."""

    NOTHING = "nothing"
    TOKEN = "bearer token"  # noqa: S105
    PASSWORD = "user name and password"  # noqa: S105
    CERTIFICATE = "client certificate"
    PLUGIN = "what a credential plugin gives"
    PROVIDER = "what an auth provider gives"


@dataclass(frozen=True, slots=True)
class Anchor:
    """A certificate that is trusted, by its subject and the pin of its key."""

    subject: str
    pin: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A certificate that a server shows."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_after: datetime
    sha256: str
    self_signed: bool


@dataclass(frozen=True, slots=True)
class Verified:
    """By what the end of a hop is verified: these CAs (`system`: those of the machine), and this name."""

    name: str
    anchors: tuple[Anchor, ...] = ()
    system: bool = False


@dataclass(frozen=True, slots=True)
class Hop:
    """One connection on the way. `verified` is None where nobody verifies its end, `tls` says whether it is encrypted.

    `unknown` says why it cannot be told from here, `trouble` why the end does not prove itself at this moment. `loot` is what
    an interceptor gets, and `says` that in a sentence.
    """

    start: str
    end: str
    tls: bool = True
    verified: Verified | None = None
    where: str = ""
    shown: tuple[Shown, ...] = ()
    trouble: str = ""
    hint: str = ""
    unknown: str = ""
    loot: tuple[Loot, ...] = ()
    says: str = ""
    notes: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether its end is verified, and proves itself now."""
        return self.tls and self.verified is not None and not self.trouble and not self.unknown


@dataclass(frozen=True, slots=True)
class Custody:
    """The whole way of one context. `login` is what its user shows, `notes` what is to be known about the way as a whole."""

    context: str
    url: str
    login: Login
    hops: tuple[Hop, ...]
    notes: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether every hop is."""
        return all(hop.sound for hop in self.hops)


_GIVEN = {
    Login.TOKEN: (Loot.TOKEN, "the bearer token, with which they are this user until it expires"),
    Login.PASSWORD: (Loot.PASSWORD, "the user name and the password, with which they are this user until it is changed"),
    Login.PLUGIN: (
        Loot.TOKEN,
        "the token that the plugin gives, if it gives one, with which they are this user until it expires",
    ),
    Login.PROVIDER: (Loot.TOKEN, "the token that the provider gives, with which they are this user until it expires"),
}
_REFUSED = (
    "nothing: the handshake is refused before a request is sent, and kubectl says that the certificate is signed by an "
    "unknown authority"
)


def client_hop(hop: Hop, login: Login) -> Hop:
    """The hop that begins at the client, with what an interceptor on it gets."""
    if not hop.tls:
        says = (
            "every request and answer, and can change both: there is no TLS, so no certificate is needed. kubectl sends no "
            "credential without TLS; other clients may"
        )
        return _with(hop, (Loot.REQUESTS,), says)
    if hop.verified is not None:
        return _with(hop, (), _REFUSED)
    given = _GIVEN.get(login)
    if given is not None:
        loot, words = given
        return _with(hop, (Loot.REQUESTS, loot), f"every request, whose answers they can make up, and {words}")
    if login is Login.CERTIFICATE:
        says = (
            "every request, whose answers they can make up, but no credential: the key of the client certificate is never sent, "
            "so they cannot log in as this user"
        )
        return _with(hop, (Loot.REQUESTS,), says)
    return _with(hop, (Loot.REQUESTS,), "every request, whose answers they can make up; there is no credential to be had")


def gate_hop(hop: Hop) -> Hop:
    """The hop from a gate that opens TLS to the API servers, with what an interceptor on it gets."""
    if hop.unknown:
        return hop
    if not hop.tls:
        says = "every request and answer of every caller, and the tokens in them: there is no TLS, so no certificate is needed"
        return _with(hop, (Loot.REQUESTS, Loot.TOKENS_OF_ALL), says)
    if hop.verified is not None:
        return _with(
            hop, (), "nothing: the gate refuses the handshake, sends no request, and answers 503 if there is no other server"
        )
    says = "every request of every caller, whose answers they can make up, and each caller's token"
    return _with(hop, (Loot.REQUESTS, Loot.TOKENS_OF_ALL), says)


def _with(hop: Hop, loot: tuple[Loot, ...], says: str) -> Hop:
    return replace(hop, loot=loot, says=says)
