"""`kubegate certs trust`: a CA is put into the stores of this machine, and taken out again."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kubegate.cli.certs_common import facts, read
from kubegate.cli.console import Output, errors_reported, line, show, show_json
from kubegate.cli.options import OutputAs
from kubegate.model.certificate_kinds import Store
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubegate.pki.certificate import Certificate
    from kubegate.pki.trust_store import TrustStore

INSTALL = "Let this machine trust a CA that is bound to names of its own."
INSTALL_EXAMPLES = ("kubegate certs trust install ca", "kubegate certs trust install ca --store nss")
REMOVE = "Let this machine trust a CA no more."
REMOVE_EXAMPLES = ("kubegate certs trust remove ca", "kubegate certs trust remove ca/ca.crt --store system")

What = Annotated[Path, typer.Argument(help="The folder of a CA, or its certificate.", readable=False)]
Stores = Annotated[
    list[Store] | None,
    typer.Option("--store", help="Which stores; may be repeated. Default: all that this machine and user have."),
]


def install(ca: What, store: Stores = None, output: OutputAs = Output.TEXT) -> None:
    """Trust a CA."""
    from kubegate.pki.trust_store import unfit

    with errors_reported(output, "nothing is trusted that was not before"):
        certificate, where = _certificate(ca)
        if problems := unfit(certificate, where):
            raise InvalidInput(problems)
        _each(certificate, store, output, "trusted", lambda one: one.install(certificate))


def remove(ca: What, store: Stores = None, output: OutputAs = Output.TEXT) -> None:
    """Trust a CA no more."""
    with errors_reported(output):
        certificate, _ = _certificate(ca)
        _each(certificate, store, output, "not trusted any more", lambda one: one.remove(certificate))


def _certificate(ca: Path) -> tuple["Certificate", str]:
    from kubegate.pki.ca import CERTIFICATE
    from kubegate.pki.certificate import load_bundle

    path = ca / CERTIFICATE if ca.is_dir() else ca
    where = printable(str(path))
    found = load_bundle(read(path), where)
    if len(found) != 1:
        message = f"holds {len(found)} certificates, and it is not clear which is meant"
        raise InvalidInput([Problem(where, "certs.trust", message, "name a file that holds the CA alone")])
    return found[0], where


def _each(
    certificate: "Certificate", kinds: list[Store] | None, output: Output, done: str, work: "Callable[[TrustStore], None]"
) -> None:
    """Do something with every store. Raises InvalidInput if there is none, or KubegateError at the first that does not."""
    from kubegate.errors import KubegateError
    from kubegate.pki.trust_store import stores

    found, lacking = stores(kinds or list(Store), os.environ)
    if kinds and lacking:
        raise InvalidInput([Problem("--store", "certs.trust", one, "install it, or leave this store out") for one in lacking])
    if not found:
        raise InvalidInput([Problem("--store", "certs.trust", one, "name another store, or make one") for one in lacking])
    changed: list[str] = []
    for store in found:
        try:
            work(store)
        except KubegateError as error:
            before = f"; {' and '.join(changed)} had been changed already" if changed else ""
            raise KubegateError(f"{error.message}{before}", error.hint) from None
        changed.append(store.shown)
    if output is Output.JSON:
        show_json({"certificate": facts(certificate), "stores": changed, "lacking": lacking})
        return
    show([line((certificate.subject, "bold"), f" is {done} in"), *(line(f"  - {one}") for one in changed)])
    show(line((f"  {one}", "dim")) for one in lacking)
    if done == "trusted":
        show([line("Programs that run read it when they start again. Keep its key to yourself.")])
