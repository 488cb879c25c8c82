"""The stand-alone target: one file, and those beside it, for a stock HAProxy 2.6 or newer. It stays as it was written.

The sections are those of the gate. What belongs to the control plane is left out: the socket of the Runtime API, places for new
clusters, tables of who carries which stream.
"""

import hashlib
from collections.abc import Iterator, Mapping

from kubegate.model.plan import Plan, Process
from kubegate.render.haproxy import backend, defaults, frontend, global_, metrics
from kubegate.render.haproxy.backend import STREAMS
from kubegate.render.haproxy.draft import Draft
from kubegate.render.haproxy.listened import listened
from kubegate.render.haproxy.shape import CONFIG_FILE, Section, Shape
from kubegate.render.haproxy.text import milliseconds, section
from kubegate.render.keys import Refusal, Refusals
from kubegate.render.targets import Artefact, Options, Rendered, head

RUN_WITH = "HAProxy 2.6.12 (Debian 12) and 2.8.25; HAProxy 3.x was not run"
# A listener with clusters of both modes hands connections on inside HAProxy. The socket has mode 0600, and nobody else can put
# another one in its place there; beside the file it might not be writable.
_HOP_SOCKETS = "/tmp/kubegate"  # noqa: S108
# Keywords of `global` that older versions know by another name, or not at all (configuration manuals 2.6 and 2.8, section 3.2).
_NEWER = {
    "tune.memory.hot-size": ("2.8", None),
    "tune.h2.fe.max-concurrent-streams": ("2.7", "tune.h2.max-concurrent-streams"),
    "tune.h2.fe.max-total-streams": ("2.8.25", None),
    "tune.h2.fe.glitches-threshold": ("2.8.25", None),
}
_CONTROL_PLANE = "the control plane of `kubegate run` does this, and this HAProxy has none"
REFUSED: Refusals = {
    "clusters[].upstream.discover": Refusal(
        "the file is written once, and members that come later are not in it",
        "list the API servers in upstream.servers, or let `kubegate run` follow them",
    ),
    "dataPlane.haproxy": Refusal("whoever starts it chooses the program", "leave it out"),
    "dataPlane.maxOldWorkers": Refusal(_CONTROL_PLANE, "leave it out; `dataPlane.drain` bounds old workers here"),
    "dataPlane.oldWorkerWait": Refusal(_CONTROL_PLANE, "leave it out; `dataPlane.drain` bounds old workers here"),
    "dataPlane.spareClusters": Refusal(_CONTROL_PLANE, "leave it out, and render again for another cluster"),
}


def render(plan: Plan, options: Options) -> Rendered:
    """The set for a stock HAProxy: `haproxy.cfg` first, then what it names."""
    return rendered(plan, options, [], f"whoever starts it appends that to {options.access_log}")


def rendered(plan: Plan, options: Options, user: list[str], logged: str) -> Rendered:
    """The same; `user` are lines of `global` that say as whom HAProxy goes on once it has what only root may have.

    `logged` says what becomes of its standard output, which is the access log.
    """
    drawn = _drawn(plan, options, user)
    where = f"{options.folder}/" if options.folder else ""
    text = "\n".join([*_head(options, logged), "", _config(drawn, plan)]) + "\n"
    others = {name: content for name, content in drawn.bundle().files.items() if name != CONFIG_FILE}
    artefacts = [Artefact(CONFIG_FILE, text.encode())]
    artefacts += [Artefact(name, others[name], 0o600 if name in drawn.certificates else 0o644) for name in sorted(others)]
    log = f" >> {options.access_log}" if options.access_log else ""
    return Rendered(tuple(artefacts), tuple(_notes(plan, options, logged)), (f"haproxy -f {where}{CONFIG_FILE}{log}",))


def _drawn(plan: Plan, options: Options, user: list[str]) -> Shape:
    draft = Draft(followed=False)
    # No two gates of one machine have the same addresses.
    addresses = " ".join(str(front.listen) for front in plan.frontends)
    sockets = f"{_HOP_SOCKETS}-{hashlib.sha256(addresses.encode()).hexdigest()[:8]}-"
    hops = any(front.hops for front in plan.frontends)
    resumes = all(front.clients is None for front in plan.frontends)
    draft.section("global", [*_global(plan.process, options, hops=hops, resumes=resumes), *user])
    draft.section("defaults", defaults.lines())
    for front in plan.frontends:
        frontend.draw(front, plan, draft, sockets)
    for one in plan.backends:
        backend.draw(one, draft)
    if plan.process.metrics is not None:
        metrics.draw_alone(listened(plan.process.metrics, plan), draft)
    return draft.shape()


