"""The one error of the test cluster: a sentence that a person can act on."""

from __future__ import annotations


class ClusterError(Exception):
    """Says in one sentence what went wrong and, where possible, what to do about it."""
