"""What HAProxy writes about servers that go up and down, as sentences: each piece of news once."""

import re
import time
from collections.abc import Callable

from kubegate.render.haproxy.backend import STREAMS

_NEWS = re.compile(
    r"Server (?P<backend>\S+)/(?P<server>\S+?)(?:_[0-9a-f]{8})? is (?P<state>UP|DOWN)"
    r"(?:/[^,]*)?(?:, reason: (?P<reason>[^,]*))?(?:, code: (?P<code>\d+))?(?:, (?:info|check): \"(?P<info>[^\"]*)\")?"
)
# A worker that begins tells of what is down, not of what is up: so what was said long ago may be news again.
_OLD_SECONDS = 60.0


class ServerNews:
    """Hears lines and says what is new in them."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        # When servers were said to be down, by section and address.
        self._down: dict[tuple[str, str], float] = {}

    def hear(self, line: str) -> None:
        """A line of HAProxy's output, whatever it is about."""
        match = _NEWS.search(line)
        # A cluster's backend of streams checks the same servers, and is not told beside the other one.
        if not match or match["backend"].endswith(STREAMS):
            return
        server = match["backend"], match["server"]
        since = self._down.pop(server, None)
        if match["state"] == "DOWN":
            # Old workers tell it, too.
            self._down[server] = self._clock()
            if since is None or since + _OLD_SECONDS < self._clock():
                details = [match["reason"], match["code"] and f"status {match['code']}", match["info"]]
                self._say(f"API server {match['server']} is down: {', '.join(detail for detail in details if detail)}")
        elif since is not None:
            # A new server that is up has not come back from anywhere.
            self._say(f"API server {match['server']} answers again")
