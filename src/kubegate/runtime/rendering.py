"""A declaration rendered for another engine, or for another machine: read, looked at, planned. Nothing is run by it here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from kubegate import __version__
from kubegate.model.address import is_address
from kubegate.model.config import Config
from kubegate.model.facts import Facts
from kubegate.model.gatefile import Declaration
from kubegate.model.names import printable
from kubegate.model.planner import plan, upstream_problems
from kubegate.model.problem import Problem
from kubegate.render.bundle import Bundle
from kubegate.render.haproxy import CONFIG_FILE
from kubegate.render.keys import refused
from kubegate.render.registry import TARGETS, Target
from kubegate.render.systemd import hidden
from kubegate.render.targets import Options, Rendered
from kubegate.runtime.binary import NoHAProxy, find
from kubegate.runtime.findings import Findings
from kubegate.runtime.inputs import Inputs, declared_files
from kubegate.runtime.reading import read_file
from kubegate.runtime.rehearsal import accepted


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be rendered: a target by its name, and options; an empty one means the target's own.

    `lasting`: a certificate of the gate's own is kept, so that the next rendering shows the same.
    """

    target: str
    name: str = "kubegate"
    image: str = ""
    folder: str = ""
    program: str = ""
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class Set:
    """A rendered set, what is not secure about it, and by which program it was checked here, if by any."""

    rendered: Rendered
    warnings: tuple[Problem, ...]
    checked_by: str = ""


async def render_for(wanted: Wanted, file: Path, environ: Mapping[str, str]) -> Set:
    """Render a declared file for a target. Raises InvalidInput with every problem, or KubegateError."""
    target = TARGETS[wanted.target]
    declaration = read_file(file)
    findings = Findings(refused(target.called, declaration.config, declaration.places, target.refused))
    if wanted.target == "systemd":
        findings.problems += _unseen(file, declaration.config)
    facts: Facts | None = None
    with findings.also():
        gathered = await Inputs(environ, lasting=wanted.lasting).gather(declaration, fresh=True)
        # How many files may be open on another machine is not known here.
        facts = replace(gathered.facts, max_connections=0)
    if facts is not None and not target.runs_kubegate:
        findings.problems += [one for found in facts.clusters.values() for one in upstream_problems(found.upstream)]
    rendered: Rendered | None = None
    # What depends on values is told by the target itself, beside the rest.
    if facts is not None and not findings.problems:
        with findings.also():
            rendered = rendered_from(target, wanted, declaration, facts, file)
    findings.raise_if_any()
    assert rendered is not None
    return Set(rendered, gathered.warnings, _check(rendered, wanted.target, file))


def _unseen(file: Path, config: Config) -> list[Problem]:
    """Problems with the declared file, and with those that it names, where a systemd unit would not see them."""
    paths = (file.absolute(), *declared_files(config))
    return [problem for path in paths for problem in hidden(str(path), printable(str(path)))]


def rendered_from(target: Target, wanted: Wanted, declaration: Declaration, facts: Facts, file: Path) -> Rendered:
    """Plan a declaration by these facts, and render it. Raises InvalidInput with what a target has against a value."""
    config = declaration.config
    planned = plan(config.model_copy(update={"data_plane": config.data_plane.model_copy(update={"spare_clusters": 0})}), facts)
    drain = config.data_plane.drain if "drain" in config.data_plane.model_fields_set else None
    options = Options(
        name=wanted.name,
        image=wanted.image,
        version=__version__,
        source=printable(file.name),
        file=str(file.absolute()),
        folder=wanted.folder or target.folder,
        program=wanted.program or Options().program,
        resolved=tuple(sorted(set(_resolved(config, facts)))),
        access_log=str(config.access_log or ""),
        drain=round(drain.total_seconds()) if drain is not None else None,
    )
    return target.render(planned, options)


def _resolved(config: Config, facts: Facts) -> Iterator[str]:
    """Names of API servers that were looked up in DNS."""
    for cluster in config.clusters:
        if cluster.upstream.servers:
            yield from (one.host for one in cluster.upstream.servers if not is_address(one.host))
        else:
            host = urlsplit(facts.clusters[cluster.name].upstream.url).hostname
            if host and not is_address(host):
                yield host


def _check(rendered: Rendered, target: str, file: Path) -> str:
    """Let an HAProxy of this machine check what is for HAProxy. Raises InvalidInput."""
    files = {one.name: one.content for one in rendered.artefacts}
    if target == "systemd" or CONFIG_FILE not in files:
        return ""
    try:
        binary = find()
    except NoHAProxy:
        return ""
    accepted(Bundle(files), binary, str(file))
    return str(binary)
