"""The root of every error that kubegate raises on purpose; subclasses live beside the code that raises them."""


class KubegateError(Exception):
    """A failure that a person can act on: what is wrong, and what to do about it. Never carries a secret."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
