"""How a target that is made of objects of Kubernetes expresses each key of a declaration; what it cannot is refused by name."""

from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from kubegate.model.gatefile import Declaration
from kubegate.model.places import Loc
from kubegate.model.problem import Problem
from kubegate.render.keys import Refusal, key_of

Table = Mapping[str, str | Refusal]
"""By names of keys: how each is expressed, in words, or why it is not. One entry stands for all keys below it that have none."""


# A key that is newer than a target: dropped in silence, it might be the one that says who may come.
_UNKNOWN = Refusal("it is not known there yet", "leave it out")


def refused_keys(target: str, declared: Declaration, table: Table) -> list[Problem]:
    """A problem for each key that was written and that the target cannot express, also where it says what is the default.

    For the target has defaults of its own.
    """
    found: dict[Loc, Problem] = {}
    for loc in _written(declared.config):
        at, entry = _entry(loc, table)
        if isinstance(entry, Refusal):
            message = f"{target} cannot express this: {entry.why}"
            found.setdefault(at, Problem(declared.places.at(*at), "target.key", message, entry.instead))
    return list(found.values())


def _entry(loc: Loc, table: Table) -> tuple[Loc, str | Refusal]:
    for length in range(len(loc), 0, -1):
        entry = table.get(key_of(loc[:length]))
        if entry is not None:
            return loc[:length], entry
    return loc, _UNKNOWN


def _written(model: BaseModel, loc: Loc = ()) -> Iterator[Loc]:
    """The places of all keys that were written and have no keys below them."""
    for name, described in type(model).model_fields.items():
        if name not in model.model_fields_set:
            continue
        value, at = getattr(model, name), (*loc, described.serialization_alias or name)
        entries = value if isinstance(value, tuple) else ()
        models = [(number, one) for number, one in enumerate(entries) if isinstance(one, BaseModel)]
        if isinstance(value, BaseModel):
            yield from _written(value, at)
        elif models:
            for number, one in models:
                yield from _written(one, (*at, number))
        else:
            yield at
