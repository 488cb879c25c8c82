"""What is said about values that the model does not take: sentences of our own for every kind of error that pydantic reports.

Values are shown only by those who know that they are short and no secret (`values`); here it is their kind that is told.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

from kubegate.model.names import closest, kind_of
from kubegate.model.places import Flaw, Loc
from kubegate.model.schema import described_at
from kubegate.model.values import BadValue

_TRUTH = "put it in quotes: plain yes, no, on, off, true and false are truth values in YAML"
# Texts that may look like a number or a truth value; all others have a form of their own.
_NAMES = {None, "name", "host name", "file"}
_Said = tuple[str, str, str]


def worded(error: ErrorDetails) -> Flaw:
    """One error of the model as a flaw."""
    loc: Loc = tuple(error["loc"])
    say = _WORDS.get(error["type"], _unknown_error)
    code, message, hint = say(loc, error["input"], error.get("ctx", {}))
    return Flaw(loc, code, message, hint or meaning(loc))


def missing(loc: Loc) -> Flaw:
    """The flaw that a key is not there."""
    described = described_at(loc)
    if "const" in described:
        return Flaw(loc, "missing", "is missing", f"write {loc[-1]}: {described['const']}")
    return Flaw(loc, "missing", "is missing", f"add {loc[-1]}: {meaning(loc)}")


def empty(loc: Loc, value: object) -> Flaw:
    """The flaw that a key has no value; what looks as if nothing were allowed would mean the default."""
    what = "is an empty list" if isinstance(value, list) else "has no value"
    if not isinstance(loc[-1], str):
        return Flaw(loc, "empty", what, "write a value behind the dash, or take the line out")
    is_required = loc[-1] in described_at(loc[:-1]).get("required", [])
    hint = "give it a value" if is_required else "leave the key out for its default, or give it a value"
    return Flaw(loc, "empty", what, f"{hint}: {meaning(loc)}".removesuffix(": "))


def not_a_mapping(value: object) -> Flaw:
    """The flaw of a file that has no keys at all."""
    keys = ", ".join(_keys(()))
    what = f"is {kind_of(value)}, and a declared gate is a mapping" if value else "is empty"
    return Flaw((), "type", what, f"its keys are {keys}")


def meaning(loc: Loc) -> str:
    """What the schema says about a place, as the end of a hint; of entries of a list what it says about the list."""
    text = str(described_at(loc).get("description", "")).removesuffix(".")
    if not text and loc and isinstance(loc[-1], int):
        return meaning(loc[:-1])
    if text[1:2].islower() and not text.startswith("kube"):
        text = text[0].lower() + text[1:]
    return text


def meant_keys(loc: Loc) -> list[Loc]:
    """What may have been meant by a key that is not known: one of the same mapping, else of those below, else of one above."""
    parent, key = loc[:-1], str(loc[-1])
    if found := closest(key, _keys(parent)):
        return [(*parent, found)]
    nested = [(*parent, one, below) for one in _keys(parent) if (below := closest(key, _keys((*parent, one))))]
    above = [parent[:depth] for depth in reversed(range(len(parent))) if key in _keys(parent[:depth])]
    return nested or [(*one, key) for one in above[:1]]


def _keys(loc: Loc) -> list[str]:
    """The keys that a mapping at this place may have."""
    return list(described_at(loc).get("properties", {}))


def _unknown_key(loc: Loc, value: object, context: Mapping[str, Any]) -> _Said:
    del value, context
    meant = meant_keys(loc)
    if not meant:
        return "unknown-key", "is no key that stands here", f"known here: {', '.join(_keys(loc[:-1]))}"
    # What stands here or deeper is named from here, what stands higher from the top.
    seen = [one[len(loc) - 1 :] if one[: len(loc) - 1] == loc[:-1] else one for one in meant]
    paths = [".".join("[]" if isinstance(step, int) else step for step in one).replace(".[]", "[]") for one in seen]
    return "unknown-key", "is no key that stands here", f"did you mean {' or '.join(paths)}?"


def _not_text(loc: Loc, value: object, context: Mapping[str, Any]) -> _Said:
    del context
    described = described_at(loc)
    hint = ""
    if isinstance(value, bool | int | float) and described.get("title") not in _NAMES:
        hint = f"write one as in {described['examples'][0]}"
    elif isinstance(value, bool):
        hint = _TRUTH
    elif isinstance(value, int | float):
        hint = "put it in quotes"
    elif isinstance(value, list) and described.get("type") == "string":
        hint = "write one value, without a dash or brackets"
    return "type", f"is {kind_of(value)}, text was expected", hint


def _not_a_list(loc: Loc, value: object, context: Mapping[str, Any]) -> _Said:
    del loc, context
    return "type", f"is {kind_of(value)}, a list was expected", "write each entry on a line of its own, behind a dash"


def _not_a_mapping(loc: Loc, value: object, context: Mapping[str, Any]) -> _Said:
    del context
    return "type", f"is {kind_of(value)}, a mapping was expected", f"its keys are {', '.join(_keys(loc))}"


def _not_whole(loc: Loc, value: object, context: Mapping[str, Any]) -> _Said:
    del context
    hint = "write it without quotes" if isinstance(value, str) and value.strip().isdecimal() else f"write {_bounds(loc)}"
    return "type", f"is {_kind_for_numbers(value)}, a whole number was expected", hint


def _out_of_bounds(loc: Loc, value: object, context: Mapping[str, Any]) -> _Said:
    del context
    return "value", f"is {value}, which is not {_bounds(loc)}", ""


def _not_truth(loc: Loc, value: object, context: Mapping[str, Any]) -> _Said:
    del loc, context
    return "type", f"is {kind_of(value)}, true or false was expected", "write true or false, without quotes"


def _not_of_these(loc: Loc, value: object, context: Mapping[str, Any]) -> _Said:
    del context
    described = described_at(loc)
    options = [str(one) for one in described.get("enum", [described.get("const")])]
    listed = " or ".join([", ".join(options[:-1]), options[-1]] if len(options) > 2 else options)
    if not isinstance(value, str):
        return "type", f"is {kind_of(value)}, {listed} was expected", f"write {listed}"
    found = closest(value, options)
    hint = f"did you mean {found}?" if found and "enum" in described else f"write {listed}"
    return "value", f"is not {listed}", hint


def _value_error(loc: Loc, value: object, context: Mapping[str, Any]) -> _Said:
    del loc, value
    error = context["error"]
    return "value", str(error), error.hint if isinstance(error, BadValue) else ""


def _missing(loc: Loc, value: object, context: Mapping[str, Any]) -> _Said:
    del value, context
    flaw = missing(loc)
    return flaw.code, flaw.message, flaw.hint


def _unknown_error(loc: Loc, value: object, context: Mapping[str, Any]) -> _Said:
    del loc, context
    return "value", f"is {kind_of(value)} that cannot be used here", ""


def _bounds(loc: Loc) -> str:
    described = described_at(loc)
    return f"a whole number from {described.get('minimum')} to {described.get('maximum')}"


def _kind_for_numbers(value: object) -> str:
    return "a number with a fraction or exponent" if isinstance(value, float) else kind_of(value)


# By the types of errors that the fields of `config` can have.
_WORDS: dict[str, Callable[[Loc, object, Mapping[str, Any]], _Said]] = {
    "extra_forbidden": _unknown_key,
    "missing": _missing,
    "string_type": _not_text,
    "path_type": _not_text,
    "tuple_type": _not_a_list,
    "model_type": _not_a_mapping,
    "int_type": _not_whole,
    "greater_than_equal": _out_of_bounds,
    "less_than_equal": _out_of_bounds,
    "bool_type": _not_truth,
    "enum": _not_of_these,
    "literal_error": _not_of_these,
    "value_error": _value_error,
}
