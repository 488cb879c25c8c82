"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

from kubegate.cli.console import Output

DEFAULT_FILE = Path("kubegate.yaml")
# Whether a file can be read is found out, and told, by whoever reads it.
ConfigFile = Annotated[Path, typer.Option("--config", "-c", help="The declared file.", metavar="FILE", readable=False)]
MaybeFile = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="The file of the gate that is meant. Default: the only one.", metavar="FILE", readable=False
    ),
]
OutputAs = Annotated[Output, typer.Option(help="How facts are printed.")]
KubeconfigFile = Annotated[
    Path | None,
    typer.Option("--kubeconfig", help="Kubeconfig to read. Default: as kubectl finds it.", metavar="FILE", readable=False),
]
ContextName = Annotated[str | None, typer.Option("--context", help="Context to use. Default: the current one.", metavar="NAME")]
