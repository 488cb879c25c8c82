"""`kubegate approver`: nodes' certificates are approved by a policy that checks who owns a name."""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kubegate.cli.console import NOTHING_STARTED, Output, errors_reported, line, say, show, show_json
from kubegate.cli.options import ContextName, KubeconfigFile, OutputAs

if TYPE_CHECKING:
    from kubegate.runtime.approver import Outcome

SUMMARY = "Approve nodes' certificates by a policy that checks who owns a name."
EXAMPLES = ("kubegate approver -c approver.yaml", "kubegate approver -c approver.yaml --dry-run --output json")

_STYLES = {"approve": "green", "deny": "bold red", "wait": "yellow", "again": "dim"}


def command(
    config: Annotated[Path, typer.Option("--config", "-c", help="The declared file.", metavar="FILE", readable=False)],
    kubeconfig: KubeconfigFile = None,
    context: ContextName = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be decided.")] = False,
    output: OutputAs = Output.TEXT,
) -> None:
    """Run the approver until stopped; each decision is a line on standard output."""
    with errors_reported(output, NOTHING_STARTED):
        asyncio.run(_run(config, kubeconfig, context, dry_run, output))


async def _run(file: Path, kubeconfig: Path | None, context: str | None, dry_run: bool, output: Output) -> None:
    from kubegate.runtime.approver_daemon import run
    from kubegate.runtime.approver_file import read_approver
    from kubegate.runtime.signals import Stop

    config = read_approver(file)
    if dry_run:
        config = config.model_copy(update={"dry_run": True})
    if config.dry_run:
        say("dry run: decisions are told, and nothing is changed")
    async with Stop() as stop:
        await stop.unless_asked(
            run(config, kubeconfig, context, os.environ, say=say, told=lambda outcome: _tell(outcome, output))
        )
    say("stopped")


def _tell(outcome: "Outcome", output: Output) -> None:
    csr, decision = outcome.csr, outcome.decision
    if output is Output.JSON:
        facts = {"name": csr.name, "uid": csr.uid, "signer": csr.signer, "user": csr.user, "dryRun": outcome.dry}
        show_json(facts | {"verdict": decision.verdict.value, "reason": decision.reason, "message": decision.message})
        return
    verdict = decision.verdict.value
    words = f"{'would be ' if outcome.dry else ''}{verdict}"
    show([line((csr.name, "bold"), "  ", (words, _STYLES[verdict]), f"  {decision.reason}: {decision.message}")])
