"""The declared file of `kubegate run`: bytes to a Config and its places, or every problem at once. Opens no file.

Where a value is wrong it is taken out, so that all else can still be looked at; what would only follow from it is not told.
"""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kubegate.model import wording
from kubegate.model.checks import flaws_of
from kubegate.model.config import Config
from kubegate.model.document import Document, read_document
from kubegate.model.places import Flaw, Loc, Places
from kubegate.model.problem import InvalidInput
from kubegate.model.schema import ENVELOPE
from kubegate.model.values import BASE_FOLDER

# Taking a wrong value out can show another one, such as an object that misses it now.
_MOST_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a file declares, and where it says what."""

    config: Config
    places: Places


def read_declaration(content: bytes, shown: str, folder: Path) -> Declaration:
    """Read a file that is shown as `shown`; relative file names in it start at `folder`.

    Raises InvalidInput with every problem, in the order of their lines.
    """
    document = read_document(content, shown)
    if not isinstance(document.value, dict) or not document.value:
        raise InvalidInput([wording.not_a_mapping(document.value).problem(document.places)])
    flaws = [*document.flaws, *_missing_envelope(document.value), *_empties(document.value, ())]
    config, found = _validated(document, folder, {flaw.loc for flaw in flaws})
    flaws += found
    if config is not None:
        wrong = _wrong(flaws)
        above = {one[:length] for one in wrong for length in range(len(one))}
        flaws += [flaw for flaw in flaws_of(config) if not _is_moot(flaw, wrong, above)]
    if flaws or config is None:
        flaws.sort(key=lambda flaw: flaw.line_in(document.places))
        raise InvalidInput(flaw.problem(document.places) for flaw in flaws)
    return Declaration(config, document.places)


def _missing_envelope(value: dict[str, Any]) -> list[Flaw]:
    return [wording.missing((key,)) for key in ENVELOPE if key not in value]


def _empties(value: object, loc: Loc) -> list[Flaw]:
    """Keys and list entries without a value: whoever wrote `allow: []` did not mean everybody."""
    if value is None or value == "" or (isinstance(value, list) and not value):
        return [wording.empty(loc, value)]
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [flaw for step, below in entries for flaw in _empties(below, (*loc, step))]


def _validated(document: Document, folder: Path, told: set[Loc]) -> tuple[Config | None, list[Flaw]]:
    """A Config of what can be used, and what cannot; None if nothing can. What is `told` already is left out."""
    value: Any = copy.deepcopy(document.value) if told else document.value
    for loc in told:
        _take_out(value, loc)
    flaws: list[Flaw] = []
    for _ in range(_MOST_ROUNDS):
        try:
            return Config.model_validate(value, context={BASE_FOLDER: folder}, by_alias=True, by_name=False), flaws
        except ValidationError as error:
            # A list counts as too short, too, when one of its entries is wrong.
            errors = [one for one in error.errors(include_url=False) if one["type"] != "too_short"]
        if value is document.value:
            value = copy.deepcopy(value)
        known = told | {flaw.loc for flaw in flaws}
        for one in errors:
            at: Loc = tuple(one["loc"])
            _take_out(value, at[:-1] if one["type"] == "missing" else at)
            if not any(other[: len(at)] == at for other in known):
                flaws.append(wording.worded(one))
    return None, flaws


def _take_out(value: dict[str, Any], loc: Loc) -> None:
    """Take a wrong value out of its mapping. Positions stay: of a list all goes, but clusters and listeners become empty ones."""
    here: Any = value
    holder, key = value, ""
    for depth, step in enumerate(loc):
        if isinstance(here, dict) and isinstance(step, str) and step in here:
            holder, key = here, step
        elif not (isinstance(here, list) and isinstance(step, int) and step < len(here)):
            return
        elif loc[0] in ("clusters", "listeners") and depth == 1 and len(loc) == 2:
            here[step] = {}
            return
        here = here[step]
    holder.pop(key, None)
    if not value.get("clusters"):
        value["clusters"] = [{}]


def _wrong(flaws: list[Flaw]) -> set[Loc]:
    """The places of what is wrong, and of what was meant by keys that are not known."""
    meant = [one for flaw in flaws if flaw.code == "unknown-key" for one in wording.meant_keys(flaw.loc)]
    return {*(flaw.loc for flaw in flaws), *meant}


def _is_moot(flaw: Flaw, wrong: set[Loc], above: set[Loc]) -> bool:
    """Whether something that a flaw was concluded from is wrong: it, something below it, or above it."""
    return any(
        one in above or any(one[:length] in wrong for length in range(len(one) + 1)) for one in flaw.rests_on or (flaw.loc,)
    )
