"""`python -m docs.generate` writes the tables of configuration.md and targets.md anew, from what the code says."""

from collections.abc import Iterator
from pathlib import Path

from kubegate.model.schema import Schema, json_schema, resolved
from kubegate.render.keys import ONLY_READ, Refusals
from kubegate.render.registry import TARGETS

PAGE = Path(__file__).with_name("configuration.md")
TARGETS_PAGE = Path(__file__).with_name("targets.md")
BEGIN = "<!-- From here on this page is written by `python -m docs.generate`. -->\n"


def generated(page: str) -> str:
    """The page with the tables that the schema says now; what stands before them is written by hand."""
    by_hand, begin, _ = page.partition(BEGIN)
    return by_hand + begin + "\n" + "\n".join(_section("", json_schema()))


def _section(path: str, schema: Schema) -> Iterator[str]:
    """A mapping: its heading, meaning and keys; then the mappings below it."""
    yield f"### `{path}`" if path else "### The file"
    yield f"\n{schema['description']}\n"
    yield "| key | type | default | meaning |"
    yield "| --- | --- | --- | --- |"
    nested = []
    for key, value in schema["properties"].items():
        described, below = resolved(value), f"{path}.{key}" if path else key
        default, meaning = _default_and_meaning(key, described, schema)
        yield f"| `{key}` | {_type(described, below)} | {default} | {meaning} |"
        if described["type"] == "array":
            value, below = described["items"], f"{below}[]"
        if "properties" in resolved(value):
            nested.append((below, resolved({"$ref": value["$ref"]})))
    yield ""
    for below, described in nested:
        yield from _section(below, described)


def _type(described: Schema, path: str) -> str:
    if "const" in described or "enum" in described:
        return " or ".join(f"`{option}`" for option in described.get("enum", [described.get("const")]))
    match described["type"]:
        case "array":
            return f"list: {_type(resolved(described['items']), path)}"
        case "object":
            # As headings become anchors: in small letters, without punctuation.
            return f"[mapping](#{path.lower().replace('.', '').replace('[]', '')})"
        case "integer":
            return f"{described['minimum']} to {described['maximum']}"
        case "boolean":
            return "`true` or `false`"
        case _:
            return str(described.get("title", "text"))


def _default_and_meaning(key: str, described: Schema, schema: Schema) -> tuple[str, str]:
    """The default is a value, or the end of the description says it in words."""
    meaning, _, told = described["description"].partition(" Default: ")
    if key in schema.get("required", []):
        return "required", meaning
    if "default" not in described:
        return told.removesuffix("."), meaning
    default = described["default"]
    return f"`{str(default).lower() if isinstance(default, bool) else default}`", meaning


def targets_generated(page: str) -> str:
    """The page of targets with the tables of keys that the code says now."""
    by_hand, begin, _ = page.partition(BEGIN)
    return by_hand + begin + "\n" + "\n".join([*_key_table(), "", *_reasons()]) + "\n"


def leaf_keys(schema: Schema | None = None, path: str = "") -> Iterator[str]:
    """Every key of the declared file that has a value of its own, as in `clusters[].limits.connections`."""
    for key, value in (schema or json_schema())["properties"].items():
        described, below = resolved(value), f"{path}.{key}" if path else key
        if described["type"] == "array":
            described, below = resolved(described["items"]), f"{below}[]"
        if "properties" in described:
            yield from leaf_keys(described, below)
        else:
            yield below.removesuffix("[]")


def _key_table() -> Iterator[str]:
    yield f"| key | {' | '.join(f'`{name}`' for name in TARGETS)} |"
    yield "| --- |" + " --- |" * len(TARGETS)
    for key in leaf_keys():
        yield f"| `{key}` | {' | '.join(_says(key, target.refused) for target in TARGETS.values())} |"


def _says(key: str, refused: Refusals) -> str:
    if _refusing(key, refused):
        return "refused"
    return "read" if key in ONLY_READ else "yes"


def _refusing(key: str, refused: Refusals) -> str:
    """The key by which a key is refused: itself, or the mapping that it is in; empty if it is not."""
    return next((one for one in refused if key == one or key.startswith(f"{one}.")), "")


def _reasons() -> Iterator[str]:
    yield "What is only read, and why:\n"
    yield from (f"* `{key}`: {why}" for key, why in ONLY_READ.items())
    for name, target in TARGETS.items():
        if target.refused:
            yield f"\nRefused for `{name}`, which ends with exit code 2 and the line of the key:\n"
            yield from (f"* `{key}`: {refusal.why}; {refusal.instead}" for key, refusal in target.refused.items())


if __name__ == "__main__":
    PAGE.write_text(generated(PAGE.read_text()))
    TARGETS_PAGE.write_text(targets_generated(TARGETS_PAGE.read_text()))
