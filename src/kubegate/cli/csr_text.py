"""Certificate signing requests as text and as JSON."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.text import Text

from kubegate.cli.console import columns, line, rows

if TYPE_CHECKING:
    from kubegate.bootstrap.csr import State
    from kubegate.bootstrap.review import Review
    from kubegate.runtime.csrs import Done, Found

_STYLES = {"Pending": "bold yellow", "Approved": "yellow", "Issued": "green", "Denied": "red", "Failed": "bold red"}
_SHORT = {
    "kubernetes.io/kube-apiserver-client-kubelet": "kubelet client",
    "kubernetes.io/kubelet-serving": "kubelet serving",
    "kubernetes.io/kube-apiserver-client": "API client",
}


def blind(found: "Found") -> Iterator[Text]:
    """What could not be found out."""
    if found.blind:
        yield line(("warning: ", "bold yellow"), f"who holds a name could not be asked: {found.blind}")


def listed(found: "Found") -> Iterator[Text]:
    """A table."""
    if not found.reviews:
        yield line("There is no such request.")
        return
    head: list[str | tuple[str, str]] = [(word, "bold") for word in ("name", "since", "signer", "by", "state", "for")]
    yield from columns([[*head, ("what speaks against it", "bold")], *(row(one) for one in found.reviews)], indent="")


def row(one: "Review") -> list[str | tuple[str, str]]:
    """A request as a row of that table."""
    csr = one.csr
    asked = ", ".join((one.request.common_name, *one.request.names)) if one.request else "?"
    state = csr.state.value
    wrong = "; ".join(one.wrong)
    return [
        (csr.name, "bold"),
        f"{csr.created.astimezone():%Y-%m-%d %H:%M}",
        _SHORT.get(csr.signer, csr.signer),
        csr.user,
        (state, _STYLES[state]),
        asked,
        (wrong or "-", "red" if wrong else ""),
    ]


def shown(found: "Found") -> Iterator[Text]:
    """Each request in full."""
    if not found.reviews:
        yield line("There is no such request.")
    for number, one in enumerate(found.reviews):
        if number:
            yield line()
        csr = one.csr
        yield line((csr.name, "bold"), "  ", (csr.state.value, _STYLES[csr.state.value]))
        yield from rows(_details(one))
        for claim in one.claims:
            style = "green" if claim.own else "bold red" if claim.holders else "yellow"
            yield line("    ", (claim.name, "bold"), "  ", (claim.words, style))
        for wrong in one.wrong:
            yield line(("  against it: ", "bold red"), wrong)
        yield line(("  if approved: ", "bold"), one.outcome)


def _details(one: "Review") -> list[tuple[str, str]]:
    csr, request = one.csr, one.request
    facts = [
        ("made by", f"{csr.user} ({', '.join(csr.groups) or 'in no group'})"),
        ("made", f"{csr.created.astimezone():%Y-%m-%d %H:%M:%S %Z}"),
        ("signer", csr.signer),
        ("usages", ", ".join(sorted(csr.usages))),
        ("lifetime", f"{csr.seconds} s" if csr.seconds is not None else "not said"),
        ("uid, version", f"{csr.uid}, {csr.version}"),
    ]
    if request is not None:
        facts += [
            ("subject", f"{request.common_name or 'no common name'}; {', '.join(request.organizations) or 'no organisation'}"),
            ("key", f"{request.key}, SHA-256 {request.key_sha256}"),
        ]
        if one.same_key:
            facts.append(("SAME KEY", f"as {', '.join(one.same_key)}, by or for somebody else"))
        more = [*request.emails, *request.uris]
        facts.append(("names", ", ".join((*request.names, *more)) or "none"))
    for condition in csr.conditions:
        facts.append((condition.type.lower(), f"{condition.reason}: {condition.message}"))
    return facts


def as_json(found: "Found") -> dict[str, Any]:
    """All of them for scripts."""
    return {"requests": [facts(one) for one in found.reviews], "blind": found.blind}


def facts(one: "Review") -> dict[str, Any]:
    """One for scripts."""
    csr, request = one.csr, one.request
    found: dict[str, Any] = {
        "name": csr.name,
        "uid": csr.uid,
        "resourceVersion": csr.version,
        "created": csr.created.isoformat(),
        "signer": csr.signer,
        "state": csr.state.value,
        "user": csr.user,
        "groups": list(csr.groups),
        "usages": sorted(csr.usages),
        "seconds": csr.seconds,
        "wrong": list(one.wrong),
        "sameKey": list(one.same_key),
        "outcome": one.outcome,
        "names": [
            {"name": claim.name, "own": claim.own, "holders": [str(holder) for holder in claim.holders]} for claim in one.claims
        ],
        "request": None,
    }
    if request is not None:
        found["request"] = {
            "commonName": request.common_name,
            "organizations": list(request.organizations),
            "dnsNames": list(request.dns_names),
            "ipAddresses": list(request.ip_addresses),
            "key": request.key,
            "keySha256": request.key_sha256,
        }
    return found


def done_line(one: "Done", kind: "State") -> Text:
    """What became of one that was decided."""
    if one.error:
        return line((f"{one.name}: ", "bold"), (one.error, "bold red"))
    return line((one.name, "bold"), f" is {kind.value.lower()}")
