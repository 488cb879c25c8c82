"""`kubegate proxy --explain`: which rule decides on a request, without serving anything."""

import sys

from kubegate.proxy.explain import explain as explained
from kubegate.runtime.local_settings import Settings


def explain(line: str, settings: Settings) -> int:
    """Print the explanation; the exit code is 0 for a request that may pass, and 1 for one that may not. Raises InvalidInput."""
    found = explained(settings.filters, line)
    sys.stdout.write(f"{found.text()}\n")
    return 0 if found.verdict.allowed else 1
