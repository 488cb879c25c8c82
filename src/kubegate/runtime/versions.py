"""Which programs and libraries a gate would run with here, and what is known to be wrong with them."""

import platform
import ssl
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kubegate import __version__
from kubegate.model.problem import Problem
from kubegate.runtime.binary import Binary, find
from kubegate.runtime.findings import Findings
from kubegate.runtime.holes import Review, reviews, warnings_about


@dataclass(frozen=True, slots=True)
class Versions:
    """What would run. `haproxy` is None where there is none that can be used; `warnings` then says why."""

    haproxy: Binary | None
    reviews: tuple[Review, ...]
    warnings: tuple[Problem, ...]
    kubegate: str = __version__
    python: str = platform.python_version()
    python_program: str = sys.executable
    python_tls: str = ssl.OPENSSL_VERSION

    def facts(self) -> dict[str, Any]:
        """All of it for scripts."""
        return {
            "kubegate": self.kubegate,
            "haproxy": None if self.haproxy is None else _haproxy(self.haproxy),
            "python": {"version": self.python, "program": self.python_program, "tls": self.python_tls},
            "reviews": [_review(review) for review in self.reviews],
            "warnings": [asdict(warning) for warning in self.warnings],
        }


def gather(named: Path | None = None) -> Versions:
    """What would run, with `named` as HAProxy if it is given. Raises InvalidInput if that one cannot be used."""
    findings, haproxy = Findings([]), None
    with findings.also(f"--haproxy {named}" if named else "HAProxy", "haproxy"):
        haproxy = find(named)
    if named:
        findings.raise_if_any()
    if haproxy is None:
        return Versions(None, (), tuple(findings.problems))
    return Versions(haproxy, reviews(haproxy), tuple(warnings_about(haproxy)))


def _haproxy(binary: Binary) -> dict[str, Any]:
    build = binary.build
    return {
        "path": str(binary.path),
        "embedded": binary.embedded,
        "version": ".".join(map(str, binary.version)),
        "full_version": build.version,
        "released": build.released and build.released.isoformat(),
        "branch": build.branch,
        "long_term": build.long_term,
        "fixes_until": build.fixes_until,
        "status": build.status,
        "known_bugs": build.known_bugs,
        "tls": build.tls and {"library": build.tls.name, "version": build.tls.version, "words": build.tls.words},
        "built_with_tls": build.built_with and build.built_with.words,
    }


def _review(review: Review) -> dict[str, Any]:
    holes = [
        {
            "id": found.hole.id,
            "published": found.hole.published.isoformat(),
            "part": found.hole.part,
            "concerns": found.hole.concerns,
            "says": found.hole.says,
            "mended_in": found.mended or None,
            "only_sold": found.sold,
        }
        for found in review.found
    ]
    table = review.made and review.made.isoformat()
    return {"product": review.product, "version": review.version, "table": table, "holes": holes, "remarks": list(review.remarks)}
