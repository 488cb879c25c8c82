"""`kubegate render` for targets that are made of objects of Kubernetes."""

import asyncio
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from kubegate.cli.console import Output, line, show, show_json
from kubegate.cli.new_folder import write_folder
from kubegate.model.problem import InvalidInput, Problem

if TYPE_CHECKING:
    from kubegate.render.targets import Artefact, Rendered
    from kubegate.runtime.cluster_rendering import WantedObjects

TARGETS = ("contour", "gateway-api", "ingress-nginx", "kubernetes", "helm")
EXAMPLES = (
    "kubegate render contour -c kubegate.yaml --out folder",
    "kubegate render kubernetes -c kubegate.yaml --image registry.example.com/kubegate:1 --out folder",
    "kubegate render gateway-api -c kubegate.yaml --gateway-class example --out folder",
)
Namespace = Annotated[str, typer.Option(help="Namespace of the objects.", metavar="NAME")]
GatewayClass = Annotated[str, typer.Option(help="Class of the Gateway, for gateway-api.", metavar="NAME")]
GatewayNamespace = Annotated[
    str, typer.Option(help="Namespace of the Gateway, where it is another one, for gateway-api.", metavar="NAME")
]
# A Service is named after it, so it begins with a letter (RFC 1035).
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def render(wanted: "WantedObjects", config: Path, out: Path | None, output: Output, of_no_use: Sequence[str] = ()) -> None:
    """Render a declared file, into a new folder or, without its keys, to standard output. Raises KubegateError.

    `of_no_use` are flags that were given and that say nothing about objects of Kubernetes.
    """
    from kubegate.runtime.cluster_rendering import render_objects

    _checked(wanted, out, of_no_use)
    made, warnings = asyncio.run(render_objects(wanted, config, os.environ))
    if out is not None:
        write_folder(out, {one.name: (one.content, one.mode) for one in made.artefacts})
    if output is Output.JSON:
        facts = {
            "notes": list(made.notes),
            "next": list(_steps(wanted, made, out)),
            "warnings": [asdict(one) for one in warnings],
        }
        show_json(facts | _files(made, out))
        return
    if out is None:
        typer.echo("".join(one.content.decode() for one in _shown(made)), nl=False)
    else:
        keys = "; private keys are among them" if any(one.secret for one in made.artefacts) else ""
        show([line(f"{len(made.artefacts)} files are written to {out}{keys}")])
    show(_beside(made, warnings, wanted, out), stderr=out is None)


def _checked(wanted: "WantedObjects", out: Path | None, of_no_use: Sequence[str]) -> None:
    message = "it says nothing about objects of Kubernetes"
    problems = [Problem(flag, "target.flag", message, "leave it out") for flag in of_no_use]
    for flag, value, targets in (
        ("--image", wanted.image, ("kubernetes", "helm")),
        ("--gateway-class", wanted.gateway_class, ("gateway-api",)),
        ("--gateway-namespace", wanted.gateway_namespace, ("gateway-api",)),
    ):
        if value and wanted.target not in targets:
            problems.append(Problem(f"{flag} {value}", "target.flag", f"it says nothing to {wanted.target}", "leave it out"))
    if not _NAME.fullmatch(wanted.name):
        hint = "write small letters, digits and dashes, at most 40, a letter first"
        problems.append(Problem(f"--name {wanted.name}", "target.flag", "objects cannot have this name", hint))
    for flag, name in (("--namespace", wanted.namespace), ("--gateway-namespace", wanted.gateway_namespace)):
        left_out = flag == "--gateway-namespace" and not name
        if not left_out and not _NAMESPACE.fullmatch(name):
            hint = "write small letters, digits and dashes, at most 63"
            problems.append(Problem(f"{flag} {name}", "target.flag", "a namespace cannot have this name", hint))
    if wanted.target == "helm" and out is None:
        problems.append(Problem("--out", "target.flag", "a chart is a folder", "name a new one"))
    if problems:
        raise InvalidInput(problems)


def _shown(made: "Rendered") -> list["Artefact"]:
    """What can be printed, in the order in which it is applied."""
    return sorted((one for one in made.artefacts if not one.secret), key=lambda one: one.name)


def _files(made: "Rendered", out: Path | None) -> dict[str, object]:
    if out is not None:
        return {"folder": str(out), "files": sorted(one.name for one in made.artefacts)}
    return {"files": {one.name: one.content.decode() for one in _shown(made)}}


def _steps(wanted: "WantedObjects", made: "Rendered", out: Path | None) -> Iterator[str]:
    if out is None:
        return
    folder = shlex.quote(str(out))
    if wanted.target == "helm":
        keys = "".join(f" --values {folder}/{one.name}" for one in made.artefacts if one.secret)
        yield f"helm install {wanted.name} {folder}/chart --namespace {wanted.namespace} --create-namespace{keys}"
    else:
        yield f"kubectl apply --server-side -f {folder}"


def _beside(made: "Rendered", warnings: tuple[Problem, ...], wanted: "WantedObjects", out: Path | None) -> Iterator[Text]:
    for warning in warnings:
        yield line(("warning: ", "bold yellow"), f"{warning.where}: " if warning.where else "", warning.message)
        if warning.hint:
            yield line((f"         {warning.hint}", "dim"))
    hidden = [one.name for one in made.artefacts if one.secret]
    if out is None and hidden:
        yield line(("note: ", "bold"), f"not printed, for private keys are in it: {', '.join(hidden)}; --out writes all")
    for note in made.notes:
        yield line(("note: ", "bold"), note)
    for step in _steps(wanted, made, out):
        yield line(("next: ", "bold"), step)
