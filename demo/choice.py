"""Which cluster the demo exposes: the current context of your kubeconfig if its API server can be verified."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from kubegate.cluster.kubeconfig import Context, load
from kubegate.errors import KubegateError
from kubegate.model.config import ClusterConfig
from kubegate.model.planner import upstream_problems
from kubegate.model.problem import InvalidInput
from kubegate.runtime import gather


def own_context(tell: Callable[[str], None]) -> Context | None:
    """The context that `kubegate expose` could serve, None if there is none; `tell` gets its name first, and why not if not."""
    if not os.environ.get("KUBECONFIG") and not (Path.home() / ".kube" / "config").exists():
        tell("There is no kubeconfig on this machine ($KUBECONFIG is not set, ~/.kube/config does not exist).")
        return None
    try:
        context = load()
        tell(f"Context {context.name} of your kubeconfig: {context.url}")
        _check(context)
    except KubegateError as error:
        tell(f"Your kubeconfig cannot be used here: {_why(error)}")
        return None
    return context


def _check(context: Context) -> None:
    cluster = ClusterConfig()
    if problems := gather.refusals(cluster, context, gather.FLAGS):
        raise InvalidInput(problems)
    if problems := upstream_problems(asyncio.run(gather.upstream_facts(cluster, context))):
        raise InvalidInput(problems)


def _why(error: KubegateError) -> str:
    if not isinstance(error, InvalidInput):
        return error.message
    return "; ".join(": ".join(part for part in (problem.where, problem.message) if part) for problem in error.problems)
