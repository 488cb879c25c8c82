"""The JSON Schema: it takes what the loader takes, and refuses what it can know to be wrong."""

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from kubegate.model.problem import InvalidInput
from kubegate.model.schema import DIALECT, Schema, described_at, json_schema
from tests.unit.model.declared import ONE, UPSTREAM, gate, problems, read
from tests.unit.model.mutations import FULL, mutated
from tests.unit.model.test_checks import GOOD as GOOD_GATES
from tests.unit.model.test_cluster_checks import GOOD as GOOD_CLUSTERS

VALIDATOR = Draft202012Validator(json_schema())


def refused(text: str) -> bool:
    """Whether the schema refuses a file."""
    return not VALIDATOR.is_valid(yaml.safe_load(text))


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(json_schema())
    assert json_schema()["$schema"] == DIALECT
    assert json_schema()["$id"].startswith("https://")
    assert json_schema()["title"]
    assert json_schema()["required"] == ["apiVersion", "kind", "clusters"]


def objects(schema: Any) -> list[Schema]:
    """Every mapping that a schema describes."""
    nested = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    own = [schema] if isinstance(schema, dict) and "properties" in schema and "type" in schema else []
    return own + [one for value in nested for one in objects(value)]


def test_every_mapping_is_closed_and_every_key_is_described() -> None:
    found = objects(json_schema())
    assert len(found) == 12
    for mapping in found:
        assert mapping["additionalProperties"] is False
        for key, value in mapping["properties"].items():
            assert key.isalpha()
            assert key[0].islower()
            described = described_at((key,)) if mapping is json_schema() else value
            assert described.get("description") or "$ref" in value


def test_defaults_are_written_as_in_a_file() -> None:
    cluster = ("clusters", 0)
    assert described_at((*cluster, "timeouts", "connect"))["default"] == "10s"
    assert described_at((*cluster, "timeouts", "stream"))["default"] == "7d"
    assert described_at(("listeners", 0, "address"))["default"] == "127.0.0.1:6443"
    assert described_at((*cluster, "mode"))["default"] == "terminate"
    assert described_at((*cluster, "upstream", "discover"))["default"] is False
    assert described_at((*cluster, "nothing", "here")) == {}
    for mapping in objects(json_schema()):
        for value in mapping["properties"].values():
            assert VALIDATOR.evolve(schema={**value, "$defs": json_schema()["$defs"]}).is_valid(value.get("default", None)) or (
                "default" not in value
            )


@pytest.mark.parametrize("text", [ONE, FULL, *GOOD_GATES.values(), *map(gate, GOOD_CLUSTERS.values())])
def test_it_takes_what_the_loader_takes(text: str) -> None:
    assert read(text)
    assert not refused(text)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        ONE.replace("apiVersion: kubegate.dev/v1alpha1\n", ""),
        ONE.replace("kind: Gate\n", ""),
        ONE.replace("v1alpha1", "v2"),
        ONE.replace("Gate", "gate"),
        ONE.replace(UPSTREAM, ""),
        ONE.replace("prod", "Prod"),
        ONE.replace("prod", "12"),
        f"{ONE}access_log: x\n",
        f"{ONE}accessLog: ''\n",
        f"{ONE}accessLog:\n",
        f"{ONE}listeners: []\n",
        f"{ONE}listeners: [{{address: 6443}}]\n",
        f"{ONE}listeners: [{{proxyProtocol: {{}}}}]\n",
        f"{ONE}listeners: [{{proxyProtocol: {{senders: [10.0.0.0/8]}}}}]\n",
        f"{ONE}metrics: {{}}\n",
        f"{ONE}dataPlane: {{threads: 0}}\n",
        f"{ONE}dataPlane: {{threads: '1'}}\n",
        f"{ONE}dataPlane: {{drain: 10}}\n",
        f"{ONE}dataPlane: {{drain: 10 s}}\n",
        f"{ONE}dataPlane: {{drain: ''}}\n",
        f"{ONE}  allow: []\n",
        f"{ONE}  allow: [1]\n",
        f"{ONE}  mode: open\n",
        f"{ONE}  hosts: ['*.example.com']\n",
        f"{ONE}  hosts: example.com\n",
        f"{ONE}  certificate: {{cert: x}}\n",
        f"{ONE}  certificate: {{cert: , key: x}}\n",
        f"{ONE}  limits: {{connections: 1.5}}\n",
    ],
)
def test_it_refuses_what_the_loader_refuses(text: str) -> None:
    assert problems(text)
    assert refused(text)


@settings(deadline=None)
@given(mutated())
def test_whatever_the_loader_takes_it_takes(value: object) -> None:
    text = yaml.dump(value, Dumper=yaml.CSafeDumper, sort_keys=False)
    try:
        read(text)
    except InvalidInput:
        return
    assert VALIDATOR.is_valid(value)
