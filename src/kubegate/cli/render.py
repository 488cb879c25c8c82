"""`kubegate render`: what a file would run here, or the same gate for another engine."""

import asyncio
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from kubegate.cli import render_objects
from kubegate.cli.console import Output, errors_reported, line, show, show_json
from kubegate.cli.new_folder import write_folder
from kubegate.cli.options import DEFAULT_FILE, ConfigFile, OutputAs
from kubegate.cli.trial import GateFile
from kubegate.model.problem import InvalidInput, Problem

if TYPE_CHECKING:
    from kubegate.render.targets import Rendered
    from kubegate.runtime.push import Pushed
    from kubegate.runtime.rendering import Set

SUMMARY = "Print exactly what would run, or the same gate for another engine."
EXAMPLES = (
    "kubegate render haproxy -c kubegate.yaml",
    "kubegate render haproxy --standalone -c kubegate.yaml --out folder",
    "kubegate render envoy -c kubegate.yaml --push root@10.0.0.7:/srv/gate",
    "kubegate render marathon -c kubegate.yaml --out folder",
    "kubegate render systemd -c /etc/kubegate/kubegate.yaml",
    *render_objects.EXAMPLES,
)
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class Target(StrEnum):
    """What a file can be rendered for."""

    HAPROXY = "haproxy"
    ENVOY = "envoy"
    MARATHON = "marathon"
    SYSTEMD = "systemd"
    CONTOUR = "contour"
    GATEWAY_API = "gateway-api"
    INGRESS_NGINX = "ingress-nginx"
    KUBERNETES = "kubernetes"
    HELM = "helm"


def command(
    target: Annotated[Target, typer.Argument(help="What to render for.")],
    config: ConfigFile = DEFAULT_FILE,
    standalone: Annotated[
        bool, typer.Option("--standalone", help="For a stock HAProxy 2.6 or newer, without kubegate. Other targets always are.")
    ] = False,
    gate: GateFile = None,
    out: Annotated[Path | None, typer.Option(help="Write every file, keys too, into this new folder.", metavar="FOLDER")] = None,
    push: Annotated[
        str, typer.Option(help="Copy the set to a machine over SSH, keys too; DIR becomes a link to it.", metavar="USER@HOST:DIR")
    ] = "",
    prefix: Annotated[
        str, typer.Option(help="Where the set will be on the machine that uses it. Default: DIR of --push.", metavar="DIR")
    ] = "",
    name: Annotated[str, typer.Option(help="Name of the unit, application or objects.", metavar="NAME")] = "kubegate",
    image: Annotated[str, typer.Option(help="Image of HAProxy (default: haproxy:2.8), or of kubegate.", metavar="IMAGE")] = "",
    program: Annotated[str, typer.Option(help="kubegate on the machine of the unit.", metavar="FILE")] = "",
    namespace: render_objects.Namespace = "kubegate",
    gateway_class: render_objects.GatewayClass = "",
    gateway_namespace: render_objects.GatewayNamespace = "",
    output: OutputAs = Output.TEXT,
) -> None:
    """Render a declared file."""
    with errors_reported(output, "nothing was written"):
        if target in render_objects.TARGETS:
            from kubegate.runtime.cluster_rendering import WantedObjects

            of_no_use = {"--standalone": standalone, "--gate": gate, "--push": push, "--prefix": prefix, "--program": program}
            wanted = WantedObjects(str(target), name, namespace, image, gateway_class, gateway_namespace)
            render_objects.render(wanted, config, out, output, [flag for flag, value in of_no_use.items() if value])
            return
        if target is Target.HAPROXY and not standalone:
            others = {"--image": image, "--program": program, "--gateway-class": gateway_class}
            others |= {"--gateway-namespace": gateway_namespace, "--namespace": _unusual(namespace), "--name": _unusual(name)}
            _of_this_machine(push, prefix, others)
            files = _as_it_would_run(config, gate, keys=out is not None)
            if out is not None:
                write_folder(out, {one: (content.encode(), 0o600) for one, content in files.items()})
            _tell_as_it_would_run(out, files, output)
            return
        others = {"--gateway-class": gateway_class, "--gateway-namespace": gateway_namespace, "--namespace": _unusual(namespace)}
        _checked(target, name, prefix, gate, {"--image": image, "--program": program, **others})
        found, pushed = asyncio.run(_render(target, config, name, image, prefix, program, push, out))
    if output is Output.JSON:
        show_json(_facts(found, out, pushed))
    else:
        _tell(found, out, pushed)


def _unusual(value: str) -> str:
    """What was given for a flag that has this default where no target is to be renamed; empty if nothing was."""
    return "" if value == "kubegate" else value


def _of_this_machine(push: str, prefix: str, others: Mapping[str, str]) -> None:
    message = "what this machine's gate would run, with its sockets, is of no use on another one"
    given = [flag for flag, value in (("--push", push), ("--prefix", prefix)) if value]
    problems = [Problem(flag, "render.standalone", message, "add --standalone") for flag in given]
    problems += [_no_use(flag, value, Target.HAPROXY) for flag, value in others.items() if value]
    if problems:
        raise InvalidInput(problems)


def _no_use(flag: str, value: str, target: Target) -> Problem:
    return Problem(f"{flag} {value}", "render.flag", f"it says nothing to {target}", "leave it out")


