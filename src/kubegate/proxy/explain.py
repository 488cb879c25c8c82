"""What the filters say about one request line, for a person: the verdict, the rule that decides, what the request is about."""

import contextlib
import json
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from kubegate.model.filters import Filters
from kubegate.model.problem import InvalidInput, Problem
from kubegate.model.request_info import RequestInfo, read_request
from kubegate.model.request_path import BadPath
from kubegate.proxy.judge import Judge, Verdict

FLAG = "--explain"
DEFAULT_HOST = "localhost"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A request line taken apart, what the API server would take it for (None if its path cannot be decoded), and the verdict."""

    method: str
    host: str
    path: str
    query: str
    request: RequestInfo | None
    verdict: Verdict

    def text(self) -> str:
        """Some lines for a terminal."""
        said = "passes" if self.verdict.allowed else f"is refused with {self.verdict.status}: {self.verdict.message}"
        lines = [
            f"{self.method} {self.path}{'?' + self.query if self.query else ''} (Host: {self.host}) {said}",
            f"  rule     {self.verdict.rule}",
        ]
        if self.request is not None:
            kind = "" if self.request.is_resource else ", a path that is no resource"
            lines.append(f"  request  {self.request}{kind}")
        return "\n".join(lines).encode(errors="backslashreplace").decode()

    def as_json(self) -> str:
        """The same as one JSON object in one line."""
        return json.dumps(asdict(self), separators=(",", ":"))


def explain(filters: Filters, line: str) -> Explanation:
    """The explanation of `GET /api/v1/pods?watch=1`; a whole URL names the host, which is localhost else.

    The path is the one behind the proxy's own prefixes. An upgrade is assumed where `Upgrade` is the third word, a body never.
    Raises InvalidInput if it is no request line, or if Go does not take a pattern.
    """
    method, target, *rest = [*line.split(), "", ""][: max(2, len(line.split()))]
    if not method or not target or rest not in ([], ["Upgrade"]):
        hint = f"write a method and a path, as in {FLAG} 'GET /api/v1/pods'"
        raise InvalidInput([Problem(FLAG, "explain.form", f"{line!r} is not a request line", hint)])
    host = DEFAULT_HOST
    if target.startswith(("http://", "https://")):
        host, target = _absolute(target)
    elif not target.startswith("/"):
        raise InvalidInput(
            [Problem(FLAG, "explain.path", f"the path {target!r} does not begin with a slash", "write it in full")]
        )
    path, _, query = target.partition("?")
    raw_path, raw_query = (one.encode(errors="surrogateescape") for one in (path, query))
    verdict = Judge(filters).verdict(method, host, raw_path, raw_query, upgrade=bool(rest), body=False)
    try:
        request = read_request(method, raw_path, raw_query)
    except BadPath:
        request = None
    return Explanation(method, host, path, query, request, verdict)


def _absolute(target: str) -> tuple[str, str]:
    """Host and path of a whole URL. Raises InvalidInput."""
    with contextlib.suppress(ValueError):
        if host := urlsplit(target).netloc:
            return host, target[target.index(host) + len(host) :] or "/"
    raise InvalidInput([Problem(FLAG, "explain.url", f"{target!r} is not a URL", "write it as http://localhost:8001/api")])
