"""From flags to everything that a gate needs before it starts: every problem at once, and nothing changed until there is none."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kubegate.cluster.context import Context
from kubegate.cluster.kubeconfig import load
from kubegate.cluster.login import Login, log_in
from kubegate.model.address import Endpoint
from kubegate.model.config import Mode
from kubegate.model.facts import ClusterFacts, Facts, UpstreamFacts
from kubegate.model.plan import Plan
from kubegate.model.planner import plan_sole, upstream_problems
from kubegate.model.problem import InvalidInput, Problem
from kubegate.model.status import Reach
from kubegate.runtime import gather
from kubegate.runtime.binary import Binary, find
from kubegate.runtime.declare import Declared, Flags, declare
from kubegate.runtime.descriptors import most_connections
from kubegate.runtime.findings import Findings
from kubegate.runtime.front import Front, given_front, names_in_play, own_front
from kubegate.runtime.generation import Store
from kubegate.runtime.listening import client_host, listen_problems, open_to_others, reachable, settle_port, store_name, unusable
from kubegate.runtime.outfile import target_of
from kubegate.system.files import FileState, explained, private_folder, reason, state_of, why_no_private_folder
from kubegate.system.folders import runtime_folder, state_folder

_RUNTIME_HINT = "let XDG_RUNTIME_DIR (or RUNTIME_DIRECTORY) name a folder that belongs to this user"
_STATE_HINT = "let XDG_STATE_HOME (or STATE_DIRECTORY) name a folder that belongs to this user"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A gate that can start: nothing runs yet. `store` is locked for this process and must be released.

    `out` is the client kubeconfig as it was typed and `out_target` the file that is written, links followed; `login` is
    what a token for `--account` is asked with. They are None where nobody wants them.
    """

    declared: Declared
    context: Context
    upstream: UpstreamFacts
    front: Front | None
    reach: tuple[Reach, ...]
    plan: Plan
    binary: Binary
    store: Store
    out: Path | None
    out_target: Path | None
    login: Login | None
    warnings: tuple[Problem, ...]

    @property
    def listen(self) -> Endpoint:
        """Where the gate listens."""
        return self.declared.listen

    @property
    def opened(self) -> bool:
        """Whether the gate opens TLS."""
        return self.declared.cluster.mode is Mode.TERMINATE

    @property
    def client_host(self) -> str:
        """The host in the URL that clients are told."""
        return client_host(self.declared.cluster, self.listen, self.reach)


async def prepare(flags: Flags, environ: Mapping[str, str]) -> Prepared:
    """Look at everything, then lock the working folder and make the gate's own certificate if it needs one.

    Raises InvalidInput with every problem; then nothing was changed.
    """
    declared, problems = declare(flags)
    findings = Findings(problems)
    context, upstream = await _upstream(declared, environ, findings)
    declared, store = _listen(declared, environ, findings)
    reach = reachable(declared.listen)
    front = _given_front(declared, reach, findings)
    _state_folder(declared, environ, findings)
    out_target = _out_target(flags, context, findings)
    binary = _binary(flags, findings)
    login = await _login(declared, context, environ, findings)
    findings.raise_if_any()
    assert context is not None and upstream is not None and store is not None and binary is not None
    with explained(f"the runtime folder {store.folder.parent} cannot be made", _RUNTIME_HINT):
        private_folder(store.folder.parent)
    store.acquire()
    try:
        front = front or _own_front(declared, reach, environ, findings)
        found = ClusterFacts(upstream, front.certificate if front else None)
        planned = plan_sole(declared.config, Facts({declared.cluster.name: found}, most_connections()))
    except BaseException:
        store.release()
        raise
    warnings = (
        *gather.mode_warnings(declared.cluster, context, gather.FLAGS, has_account=declared.account is not None),
        *gather.dead_servers(upstream),
        *open_to_others(declared.listen, reach),
        *(front.warnings if front else ()),
    )
    return Prepared(
        declared=declared,
        context=context,
        upstream=upstream,
        front=front,
        reach=reach,
        plan=planned,
        binary=binary,
        store=store,
        out=flags.out,
        out_target=out_target,
        login=login,
        warnings=warnings,
    )


async def plan_again(prepared: Prepared, environ: Mapping[str, str]) -> Plan:
    """The plan of a gate that runs, from what its files and names say now: of the same context, whatever the current one is.

    Raises InvalidInput with every problem.
    """
    declared, listen = prepared.declared, prepared.listen
    pinned = declared.cluster.upstream.model_copy(update={"context": prepared.context.name})
    cluster = declared.cluster.model_copy(update={"upstream": pinned})
    declared = Declared(declared.config.model_copy(update={"clusters": (cluster,)}), declared.account)
    findings = Findings([])
    _, upstream = await _upstream(declared, environ, findings)
    front = _given_front(declared, prepared.reach, findings)
    if front is None and cluster.certificate is None and not findings.problems:
        front = prepared.front
    findings.raise_if_any()
    assert upstream is not None
    found = ClusterFacts(upstream, front.certificate if front else None)
    return plan_sole(declared.at(listen).config, Facts({cluster.name: found}, prepared.plan.process.max_connections))


