"""Verdicts that HAProxy keeps: which there are, within a bound, and how one is written."""

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable

from kubegate.proxy.judge import Verdict

Remember = Callable[[str, str], Awaitable[None]]
Forget = Callable[[], Awaitable[None]]

# A look-up does not get slower with more of them; this is some megabytes in HAProxy.
MOST = 5000
_SECONDS = 1.0


def key_of(question: bytes) -> str:
    """The key in the map: HAProxy's `sha2(256),hex` of the question as it was put."""
    return hashlib.sha256(question).hexdigest().upper()


def value_of(verdict: Verdict) -> str:
    """The value in the map, one line of ASCII: `allow`, or the status and the message as JSON has it."""
    return "allow" if verdict.allowed else f"{verdict.status} {json.dumps(verdict.message)}"


class VerdictMemo:
    """What was put into the map. A question about what is in it says that HAProxy, or an old worker of it, has lost that."""

    def __init__(self, remember: Remember, forget: Forget, say: Callable[[str], None]) -> None:
        """`remember` puts a key and its value into the map, `forget` empties it; `say` hears when that fails."""
        self._remember = remember
        self._forget = forget
        self._say = say
        self._put: dict[str, float] = {}
        self._count = 0
        self._turn = asyncio.Lock()
        self._failed: float | None = None

    def clear(self) -> None:
        """The map is empty: HAProxy was started or reloaded, or the filters are others."""
        self._put.clear()
        self._count = 0

    async def keep(self, key: str, value: str) -> None:
        """Put a verdict into the map; a failure costs only that it will be asked for again."""
        async with self._turn:
            now = time.monotonic()
            last = max(self._put.get(key, -_SECONDS), -_SECONDS if self._failed is None else self._failed)
            if now - last < _SECONDS:
                return
            try:
                async with asyncio.timeout(_SECONDS):
                    await self._keep(key, value)
            except (OSError, TimeoutError) as error:
                if self._failed is None:
                    why = str(error) or "no answer"
                    self._say(f"verdicts cannot be remembered ({why}): requests that need one are slower meanwhile")
                self._failed = time.monotonic()
            else:
                self._failed = None

    async def _keep(self, key: str, value: str) -> None:
        if self._count >= MOST:
            # All of them at once: to take single entries out takes as long as the map is large.
            await self._forget()
            self.clear()
        await self._remember(key, value)
        self._put[key] = time.monotonic()
        self._count += 1