def _checked(target: Target, name: str, prefix: str, gate: Path | None, others: Mapping[str, str]) -> None:
    fitting = {Target.MARATHON: "--image", Target.SYSTEMD: "--program"}
    problems = [_no_use(flag, value, target) for flag, value in others.items() if value and fitting.get(target) != flag]
    if not _NAME.fullmatch(name):
        hint = "write small letters, digits and dashes, at most 63, as in kubegate"
        problems.append(Problem(f"--name {name}", "render.name", "this is no name for a unit or an application", hint))
    if prefix and not prefix.startswith("/"):
        hint = "write the whole path on the machine that uses the set, as in /srv/kubegate"
        problems.append(Problem(f"--prefix {prefix}", "render.prefix", "this is no whole path", hint))
    if gate is not None:
        message = "what is rendered for elsewhere has nothing to do with a running gate"
        problems.append(Problem(f"--gate {gate}", "render.gate", message, "leave it out"))
    if problems:
        raise InvalidInput(problems)


async def _render(
    target: Target, config: Path, name: str, image: str, prefix: str, program: str, push: str, out: Path | None
) -> "tuple[Set, Pushed | None]":
    from kubegate.runtime import push as pushing
    from kubegate.runtime.rendering import Wanted, render_for

    to = pushing.destination(push) if push else None
    folder = prefix or (to.folder if to else "")
    wanted = Wanted(str(target), name, image, folder.rstrip("/"), program, lasting=out is not None or to is not None)
    found = await render_for(wanted, config, os.environ)
    if out is not None:
        write_folder(out, {one.name: (one.content, one.mode) for one in found.rendered.artefacts})
    # What cannot be done here is known before anything is changed there.
    try:
        return found, await pushing.push(found.rendered, to) if to else None
    except BaseException:
        if out is not None:
            shutil.rmtree(out, ignore_errors=True)
        raise


def _as_it_would_run(config: Path, gate: Path | None, *, keys: bool) -> Mapping[str, str]:
    """The files as the gate would have them that runs by this one, else as a new one would."""
    from kubegate.runtime import control_client

    asked = control_client.find(gate if gate is not None else config, os.environ)
    if gate is not None or asked.answers():
        return control_client.rehearse(asked, config, keys=keys).files
    from kubegate.runtime.trial import left_running, try_out

    return asyncio.run(try_out(config, os.environ, left_running(config, os.environ))).bundle.texts(keys=keys)


def _tell_as_it_would_run(out: Path | None, files: Mapping[str, str], output: Output) -> None:
    from kubegate.render.haproxy import CONFIG_FILE

    if out is not None and output is Output.TEXT:
        show([line(f"{len(files)} files are written to {out}; private keys are among them")])
    elif out is not None:
        show_json({"folder": str(out), "files": sorted(files)})
    elif output is Output.JSON:
        show_json({"files": dict(files)})
    else:
        typer.echo(files[CONFIG_FILE], nl=False)


def _tell(found: "Set", out: Path | None, pushed: "Pushed | None") -> None:
    """The first file on standard output, if no folder gets it; what is to be known about it beside it."""
    rendered = found.rendered
    aside = out is None and pushed is None
    if out is not None:
        show([line(f"{len(rendered.artefacts)} files are written to {out}{_with_keys(rendered)}")])
    if pushed is not None:
        show([line(f"{len(rendered.artefacts)} files are in {pushed.folder}, a link to {pushed.leads_to}{_with_keys(rendered)}")])
        if pushed.before:
            show([line(f"what was there before is still in {pushed.before}")])
    if aside:
        typer.echo(rendered.artefacts[0].content.decode(), nl=False)
    show(_beside(found, aside=aside), stderr=aside)


def _with_keys(rendered: "Rendered") -> str:
    return "; private keys are among them" if any(one.secret for one in rendered.artefacts) else ""


def _beside(found: "Set", *, aside: bool) -> Iterator[Text]:
    for warning in found.warnings:
        yield line(("warning: ", "bold yellow"), f"{warning.where}: " if warning.where else "", warning.message)
        if warning.hint:
            yield line((f"         {warning.hint}", "dim"))
    others = [one.name for one in found.rendered.artefacts[1:]]
    if aside and others:
        yield line(
            ("note: ", "bold"), f"not printed, as keys are among them or it names them: {', '.join(others)}; --out writes all"
        )
    if found.checked_by:
        yield line(("note: ", "bold"), f"{found.checked_by} accepts it")
    for note in found.rendered.notes:
        yield line(("note: ", "bold"), note)
    for step in found.rendered.steps:
        yield line(("next: ", "bold"), step)


def _facts(found: "Set", out: Path | None, pushed: "Pushed | None") -> dict[str, Any]:
    rendered = found.rendered
    facts: dict[str, Any] = {
        "notes": list(rendered.notes),
        "next": list(rendered.steps),
        "warnings": [asdict(one) for one in found.warnings],
        "checkedBy": found.checked_by,
    }
    if out is not None:
        facts["folder"] = str(out)
    if pushed is not None:
        facts["pushed"] = {"folder": pushed.folder, "leadsTo": pushed.leads_to, "before": pushed.before}
    if out is not None or pushed is not None:
        return facts | {"files": [one.name for one in rendered.artefacts]}
    return facts | {"files": {one.name: one.content.decode() for one in rendered.artefacts if not one.secret}}
