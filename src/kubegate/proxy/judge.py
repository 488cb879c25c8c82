"""Every filter of the local proxy on one request, in the order of `kubectl proxy`, with the rule that decides.

The order (kubectl, `FilterServer.accept`): a pattern of --reject-paths refuses, one of --reject-methods does, and then one of
--accept-paths and one of --accept-hosts must fit. What knows resources comes after that.
"""

from dataclasses import dataclass

from kubegate.model import refusals
from kubegate.model.filters import Filters
from kubegate.model.patterns import Pattern
from kubegate.model.problem import InvalidInput, Problem
from kubegate.model.refusals import Refusal
from kubegate.model.request_path import BadPath, clean_path, decode_path
from kubegate.proxy import access, host
from kubegate.proxy.patterns import Compiled, as_go_reads, check_patterns

__all__ = ["Judge", "Verdict", "check_patterns"]

# RE2 takes up to 10 ns for an instruction and a byte (measured): this many is a tenth of a second for the worst path.
_STEPS = 10_000_000
# Together these are a fifth of a second.
_SHORTEST_LIMIT = 1024
_MOST_INSTRUCTIONS = 20_000

_Patterns = list[tuple[Pattern, Compiled]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may pass, the rule that decides in the words of the command line, a sentence, and the status if not."""

    allowed: bool
    rule: str
    message: str
    status: int


class Judge:
    """The filters, compiled. Raises InvalidInput, with every pattern that Go does not take, by flag, place and text."""

    def __init__(self, filters: Filters) -> None:
        self._filters = filters
        lists = {
            "--accept-hosts": filters.accept_hosts,
            "--accept-paths": filters.accept_paths,
            "--reject-paths": filters.reject_paths,
            "--reject-methods": filters.reject_methods,
        }
        problems = [problem for flag, texts in lists.items() for problem in check_patterns(flag, [one.text for one in texts])]
        if problems:
            raise InvalidInput(problems)
        self._accept_hosts, self._accept_paths, self._reject_paths, self._reject_methods = (
            [(pattern, Compiled(pattern.text)) for pattern in patterns] for patterns in lists.values()
        )
        everything = self._accept_hosts + self._accept_paths + self._reject_paths + self._reject_methods
        # Sequences are small whatever they say, and are never repeated.
        size = sum(compiled.size for pattern, compiled in everything if pattern.sequence is None)
        if size > _MOST_INSTRUCTIONS:
            message = f"the patterns are too large together ({size} of {_MOST_INSTRUCTIONS} instructions of RE2)"
            hint = "repeat less: {1,1000} is a thousand copies"
            raise InvalidInput([Problem(", ".join(lists), "pattern.large", message, hint)])
        self.longest = max(_SHORTEST_LIMIT, _STEPS // max(size, 1))

    def verdict(
        self, method: str, host: str, raw_path: bytes, query: bytes, *, upgrade: bool = False, body: bool = True
    ) -> Verdict:
        """The verdict on a request. `host` is its Host as it came, `raw_path` its path, also as it came, prefixes taken off.

        `upgrade`: it has an Upgrade header; `body`: it may have a body, which is all the proxy knows of bodies.
        """
        try:
            path = decode_path(raw_path)
            found = self._by_lists(method, host, path)
            if isinstance(found, str) and self._filters.guarded:
                found = access.refused(self._filters, method, raw_path, query, upgrade=upgrade, body=body) or found
        except BadPath:
            found = refusals.BAD_PATH
        if isinstance(found, Refusal):
            return Verdict(False, found.rule, found.message, found.status)
        return Verdict(True, found, "the request may pass", 200)

    def _by_lists(self, method: str, host_header: str, path: bytes) -> Refusal | str:
        """Why not, or the rules that accept."""
        if self._filters.disabled:
            return "--disable-filter"
        # Whoever merges slashes and resolves dots on the way must not get to see what the patterns did not.
        paths = tuple(as_go_reads(one) for one in dict.fromkeys((path, clean_path(path))))
        header = host_header.encode(errors="surrogateescape")
        if max(len(paths[0]), len(header), len(method)) > self.longest:
            return refusals.too_long(self.longest)
        # To kubectl's patterns the root is the empty text, for it takes its prefix, a slash, off.
        seen = tuple(b"" if one == b"/" else one for one in paths)
        if pattern := _first(self._reject_paths, *dict.fromkeys(paths + seen)):
            return refusals.rejected_path(pattern)
        if pattern := _first(self._reject_methods, method.encode(errors="surrogateescape")):
            return refusals.rejected_method(pattern)
        accepting = [_first(self._accept_paths, one) for one in seen]
        if accepting[0] is None or None in accepting:
            return refusals.NO_PATH
        accepted = _first(self._accept_hosts, *(as_go_reads(one) for one in host.forms(header)))
        if accepted is None:
            return refusals.NO_HOST
        return f"--accept-paths {accepting[0].text}, --accept-hosts {accepted.text}"


def _first(patterns: _Patterns, *texts: bytes) -> Pattern | None:
    """The first pattern that fits one of the texts."""
    return next((pattern for pattern, compiled in patterns if any(compiled.search(text) for text in texts)), None)
