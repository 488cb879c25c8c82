"""`kubegate version`: what would run here, and what is known to be wrong with it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from kubegate.cli.console import Output, errors_reported, line, rows, show, show_json
from kubegate.runtime.binary import Binary
from kubegate.runtime.holes import Found, Review, by_part
from kubegate.runtime.versions import Versions, gather

SUMMARY = "Say what would run here, and what is known to be wrong with it."
EXAMPLES = (
    "kubegate version",
    "kubegate version --haproxy /usr/sbin/haproxy",
    "kubegate version --output json",
)


def command(
    haproxy: Annotated[
        Path | None, typer.Option(help="HAProxy to look at. Default: the one that would run.", metavar="FILE")
    ] = None,
    output: Annotated[Output, typer.Option(help="How facts are printed.")] = Output.TEXT,
) -> None:
    """Say what would run here."""
    with errors_reported(output):
        versions = gather(haproxy)
        if output is Output.JSON:
            show_json(versions.facts())
        else:
            show(_text(versions))


def _text(versions: Versions) -> Iterator[Text]:
    yield line((f"kubegate {versions.kubegate}", "bold"))
    yield line()
    yield from rows(
        [
            *_haproxy(versions.haproxy),
            ("Python", f"{versions.python} ({versions.python_program})"),
            ("Python's TLS", versions.python_tls),
        ]
    )
    for review in versions.reviews:
        yield line()
        yield from _review(review)
    if versions.warnings:
        yield line()
        yield line(("What to do", "bold yellow"))
    for warning in versions.warnings:
        yield line(f"  - {warning.message}")
        yield line((f"    {warning.hint}", "dim"))


def _haproxy(binary: Binary | None) -> list[tuple[str, str]]:
    if binary is None:
        return [("HAProxy", "none that can be used")]
    build = binary.build
    released = f" of {build.released}" if build.released else ""
    facts = [("HAProxy", f"{build.version}{released}{', embedded' if binary.embedded else ''}"), ("program", str(binary.path))]
    if build.status:
        facts.append(("branch", f"{build.branch}: {build.status}"))
    facts.append(("TLS library", build.tls.words if build.tls else "none that it speaks of"))
    if build.built_with is not None and build.tls is not None and str(build.built_with) != str(build.tls):
        facts.append(("built with", build.built_with.words))
    if build.known_bugs:
        facts.append(("known bugs", build.known_bugs))
    return facts


def _review(review: Review) -> Iterator[Text]:
    by = f", by a table of {review.made}" if review.made else ""
    yield line((f"Known holes of {review.product} {review.version}{by}", "bold"))
    for found in review.concerning:
        yield line("  - ", (found.hole.id, "yellow"), f" {found.hole.says}")
        yield line((f"    in {found.hole.part}, {_mended(found)}", "dim"))
    elsewhere = tuple(found for found in review.found if not found.hole.concerns)
    if elsewhere:
        yield line(f"  - {len(elsewhere)} in parts that a gate does not use:")
    for part, ids in by_part(elsewhere):
        yield line((f"    {part}: {', '.join(ids)}", "dim"))
    if review.made and not review.found:
        yield line("  - none")
    for remark in review.remarks:
        yield line(f"  - {remark}")


def _mended(found: Found) -> str:
    if not found.mended:
        return "not mended in this branch as far as the table knows"
    return f"mended in {found.mended}{', which is only sold' if found.sold else ''}"
