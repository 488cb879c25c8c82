"""A page of docs/recipes: its commands, run as someone would who types them, with other names and addresses put in."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

RECIPES = Path(__file__).parents[2] / "docs" / "recipes"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Recipe:
    """The blocks of a page in their order: those of `sh` are for running, the others for somebody else."""

    def __init__(self, name: str, instead: Mapping[str, str]) -> None:
        text = (RECIPES / name).read_text()
        for declared, other in instead.items():
            assert declared in text, f"{name} does not say {declared}"
            text = text.replace(declared, other)
        self.blocks = _BLOCK.findall(text)

    def run(self, folder: Path, environ: Mapping[str, str]) -> Iterator[str | None]:
        """Run block after block in one folder; gives what each printed, and None for one that somebody else runs."""
        for kind, block in self.blocks:
            if kind != "sh":
                yield None
                continue
            done = subprocess.run(
                ["sh", "-euc", block],
                cwd=folder,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=90,
                check=False,
            )
            assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
            yield done.stdout


def commands(*folders: Path) -> str:
    """A PATH on which kubegate is, and what is in other folders."""
    return os.pathsep.join([str(Path(sys.executable).parent), *map(str, folders), os.environ["PATH"]])