def followed(prepared: Prepared) -> dict[Path, FileState]:
    """The files by which such a plan may become another one, in their present state."""
    given = prepared.declared.cluster.certificate
    files = [*prepared.context.files, prepared.context.ca_file, *([given.cert, given.key] if given else [])]
    return {file: state_of(file) for file in files if file is not None}


async def _upstream(
    declared: Declared, environ: Mapping[str, str], findings: Findings
) -> tuple[Context | None, UpstreamFacts | None]:
    cluster = declared.cluster
    context: Context | None = None
    upstream: UpstreamFacts | None = None
    with findings.also("the kubeconfig", "kubeconfig"):
        context = load(cluster.upstream.kubeconfig, cluster.upstream.context, environ)
    if context is not None:
        refused = gather.refusals(cluster, context, gather.FLAGS)
        findings.problems += refused
        with findings.also(gather.place(context, "server"), "upstream"):
            upstream = None if refused else await gather.upstream_facts(cluster, context, environ)
    if upstream is not None:
        findings.problems += upstream_problems(upstream)
    return context, upstream


def _listen(declared: Declared, environ: Mapping[str, str], findings: Findings) -> tuple[Declared, Store | None]:
    """The declaration with its port settled, and the working folder of a gate that listens there."""
    listen = declared.listen
    is_wrong = any(problem.where == "--listen" for problem in findings.problems)
    try:
        listen = settle_port(listen)
    except OSError as error:
        findings.problems.append(unusable(listen, reason(error)))
        is_wrong = True
    declared = declared.at(listen)
    store: Store | None = None
    with findings.also("the runtime folder", "folder.runtime", _RUNTIME_HINT):
        store = Store(runtime_folder(environ) / store_name(listen))
        base = store.folder.parent
        if why := why_no_private_folder(base) or store.why_too_long():
            findings.problems.append(Problem(f"the runtime folder {base}", "folder.runtime", why, _RUNTIME_HINT))
        elif not is_wrong:
            findings.problems += listen_problems(listen, store)
    return declared, store


def _given_front(declared: Declared, reach: tuple[Reach, ...], findings: Findings) -> Front | None:
    cluster, listen = declared.cluster, declared.listen
    with findings.also("--cert", "front"):
        return given_front(cluster, client_host(cluster, listen, reach))
    return None


def _state_folder(declared: Declared, environ: Mapping[str, str], findings: Findings) -> None:
    cluster = declared.cluster
    if cluster.certificate is not None or cluster.mode is Mode.PASSTHROUGH:
        return
    with findings.also("the state folder", "folder.state", _STATE_HINT):
        folder = state_folder(environ)
        if why := why_no_private_folder(folder):
            findings.problems.append(Problem(f"the state folder {folder}", "folder.state", why, _STATE_HINT))


def _own_front(declared: Declared, reach: tuple[Reach, ...], environ: Mapping[str, str], findings: Findings) -> Front | None:
    cluster, listen = declared.cluster, declared.listen
    front: Front | None = None
    with findings.also("the state folder", "folder.state", _STATE_HINT):
        if cluster.mode is Mode.TERMINATE:
            front = own_front(names_in_play(cluster, listen, reach), environ)
    findings.raise_if_any()
    return front


def _out_target(flags: Flags, context: Context | None, findings: Findings) -> Path | None:
    if flags.out is None:
        return None
    read = [flags.cert, flags.key, flags.kubeconfig]
    if context is not None:
        credential = context.credential
        read += [*context.files, credential.token_file]
        read += [pem.path for pem in (credential.certificate, credential.key) if pem]
    with findings.also(f"--out {flags.out}", "out"):
        return target_of(flags.out, [path for path in read if path is not None])
    return None


def _binary(flags: Flags, findings: Findings) -> Binary | None:
    with findings.also(f"--haproxy {flags.haproxy}" if flags.haproxy else "HAProxy", "haproxy"):
        return find(flags.haproxy)
    return None


async def _login(declared: Declared, context: Context | None, environ: Mapping[str, str], findings: Findings) -> Login | None:
    """What a token for `--account` is asked with. A plugin, which may ask a person, runs only where nothing else is wrong."""
    if declared.account is None or context is None:
        return None
    if context.credential.exec_plugin and not context.credential.has_secret:
        findings.raise_if_any()
        try:
            return await log_in(context, environ)
        except InvalidInput as error:
            findings.problems += error.problems
            findings.raise_if_any()
    with findings.also(f"user {context.user_name}", "credential"):
        return await log_in(context, environ)
    return None
