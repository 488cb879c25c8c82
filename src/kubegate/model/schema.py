"""The JSON Schema (draft 2020-12) of a declared file: for editors, for the reference page, and for what problems say."""

from datetime import timedelta
from functools import cache
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from kubegate.model.address import Endpoint
from kubegate.model.config import API_VERSION, Config
from kubegate.model.places import Loc
from kubegate.model.values import format_duration

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ID = f"https://{API_VERSION}/gate.schema.json"
# In Python both have defaults; a file says by them what it is.
ENVELOPE = ("apiVersion", "kind")
Schema = dict[str, Any]


class _Generator(GenerateJsonSchema):
    """Values as a file has them: no null, defaults as they are typed, no titles but those of the values."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, timedelta):
            return format_duration(dft)
        return str(dft) if isinstance(dft, Endpoint) else super().encode_default(dft)

    def field_title_should_be_set(self, schema: Any) -> bool:
        del schema
        return False


@cache
def json_schema() -> Schema:
    """The schema; not to be changed."""
    found = Config.model_json_schema(by_alias=True, schema_generator=_Generator)
    for model in (found, *found["$defs"].values()):
        model.pop("title", None)
        for described in model.get("properties", {}).values():
            _as_in_a_file(described)
    for key in ENVELOPE:
        found["properties"][key].pop("default")
    # A cluster of a file says where its API servers are; that of a command may mean the kubeconfig that kubectl finds.
    found["$defs"]["ClusterConfig"]["required"] = ["upstream"]
    required = [*ENVELOPE, *(key for key in found["required"] if key not in ENVELOPE)]
    return {"$schema": DIALECT, "$id": ID, "title": "kubegate: a declared gate", **found, "required": required}


def _as_in_a_file(described: Schema) -> None:
    """An empty value says nothing, and is refused: a key without a value is left out."""
    # What a mapping or list has by default is said where it is described.
    if described.get("default") is None or isinstance(described["default"], dict | list | tuple):
        described.pop("default", None)
    if described.get("type") == "array":
        described["minItems"] = 1
    for texts in (described, described.get("items", {})):
        if texts.get("type") == "string" and not {"enum", "const", "pattern"} & texts.keys():
            texts["minLength"] = 1


def described_at(loc: Loc) -> Schema:
    """The schema of the value at a place, references followed; empty if no value can stand there."""
    found: Schema = resolved(json_schema())
    for step in loc:
        found = found.get("items", {}) if isinstance(step, int) else found.get("properties", {}).get(step, {})
        found = resolved(found)
    return found


def resolved(schema: Schema) -> Schema:
    """A schema with its reference followed; what stands beside the reference counts first."""
    reference = schema.get("$ref")
    if reference is None:
        return schema
    named: Schema = json_schema()["$defs"][reference.rpartition("/")[2]]
    return named | {key: value for key, value in schema.items() if key != "$ref"}
