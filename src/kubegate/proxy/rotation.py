"""What a context depends on, what changed between two readings of it, and when a login has to be renewed; it keeps nothing."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from kubegate.cluster.context import Context
from kubegate.cluster.login import Login
from kubegate.errors import KubegateError
from kubegate.model.problem import InvalidInput, Problem

# Of what a kubeconfig does not have any more; anything else that is wrong with it is a mistake, and what was before goes on.
_REMOVED = frozenset(
    f"kubeconfig.{what}" for what in ("missing", "context.none", "context.unknown", "cluster.unknown", "user.unknown")
)
_LONGEST_MARGIN = timedelta(minutes=5)
_SHORTEST_MARGIN = timedelta(seconds=10)


def files_of(context: Context) -> tuple[Path, ...]:
    """Every file that the context and its login depend on: kubeconfigs, those that may yet come, and what they name."""
    credential = context.credential
    named = [context.ca_file, credential.token_file]
    named += [pem.path for pem in (credential.certificate, credential.key) if pem is not None]
    found = [*context.files, *context.missing, *(file for file in named if file is not None)]
    return tuple(dict.fromkeys(file.absolute() for file in found))


def is_removal(error: KubegateError, kubeconfigs: tuple[Path, ...]) -> bool:
    """Whether an error means that the context is not there any more, rather than that something about it is wrong."""
    if not isinstance(error, InvalidInput):
        return False
    if any(problem.code in _REMOVED for problem in error.problems):
        return True
    return bool(kubeconfigs) and not any(file.exists() for file in kubeconfigs)


def changed_target(old: Context, new: Context) -> Iterator[str]:
    """What is another way to the API server, each as a clause."""
    if old.url != new.url:
        yield f"its server is {new.url} now, and was {old.url}"
    if old.ca_pem != new.ca_pem:
        yield "its CA is another one"
    if old.verified_name != new.verified_name and old.tls_server_name != new.tls_server_name:
        yield f"its server is verified as {new.verified_name}"
    if old.insecure_skip_tls_verify != new.insecure_skip_tls_verify:
        yield "its server is not verified any more" if new.insecure_skip_tls_verify else "its server is verified now"
    if old.proxy_url != new.proxy_url:
        yield "it is reached by another proxy" if new.proxy_url else "it is reached without a proxy"
    if old.disable_compression != new.disable_compression:
        yield "its compression is another one"


def sends_the_same(old: Login, new: Login) -> bool:
    """Whether requests look the same with both."""
    return (old.authorization, old.certificate_pem, old.key_pem, old.impersonation) == (
        new.authorization,
        new.certificate_pem,
        new.key_pem,
        new.impersonation,
    )


def due(login: Login, since: datetime) -> datetime | None:
    """When a login that was made at `since` is to be renewed: a tenth of its life before its end; None if it has no end.

    Never later than ten seconds before (half of a shorter life), never earlier than five minutes before.
    """
    if login.expires is None:
        return None
    life = max(login.expires - since, timedelta(0))
    margin = min(max(life / 10, min(_SHORTEST_MARGIN, life / 2)), _LONGEST_MARGIN)
    return login.expires - margin


def sentence(error: KubegateError) -> str:
    """An error in one line."""
    if isinstance(error, InvalidInput):
        return "; ".join(clause(problem) for problem in error.problems)
    return f"{error.message} ({error.hint})" if error.hint else error.message


def clause(problem: Problem) -> str:
    """A problem in one line."""
    where = f"{problem.where}: " if problem.where else ""
    return f"{where}{problem.message}{f' ({problem.hint})' if problem.hint else ''}"
