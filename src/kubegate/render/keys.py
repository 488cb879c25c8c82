"""Which keys of a declaration a target cannot express: each is a Problem with its place, never silently left out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from kubegate.model.config import Config
from kubegate.model.places import Loc, Places
from kubegate.model.problem import Problem


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a target cannot express a key, as the end of a sentence that begins with the target, and what to do instead."""

    why: str
    instead: str


Refusals = Mapping[str, Refusal]
"""By the names of keys, as `key_of` writes them."""

# Keys that say where something is found, or what is for others: not they, but what they lead to is in a plan.
ONLY_READ: Mapping[str, str] = {
    "apiVersion": "says how the file is read",
    "kind": "says how the file is read",
    "clusters[].upstream.kubeconfig": "the API server and the CA that it names are rendered",
    "clusters[].upstream.context": "the API server and the CA that it names are rendered",
    "clusters[].certificate.ca": "goes into client kubeconfigs, not to an engine",
}


def key_of(loc: Loc) -> str:
    """The name of a key wherever it stands, as in `clusters[].limits.connections`."""
    name = ""
    for step in loc:
        name += "[]" if isinstance(step, int) else f".{step}" if name else step
    return name


def declared(model: BaseModel, loc: Loc = ()) -> Iterator[Loc]:
    """The place of every key that says something else than its default, those of mappings before what is in them."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if name not in model.model_fields_set or value == field.get_default(call_default_factory=True):
            continue
        at: Loc = (*loc, field.serialization_alias or name)
        yield at
        if isinstance(value, BaseModel):
            yield from declared(value, at)
        elif isinstance(value, tuple):
            for number, one in enumerate(value):
                if isinstance(one, BaseModel):
                    yield from declared(one, (*at, number))


def refused(target: str, config: Config, places: Places, refusals: Refusals) -> list[Problem]:
    """A problem for each declared key that a target cannot express."""
    return [
        Problem(places.at(*loc), "target.key", f"{target} cannot express this: {refusal.why}", refusal.instead)
        for loc in declared(config)
        if (refusal := refusals.get(key_of(loc)))
    ]
