"""Why a request is refused: the rule that decides, by the flag that gave it, and one sentence for who asked."""

from dataclasses import dataclass

from kubegate.model.patterns import Pattern


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rule in the words of the command line, a sentence, and the status of the answer (400 or 403)."""

    rule: str
    message: str
    status: int = 403


BAD_PATH = Refusal("path", "the path cannot be decoded: a percent sign is not followed by two hexadecimal digits", 400)
NO_PATH = Refusal("--accept-paths", "no pattern of --accept-paths fits this path")
NO_HOST = Refusal("--accept-hosts", "no pattern of --accept-hosts fits the host that this request names")


def rejected_path(pattern: Pattern) -> Refusal:
    """A pattern of --reject-paths fits."""
    return Refusal(f"--reject-paths {pattern.text}", f"the pattern {pattern.text} of --reject-paths fits this path")


def rejected_method(pattern: Pattern) -> Refusal:
    """A pattern of --reject-methods fits."""
    return Refusal(f"--reject-methods {pattern.text}", f"the pattern {pattern.text} of --reject-methods fits this method")


def too_long(limit: int) -> Refusal:
    """Path, host or method are longer than the patterns can be looked for in good time."""
    return Refusal(
        "length", f"more than {limit} bytes of a path, host or method are too many for patterns as large as these", 400
    )
