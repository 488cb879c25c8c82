"""A plan kept beside the files that say so, so that the next start knows what runs. Keys and CAs are named by digest only."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from kubegate.model.plan import Plan
from kubegate.system.files import reason

PLAN_FILE = "plan.json"
_BYTES = "sha256"
_PLAN = TypeAdapter(Plan)


def dump(plan: Plan) -> bytes:
    """The plan as JSON; what is in files of the generation is named by its SHA-256."""
    return orjson.dumps(plan, default=_named)


def load(folder: Path) -> tuple[Plan | None, str]:
    """The plan that a generation's folder holds; None, and why, if it cannot be read."""
    try:
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        document = orjson.loads(files[PLAN_FILE])
        contents = _contents(content for name, content in files.items() if name.endswith(".pem"))
        return _PLAN.validate_python(_restored(document, contents)), ""
    except OSError as error:
        return None, f"{folder} cannot be read: {reason(error)}"
    except (ValueError, KeyError, TypeError, ValidationError):
        return None, f"{folder} holds no plan of this version of kubegate"


def _named(value: object) -> object:
    if isinstance(value, bytes):
        return {_BYTES: hashlib.sha256(value).hexdigest()}
    raise TypeError(type(value).__name__)


def _contents(files: Iterable[bytes]) -> Mapping[str, bytes]:
    return {hashlib.sha256(content).hexdigest(): content for content in files}


def _restored(value: Any, contents: Mapping[str, bytes]) -> Any:
    if isinstance(value, dict):
        if value.keys() == {_BYTES}:
            return contents[value[_BYTES]]
        return {key: _restored(one, contents) for key, one in value.items()}
    if isinstance(value, list):
        return [_restored(one, contents) for one in value]
    return value
