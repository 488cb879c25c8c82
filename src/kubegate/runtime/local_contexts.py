"""Which contexts the local proxy serves: the first one as kubectl chooses it, and those that are named beside it."""

from collections.abc import Iterator, Mapping

from kubegate.cluster.kubeconfig import Chosen
from kubegate.cluster.merge import read_merged
from kubegate.cluster.overrides import Overrides
from kubegate.model.problem import InvalidInput, Problem
from kubegate.runtime.local_context import LocalContext
from kubegate.runtime.local_settings import Named, Settings
from kubegate.runtime.process import Say


def key_of(number: int) -> str:
    """The key of the first context (0), or of one that is named beside it (1 and so on)."""
    return f"c{number}"


def chosen(settings: Settings, environ: Mapping[str, str], say: Say) -> list[LocalContext]:
    """All of them, the first one first. Raises InvalidInput with everything that is wrong with any that was named.

    Of all that there are, those that cannot be read are told and left out.
    """
    problems: list[Problem] = []
    found: list[LocalContext] = []
    for number, named in enumerate((Named(settings.context or ""), *settings.named)):
        try:
            found.append(_read(settings, environ, say, key_of(number), named))
        except InvalidInput as error:
            problems += [problem for problem in error.problems if problem not in problems]
    if problems:
        raise InvalidInput(problems)
    if settings.all_contexts:
        known = {one.context.name for one in found if one.place is None}
        others = (name for name in read_merged(settings.kubeconfig, environ).contexts if name not in known)
        for name in others:
            try:
                found.append(_read(settings, environ, say, key_of(len(found)), Named(name), asked_for=False))
            except InvalidInput as error:
                say(f"warning: context {name} is not served: {error.message}")
    if problems := list(_ambiguous(found)):
        raise InvalidInput(problems)
    return found


def _ambiguous(found: list[LocalContext]) -> Iterator[Problem]:
    """Aliases that are another context's name or alias here: a request must not go to a cluster that was not meant."""
    by_name = {one.context.name for one in found if one.place is None}
    known: dict[str, str] = {}
    for one in found:
        name = one.context.name
        for alias in one.aliases:
            other = alias if alias in by_name else known.setdefault(alias, name)
            if other != name:
                message = f"{alias!r} would stand for the contexts {other} and {name}"
                yield Problem("--also-context", "flag.alias", message, "choose another alias for one of them")


def _read(
    settings: Settings, environ: Mapping[str, str], say: Say, key: str, named: Named, *, asked_for: bool = True
) -> LocalContext:
    first = key == key_of(0)
    # Flags say what the one context of kubectl is; a token that is typed is none of the other clusters' business.
    overrides = settings.overrides if first else Overrides(kuberc=settings.overrides.kuberc)
    load = Chosen(settings.kubeconfig, named.name or None, environ, overrides=overrides, fallback=first)
    one = LocalContext(key, load, environ, say)
    one.asked_for = asked_for
    one.append = settings.append_server_path
    one.place = named.place
    one.aliases = (named.alias,) if named.alias else ()
    return one
