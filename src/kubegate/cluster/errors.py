"""What can go wrong between us and an API server, as sentences for people. No foreign exception leaves this package."""

from kubegate.errors import KubegateError


class ClusterError(KubegateError):
    """Any failure of a conversation with an API server."""


class Unresolvable(ClusterError):
    """A host name has no address."""


class Unreachable(ClusterError):
    """No usable answer: nothing listens, no answer in time, not TLS, not HTTP, not an API server."""


class TooLarge(Unreachable):
    """An answer is larger than anything that was asked for: a smaller question may have an answer."""


class Untrusted(ClusterError):
    """Something answers with TLS, but it does not prove that it is the API server. Nothing was sent to it."""


class Misnamed(Untrusted):
    """Its certificate is of the right CA and for others."""


class Refused(ClusterError):
    """The API server answered, and said no. `status` is its HTTP status code, `reason` its Status reason or empty."""

    def __init__(self, message: str, hint: str = "", *, status: int, reason: str = "") -> None:
        super().__init__(message, hint)
        self.status = status
        self.reason = reason


class PluginFailed(ClusterError):
    """An exec credential plugin gave no credential. Never carries what it wrote to its standard output."""


class ProviderFailed(ClusterError):
    """An identity provider gave no new token. `answered` says that it answered, and said no."""

    def __init__(self, message: str, hint: str = "", *, answered: bool = False) -> None:
        super().__init__(message, hint)
        self.answered = answered