def _global(process: Process, options: Options, *, hops: bool, resumes: bool) -> list[str]:
    lines = ["default-path config"]
    for line in global_.lines(process, "", hops=hops, resumes=resumes):
        keyword, _, value = line.partition(" ")
        if keyword == "stats" or (keyword == "maxconn" and not process.max_connections):
            continue
        if keyword == "hard-stop-after" and options.drain is not None:
            line = f"hard-stop-after {milliseconds(options.drain * 1000)}"
        if keyword in _NEWER:
            since, before = _NEWER[keyword]
            lines += [f".if version_atleast({since})", line, *([".else", f"{before} {value}"] if before else ()), ".endif"]
        else:
            lines.append(line)
    return lines


def _head(options: Options, logged: str) -> list[str]:
    more = [
        f"Run with {RUN_WITH}.",
        "The files beside this one are named relative to it, wherever it is: haproxy -f haproxy.cfg",
    ]
    if options.access_log:
        more.append(f"Declared was accessLog: {options.access_log}. Each request is a line of JSON on standard output; {logged}.")
    if options.drain is not None:
        more.append("hard-stop-after is the declared drain: it bounds old workers after a reload, too.")
    return head("HAProxy", options, *more)


def _notes(plan: Plan, options: Options, logged: str) -> Iterator[str]:
    yield f"run with {RUN_WITH}"
    if options.access_log:
        yield f"HAProxy writes the access log to standard output alone; {logged}"
    if any(front.clients is not None for front in plan.frontends):
        yield "client certificates that are revoked from now on are let in until it is rendered again"
    if plan.process.metrics is not None:
        yield "metrics are HAProxy's own, at /metrics; /metrics/kubegate is the control plane's, which is not there"


def _config(drawn: Shape, plan: Plan) -> str:
    comments = _Comments(plan)
    texts = []
    for one in drawn.sections:
        servers = drawn.servers.get(one.backend or "", {})
        lines = [*one.lines, *(f"server {name} {server.fixed}" for name, server in servers.items())]
        texts.append("\n".join([*(f"# {line}" for line in comments.on(one)), section(one.head, lines)]))
    return "\n\n".join(texts)


class _Comments:
    """What each section is for."""

    def __init__(self, plan: Plan) -> None:
        self._clusters: Mapping[str, str] = {one.name: one.cluster or "" for one in plan.backends}
        self._fronts = {front.name: front for front in plan.frontends}

    def on(self, one: Section) -> list[str]:
        """The comment before a section."""
        kind, _, name = one.head.partition(" ")
        plain, _, part = name.partition(":")
        if kind == "global":
            return ["The process: limits, and the least that TLS must be."]
        if kind == "defaults":
            return ["Of every section below: timeouts, keepalive, and errors as kubectl prints them."]
        if name == "metrics:":
            return ["Prometheus metrics of this process; whoever reaches the address reads them."]
        if kind == "frontend":
            return self._listener(plain, part)
        if part == "opened":
            return [f"From listener {plain} to the section that opens TLS, with the client's address."]
        cluster = self._clusters.get(plain, plain)
        if name.endswith(STREAMS):
            return [
                f"Cluster {cluster}: exec, port-forward, watches, followed logs; each on a connection of its own, never repeated."
            ]
        return [f"Cluster {cluster}: its API servers, each verified on every connection as its line says."]

    def _listener(self, name: str, part: str) -> list[str]:
        front = self._fronts[name]
        if part == "opened":
            return [f"Listener {name}: TLS is opened here for clusters that are not passed through."]
        if not front.opens:
            return [f"Listener {name}: TLS is passed through; nothing above TCP is guarded."]
        if front.hops:
            return [f"Listener {name}: clusters that are passed through leave here, by the name in the TLS greeting."]
        return [f"Listener {name}: TLS is opened, hostile requests are refused, and the name leads to a cluster."]
