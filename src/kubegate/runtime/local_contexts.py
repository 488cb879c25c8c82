"""Which contexts the local proxy serves: the first one as kubectl chooses it, and those that are named beside it."""

from collections.abc import Mapping

from kubegate.cluster.kubeconfig import Chosen
from kubegate.model.problem import InvalidInput, Problem
from kubegate.runtime.local_context import LocalContext
from kubegate.runtime.local_settings import Named, Settings
from kubegate.runtime.process import Say


def chosen(settings: Settings, environ: Mapping[str, str], say: Say) -> list[LocalContext]:
    """All of them, the first one first. Raises InvalidInput with everything that is wrong with any."""
    problems: list[Problem] = []
    found: list[LocalContext] = []
    first = Named(settings.context or "")
    for number, named in enumerate((first, *settings.named)):
        load = Chosen(
            settings.kubeconfig,
            named.name or None,
            environ,
            overrides=settings.overrides,
            fallback=number == 0,
        )
        try:
            one = LocalContext(f"c{number}", load, environ, say)
        except InvalidInput as error:
            problems += [problem for problem in error.problems if problem not in problems]
            continue
        one.append = settings.append_server_path
        one.place = named.place
        one.aliases = (named.alias,) if named.alias else ()
        found.append(one)
    if problems:
        raise InvalidInput(problems)
    return found
