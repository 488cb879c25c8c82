"""Filters with some lists of their own, given as a flag gives them."""

from kubegate.model import filters
from kubegate.model.filters import Filters
from kubegate.model.patterns import Pattern
from kubegate.model.problem import InvalidInput
from kubegate.proxy.patterns import read_list


def with_lists(
    *,
    accept_hosts: str = filters.DEFAULT_ACCEPT_HOSTS,
    accept_paths: str = filters.DEFAULT_ACCEPT_PATHS,
    reject_paths: str = filters.DEFAULT_REJECT_PATHS,
    reject_methods: str = filters.DEFAULT_REJECT_METHODS,
) -> Filters:
    """The default filters, with these lists in the place of theirs. Raises InvalidInput where a flag would be refused."""
    return Filters(_list(accept_hosts), _list(accept_paths), _list(reject_paths), _list(reject_methods))


def _list(value: str) -> tuple[Pattern, ...]:
    patterns, problems = read_list("--list", [value])
    if problems:
        raise InvalidInput(problems)
    return patterns
