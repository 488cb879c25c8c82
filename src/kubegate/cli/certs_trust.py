"""`kubegate certs trust`: a CA is put into the stores of this machine, and taken out again."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kubegate.cli.certs_common import facts, read
from kubegate.cli.console import Output, errors_reported, line, show, show_json
from kubegate.cli.options import OutputAs
from kubegate.errors import KubegateError
from kubegate.model.certificate_kinds import Store
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem

if TYPE_CHECKING:
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
        found, lacking = _stores(store)
        before = [one for one in found if one.holds(certificate)]
        done: list[TrustStore] = []
        try:
            for one in found:
                one.install(certificate)
                done.append(one)
        except KubegateError:
            # All of them, or none.
            for one in done:
                if one not in before:
                    one.remove(certificate)
            raise
    _say(certificate, "trusted", found, lacking, output)


def remove(ca: What, store: Stores = None, output: OutputAs = Output.TEXT) -> None:
    """Trust a CA no more."""
    with errors_reported(output):
        certificate, _ = _certificate(ca)
        found, lacking = _stores(store)
        changed: list[str] = []
        for one in found:
            try:
                one.remove(certificate)
            except KubegateError as error:
                gone = f"; it is out of {' and '.join(changed)}" if changed else ""
                raise KubegateError(f"{error.message}{gone}", error.hint) from None
            changed.append(one.shown)
    _say(certificate, "not trusted any more", found, lacking, output)


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


def _stores(kinds: list[Store] | None) -> tuple[list["TrustStore"], list[str]]:
    """The stores that are meant, and which there are not. Raises InvalidInput if one that was named is not there, or none is."""
    from kubegate.pki.trust_store import stores

    found, lacking = stores(kinds or list(Store), os.environ)
    if kinds and lacking:
        raise InvalidInput([Problem("--store", "certs.trust", one, "install it, or leave this store out") for one in lacking])
    if not found:
        raise InvalidInput([Problem("--store", "certs.trust", one, "name another store, or make one") for one in lacking])
    return found, lacking


def _say(certificate: "Certificate", done: str, found: "list[TrustStore]", lacking: list[str], output: Output) -> None:
    if output is Output.JSON:
        show_json({"certificate": facts(certificate), "stores": [one.shown for one in found], "lacking": lacking})
        return
    show([line((certificate.subject, "bold"), f" is {done} in"), *(line(f"  - {one.shown}") for one in found)])
    show(line((f"  {one}", "dim")) for one in lacking)
    if done == "trusted":
        show([line("Programs that run read it when they start again. Keep its key to yourself.")])
