"""A request as a person who decides about it wants to see it: who asks, for what, whose names these are, what would happen."""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kubegate.bootstrap.csr import Csr, State
from kubegate.bootstrap.holders import Holder, Holders
from kubegate.bootstrap.signers import KUBELET_CLIENT, KUBELET_SERVING, Asked, is_known, node_name, shape_problems
from kubegate.bootstrap.signing import LEAST
from kubegate.bootstrap.signing_request import NotOneRequest, SigningRequest, read_request


@dataclass(frozen=True, slots=True)
class Claim:
    """A name or address that is asked for, and who holds it."""

    name: str
    holders: tuple[Holder, ...]
    own: bool

    @property
    def words(self) -> str:
        """Whose it is."""
        if not self.holders:
            return "nobody in this cluster has it"
        others = ", ".join(map(str, self.holders))
        return f"its own ({others})" if self.own else others


@dataclass(frozen=True, slots=True)
class Review:
    """`request` is None where the bytes are not exactly one request. `wrong` is what speaks against approving, a clause each."""

    csr: Csr
    request: SigningRequest | None
    claims: tuple[Claim, ...]
    wrong: tuple[str, ...]
    same_key: tuple[str, ...]
    outcome: str


class Reviewer:
    """Looks at requests; `everything` are all that there are, `holders` is None where it may not be asked who holds a name."""

    def __init__(self, everything: Iterable[Csr], holders: Holders | None, now: datetime) -> None:
        self._holders = holders
        self._now = now
        self._by_key: dict[str, list[tuple[Csr, SigningRequest]]] = {}
        for csr in everything:
            with contextlib.suppress(NotOneRequest):
                request = read_request(csr.request)
                self._by_key.setdefault(request.key_sha256, []).append((csr, request))

    def review(self, csr: Csr) -> Review:
        """One request."""
        try:
            request = read_request(csr.request)
        except NotOneRequest as error:
            return Review(csr, None, (), (str(error),), (), "what is signed would not be what is shown: deny it")
        shape = tuple(shape_problems(csr.signer, Asked(request, csr.usages)))
        claims = tuple(_claim(name, request, self._holders) for name in request.names) if self._holders else ()
        foreign = (f"{one.name} belongs to {one.words}" for one in claims if one.holders and not one.own)
        wrong = (*shape, *_suspicions(csr, request, self._holders), *foreign)
        return Review(csr, request, claims, wrong, self._same_key(csr, request), _outcome(csr, request, shape, self._now))

    def _same_key(self, csr: Csr, request: SigningRequest) -> tuple[str, ...]:
        """Names of other requests with this public key that somebody else made, or that are for somebody else."""
        asked = (csr.user, request.common_name)
        alike = self._by_key.get(request.key_sha256, ())
        return tuple(one.name for one, read in alike if one.uid != csr.uid and (one.user, read.common_name) != asked)


def _claim(name: str, request: SigningRequest, holders: Holders) -> Claim:
    found = holders.of(name)
    node = node_name(request.common_name)
    return Claim(name, found, bool(found) and set(found) == {Holder("Node", node)})


def _suspicions(csr: Csr, request: SigningRequest, holders: Holders | None) -> Sequence[str]:
    found = []
    node = node_name(request.common_name)
    if csr.signer in (KUBELET_CLIENT, KUBELET_SERVING):
        asks_for_itself = csr.user == request.common_name
        if csr.signer == KUBELET_SERVING and not asks_for_itself:
            found.append(f"{csr.user} asks for a certificate of {request.common_name}")
        if csr.signer == KUBELET_CLIENT and not asks_for_itself and holders and node in holders.nodes:
            found.append(f"there is a node {node} already, and whoever asks has not proven to be it")
    if "system:masters" in request.organizations:
        found.append("its group is system:masters, which may do everything")
    if len(request.common_names) > 1:
        found.append(f"it has several common names ({', '.join(request.common_names)}), of which the last counts")
    if wild := [name for name in request.dns_names if "*" in name]:
        found.append(f"{', '.join(wild)} stands for names of others, too")
    if request.other_names:
        found.append("it has alternative names of an unusual kind")
    return found


def _outcome(csr: Csr, request: SigningRequest, shape: Sequence[str], now: datetime) -> str:
    if csr.state is not State.PENDING:
        return f"it is {csr.state.lower()} already, and stays so"
    if not is_known(csr.signer):
        return f"whatever signs for {csr.signer} would look at it"
    if shape:
        return f"kube-controller-manager would not sign it (Failed, SignerValidationFailure): {'; '.join(shape)}"
    if csr.seconds is None:
        until = "as long as the signer's default is (a year, unless --cluster-signing-duration says else)"
    else:
        lifetime = max(timedelta(seconds=csr.seconds), LEAST)
        until = f"until {now + lifetime:%Y-%m-%d %H:%M} UTC at the latest"
    what = "a server" if csr.signer == KUBELET_SERVING else "a client"
    return f"kube-controller-manager would make a certificate for {what}, {_subject(request)}, valid {until}"


def _subject(request: SigningRequest) -> str:
    groups = f" in {', '.join(request.organizations)}" if request.organizations else ""
    return f"{request.common_name or 'without a name'}{groups}"
