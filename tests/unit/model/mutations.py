"""The full example of the reference page, and files that differ from it by chance."""

import copy
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

REFERENCE = Path(__file__).parents[3] / "docs" / "configuration.md"
EXAMPLES = [part.partition("```")[0] for part in REFERENCE.read_text().split("```yaml\n")[1:]]
MINIMAL, FULL = EXAMPLES[:2]

# Longer than anything that is shown, and nothing that a key takes.
SECRET = "s3cr3t=" * 12
_SCALARS = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        1,
        -5,
        65,
        10**18,
        1.5,
        "",
        "x",
        "10s",
        "0s",
        "prod",
        "*",
        "a b",
        "[::1]:1",
        "a:1",
        "~x/y",
        "\0",
        SECRET,
    ]
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "ca", "x"]), inner, max_size=2),
    max_leaves=4,
)


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The way to every value but the root."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for step, below in entries for found in ((*path, step), *_paths(below, (*path, step)))]


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """The full example, with some values replaced, taken out, or put under another key."""
    value = copy.deepcopy(yaml.safe_load(FULL))
    for _ in range(draw(st.integers(1, 3))):
        paths = _paths(value)
        if not paths:
            break
        *way, last = draw(st.sampled_from(paths))
        holder: Any = value
        for step in way:
            holder = holder[step]
        match draw(st.sampled_from(["replace", "remove", "rename", "copy"])):
            case "replace":
                holder[last] = draw(_VALUES)
            case "remove":
                del holder[last]
            case "rename" if isinstance(holder, dict):
                holder[draw(st.sampled_from(["ca", "hosts", "server_name", "x" * 100, "from"]))] = holder.pop(last)
            case "copy" if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[int(last)]))
    return value
