"""`kubegate csr` on the real API server, and our reading and signing beside the real controller-manager's."""

import base64
import json
import os
import pty
import secrets
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from kubegate.bootstrap.csr import read_csr
from kubegate.bootstrap.signers import API_CLIENT, KUBELET_CLIENT, KUBELET_SERVING, Asked, shape_problems
from kubegate.bootstrap.signing import Issuer, sign
from kubegate.bootstrap.signing_request import NotOneRequest, read_request
from tests.cluster.cluster import Cluster
from tests.support.expose import Home, command
from tests.support.requests import NODES, key, names, request, subject
from tests.support.upstream import eventually

CLIENT = ("digital signature", "client auth")
SERVER = ("digital signature", "server auth")
LIMIT_SECONDS = 60


@dataclass
class Desk:
    """Requests of this test, made as whoever, and kubegate as the administrator."""

    cluster: Cluster
    person: Home
    made: list[str]

    def ask(
        self,
        pem: bytes,
        signer: str,
        usages: Sequence[str],
        *,
        node: str = "",
        seconds: int | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> str:
        """Make one: as a node, if one is named, as the administrator else. Its name."""
        name = f"test-{secrets.token_hex(4)}"
        spec: dict[str, Any] = {"request": base64.b64encode(pem).decode(), "signerName": signer, "usages": list(usages)}
        if seconds:
            spec["expirationSeconds"] = seconds
        body = {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": name, "labels": dict(labels or {})},
            "spec": spec,
        }
        acting = ("--as", f"system:node:{node}", "--as-group", NODES, "--as-group", "system:authenticated") if node else ()
        self.cluster.kubectl("create", *acting, "-f", "-", input=json.dumps(body))
        self.made.append(name)
        return name

    def get(self, name: str) -> dict[str, Any]:
        """The object."""
        found: dict[str, Any] = json.loads(self.cluster.kubectl("get", "csr", name, "-o", "json").stdout)
        return found

    def kubegate(self, *words: str, kubeconfig: Path | None = None) -> subprocess.CompletedProcess[str]:
        """kubegate csr, without a terminal."""
        environ = self.person.environ({"KUBECONFIG": str(kubeconfig or self.cluster.kubeconfig)})
        done = subprocess.run(
            command("csr", *words), env=environ, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL
        )
        assert "Traceback" not in done.stderr
        return done

    def shown(self, name: str) -> dict[str, Any]:
        """What it says about one."""
        found: dict[str, Any] = json.loads(self.kubegate("show", name, "--output", "json").stdout)["requests"][0]
        return found

    def settled(self, name: str) -> dict[str, Any]:
        """The object once the controller-manager has signed it or refused to."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < deadline:
            found = self.get(name)
            conditions = {one["type"] for one in found["status"].get("conditions", [])}
            if found["status"].get("certificate") or "Failed" in conditions:
                return found
            time.sleep(0.2)
        raise AssertionError("the controller-manager neither signed nor refused it")


@pytest.fixture
def desk(cluster: Cluster, person: Home) -> Iterator[Desk]:
    found = Desk(cluster, person, [])
    yield found
    if found.made:
        cluster.kubectl("delete", "csr", *found.made, "--ignore-not-found")


def node_of(cluster: Cluster) -> tuple[str, str]:
    """Name and address of the node that there is."""
    found = json.loads(cluster.kubectl("get", "nodes", "-o", "json").stdout)["items"][0]
    address = next(one["address"] for one in found["status"]["addresses"] if one["type"] == "InternalIP")
    return found["metadata"]["name"], address


def test_whose_the_names_are(desk: Desk, cluster: Cluster) -> None:
    node, address = node_of(cluster)
    api = cluster.servers[0].address
    service = json.loads(cluster.kubectl("get", "service", "kubernetes", "-o", "json").stdout)["spec"]["clusterIP"]
    claimed = names(node, address, api, service, "kubernetes.default.svc", "10.99.99.99")
    name = desk.ask(request(node, claimed), KUBELET_SERVING, SERVER, node=node)
    found = desk.shown(name)
    whose = {one["name"]: (one["own"], one["holders"]) for one in found["names"]}
    assert whose[node] == whose[address] == (True, [f"Node {node}"])
    assert whose[api] == (False, ["API server"])
    assert whose[service] == (False, ["Service default/kubernetes"])
    assert "API server" in whose["kubernetes.default.svc"][1]
    assert whose["10.99.99.99"] == (False, [])
    assert len(found["wrong"]) == 3
    text = desk.kubegate("show", name).stdout
    for words in (f"system:node:{node}", "its own", "nobody in this cluster has it", "ECDSA secp256r1", found["uid"]):
        assert words in text


def test_what_would_happen_and_what_speaks_against_it(desk: Desk, cluster: Cluster) -> None:
    node, _ = node_of(cluster)
    stolen = desk.ask(request(node), KUBELET_CLIENT, CLIENT)
    assert any("already" in one for one in desk.shown(stolen)["wrong"])
    shapeless = desk.ask(request("n", names("a")), KUBELET_CLIENT, CLIENT, seconds=600)
    assert "SignerValidationFailure" in desk.shown(shapeless)["outcome"]
    shared = key()
    one, other = (desk.ask(request(of=subject(user), by=shared), API_CLIENT, CLIENT) for user in ("anna", "bert"))
    assert desk.shown(one)["sameKey"] == [other]
    twice = desk.ask(b"x" + request("innocent") + request("evil"), KUBELET_CLIENT, CLIENT)
    assert desk.shown(twice)["request"] is None
    listed = desk.kubegate("list").stdout
    assert all(name in listed for name in desk.made)


def test_text_of_a_request_is_shown_escaped(desk: Desk) -> None:
    name = desk.ask(request(of=subject("\x1b[31mred\u202e", "a\nb")), API_CLIENT, CLIENT)
    for words in (("show", name), ("list",)):
        said = desk.kubegate(*words).stdout
        assert "\x1b" not in said
        assert "\u202e" not in said
        assert "\\x1b[31mred" in said


def test_approve_and_deny_with_reason_and_message(desk: Desk) -> None:
    good, bad = (desk.ask(request(of=subject(user)), API_CLIENT, CLIENT, seconds=600) for user in ("good", "bad"))
    assert desk.kubegate("approve", good, "--yes", "--reason", "Known", "--message", "it is Anna").returncode == 0
    assert desk.kubegate("deny", bad, "--yes", "--reason", "Unknown", "--message", "nobody knows it").returncode == 0
    issued = desk.settled(good)
    assert [(one["type"], one["reason"], one["message"]) for one in issued["status"]["conditions"]] == [
        ("Approved", "Known", "it is Anna")
    ]
    assert [(one["type"], one["reason"]) for one in desk.get(bad)["status"]["conditions"]] == [("Denied", "Unknown")]
    assert (desk.shown(good)["state"], desk.shown(bad)["state"]) == ("Issued", "Denied")
    again = desk.kubegate("approve", bad, "--yes")
    assert again.returncode == 1
    assert bad in again.stderr


def test_in_bulk_by_what_they_are(desk: Desk) -> None:
    mine = {"batch": secrets.token_hex(4)}
    chosen = [desk.ask(request(of=subject("a")), API_CLIENT, CLIENT, labels=mine) for _ in range(3)]
    other = desk.ask(request(of=subject("a")), API_CLIENT, CLIENT)
    done = desk.kubegate("deny", "--selector", f"batch={mine['batch']}", "--yes", "--output", "json")
    assert {one["name"] for one in json.loads(done.stdout)["decided"]} == set(chosen)
    assert [desk.shown(name)["state"] for name in (*chosen, other)] == ["Denied"] * 3 + ["Pending"]
    assert desk.kubegate("deny", "--yes").returncode == 2
    assert desk.kubegate("deny", other).returncode == 2
    unknown = desk.kubegate("deny", "no-such", "--yes")
    assert (unknown.returncode, "no-such" in unknown.stderr) == (2, True)
    assert desk.shown(other)["state"] == "Pending"


def test_in_bulk_nothing_is_approved_that_something_speaks_against(desk: Desk, cluster: Cluster) -> None:
    mine = {"batch": secrets.token_hex(4)}
    node, address = node_of(cluster)
    honest = desk.ask(request(node, names(node, address)), KUBELET_SERVING, SERVER, node=node, labels=mine)
    thief = desk.ask(request(node, names(node, cluster.servers[0].address)), KUBELET_SERVING, SERVER, node=node, labels=mine)
    done = desk.kubegate("approve", "--selector", f"batch={mine['batch']}", "--yes")
    assert (done.returncode, f"{thief}: it is not approved" in done.stderr) == (1, True)
    assert (desk.shown(thief)["state"], desk.shown(honest)["state"] in ("Approved", "Issued")) == ("Pending", True)
    # Who names it has seen it.
    assert desk.kubegate("approve", thief, "--yes").returncode == 0


def test_large_requests_are_in_nobodys_way(desk: Desk) -> None:
    large = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\0" * 90_000)
    made = [desk.ask(request(of=subject("large"), more=[large]), API_CLIENT, CLIENT) for _ in range(8)]
    assert desk.kubegate("deny", *made, "--yes").returncode == 0


def test_without_the_right_the_refusal_says_which_is_lacking(desk: Desk, cluster: Cluster) -> None:
    name = desk.ask(request(of=subject("a")), API_CLIENT, CLIENT)
    viewer = cluster.accounts["viewer"].kubeconfig
    seen = desk.kubegate("show", name, kubeconfig=viewer)
    assert (seen.returncode, "Refused" in seen.stderr or "refused" in seen.stderr) == (1, True)
    account = f"approver-{secrets.token_hex(3)}"
    rights = ["clusterrole", account, "--verb=get,list,update", "--resource=certificatesigningrequests"]
    rights += ["--resource=certificatesigningrequests/approval"]
    cluster.kubectl("create", *rights)
    cluster.kubectl("create", "clusterrolebinding", account, f"--clusterrole={account}", "--group=viewers")
    try:
        # The API server learns of new rights a moment later.
        eventually(lambda: cluster.kubectl("get", "csr", kubeconfig=viewer, check=False).returncode == 0)
        refused = desk.kubegate("approve", name, "--yes", kubeconfig=viewer)
        assert refused.returncode == 1
        assert f"the verb approve on signers with the name {API_CLIENT}" in refused.stderr
        assert "who holds a name could not be asked" in refused.stderr
    finally:
        cluster.kubectl("delete", "clusterrole,clusterrolebinding", account)
    assert desk.shown(name)["state"] == "Pending"


def test_what_was_not_shown_is_not_approved(desk: Desk, cluster: Cluster) -> None:
    name = desk.ask(request(of=subject("innocent")), API_CLIENT, CLIENT)
    main, terminal = pty.openpty()
    environ = desk.person.environ({"KUBECONFIG": str(cluster.kubeconfig)})
    with subprocess.Popen(
        command("csr", "approve", name), env=environ, stdin=terminal, stdout=terminal, stderr=terminal, close_fds=True
    ) as process:
        os.close(terminal)
        said = _read_until(main, "Approve this request?")
        assert "innocent" in said
        # Somebody puts another one in its place while the person reads.
        cluster.kubectl("delete", "csr", name)
        spec = {
            "request": base64.b64encode(request(of=subject("evil"))).decode(),
            "signerName": API_CLIENT,
            "usages": list(CLIENT),
        }
        body = {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": name},
            "spec": spec,
        }
        cluster.kubectl("create", "-f", "-", input=json.dumps(body))
        os.write(main, b"y\n")
        again = _read_until(main, "Approve this request?")
        assert "not what was shown" in again
        assert "evil" in again
        os.write(main, b"n\n")
        process.wait(30)
    os.close(main)
    assert desk.shown(name)["state"] == "Pending"


def _read_until(terminal: int, words: str) -> str:
    said, deadline = "", time.monotonic() + LIMIT_SECONDS
    while words not in said and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.5)[0]:
            said += os.read(terminal, 4096).decode(errors="replace")
    assert words in said, said
    return said


def test_watch_tells_what_comes_and_what_becomes_of_it(desk: Desk, cluster: Cluster) -> None:
    environ = desk.person.environ({"KUBECONFIG": str(cluster.kubeconfig)})
    with subprocess.Popen(
        command("csr", "watch", "--output", "json"), env=environ, stdout=subprocess.PIPE, stderr=sys.stderr, text=True, bufsize=1
    ) as process:
        try:
            name = desk.ask(request(of=subject("a")), API_CLIENT, CLIENT)
            states: list[str] = []
            assert process.stdout
            for text in process.stdout:
                found = json.loads(text)
                if found["name"] == name:
                    states.append(found["state"])
                    if states == ["Pending"]:
                        assert desk.kubegate("deny", name, "--yes").returncode == 0
                    else:
                        break
            assert states == ["Pending", "Denied"]
        finally:
            process.terminate()


NODE = "new-node"
MAIL, URI = x509.RFC822Name("a@b.example"), x509.UniformResourceIdentifier("spiffe://a")
MORE = [
    x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "unit"),
    x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
    x509.NameAttribute(NameOID.EMAIL_ADDRESS, "a@b.example"),
    x509.NameAttribute(NameOID.SERIAL_NUMBER, "7"),
]
SHAPES = [
    (KUBELET_CLIENT, request(NODE), CLIENT),
    (KUBELET_CLIENT, request(NODE), (*CLIENT, "key encipherment")),
    (KUBELET_CLIENT, request(NODE), SERVER),
    (KUBELET_CLIENT, request(NODE, names(NODE)), CLIENT),
    (KUBELET_CLIENT, request(of=subject(f"system:node:{NODE}", NODES, "other")), CLIENT),
    (KUBELET_CLIENT, request(of=x509.Name([*subject("innocent"), *subject(f"system:node:{NODE}", NODES)])), CLIENT),
    (KUBELET_SERVING, request(NODE, names(NODE, "10.1.2.3", "2001:db8::1")), SERVER),
    (KUBELET_SERVING, request(NODE), SERVER),
    (KUBELET_SERVING, request(NODE, [*names(NODE), MAIL]), SERVER),
    (KUBELET_SERVING, request(NODE, [*names(NODE), x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))]), SERVER),
    (API_CLIENT, request(of=subject("anna", "dev"), claimed=[*names("a.example"), MAIL, URI]), CLIENT),
    (API_CLIENT, request(of=x509.Name([*subject("anna", "dev", "ops"), *MORE, *subject("bert")])), CLIENT),
    (API_CLIENT, request(of=subject("")), CLIENT),
    (API_CLIENT, request(of=subject("anna")), (*CLIENT, "server auth")),
    (API_CLIENT, request(of=subject("anna"), more=[x509.BasicConstraints(ca=True, path_length=None)]), CLIENT),
]


def test_we_sign_what_the_controller_manager_signs_and_as_it_does(desk: Desk, cluster: Cluster) -> None:
    authority = x509.load_pem_x509_certificate(cluster.ca.certificate.read_bytes())
    issuer = Issuer(authority, load_pem_private_key(cluster.ca.key.read_bytes(), None))  # type: ignore[arg-type]
    asked = [(desk.ask(pem, signer, usages, seconds=3600), signer) for signer, pem, usages in SHAPES]
    # An administrator's requests of kubelet clients are approved by the controller-manager itself; it may be first.
    desk.kubegate("approve", *(name for name, _ in asked), "--yes")
    signed = 0
    for name, signer in asked:
        found = desk.settled(name)
        csr = read_csr(found)
        read = read_request(csr.request)
        problems = shape_problems(signer, Asked(read, csr.usages))
        assert bool(csr.certificate) == (not problems), (signer, problems, found["status"])
        if csr.certificate:
            signed += 1
            theirs = x509.load_pem_x509_certificate(csr.certificate)
            ours = sign(read, csr.usages, csr.seconds, issuer, datetime.now(UTC).replace(microsecond=0))
            assert _form(ours) == _form(theirs)
            assert abs(ours.not_valid_after_utc - theirs.not_valid_after_utc).total_seconds() < LIMIT_SECONDS
            assert abs(ours.not_valid_before_utc - theirs.not_valid_before_utc).total_seconds() < LIMIT_SECONDS
    assert signed == 9


def _form(one: x509.Certificate) -> tuple[Any, ...]:
    extensions = sorted((ext.oid.dotted_string, ext.critical, ext.value.public_bytes()) for ext in one.extensions)
    lifetime = one.not_valid_after_utc - one.not_valid_before_utc
    return one.subject, one.issuer, one.public_key(), one.version, lifetime, one.signature_hash_algorithm.name, extensions  # type: ignore[union-attr]


def test_two_blocks_are_one_request_for_us_and_another_for_the_controller_manager(desk: Desk) -> None:
    pem = b"x" + request(of=subject("innocent")) + request(of=subject("evil"))
    name = desk.ask(pem, API_CLIENT, CLIENT)
    refused = desk.kubegate("approve", name, "--yes")
    assert (refused.returncode, "cannot be shown" in refused.stderr) == (1, True)
    assert desk.get(name)["status"] == {}
    desk.cluster.kubectl("certificate", "approve", name)
    theirs = x509.load_pem_x509_certificate(base64.b64decode(desk.settled(name)["status"]["certificate"]))
    assert theirs.subject == subject("evil")
    with pytest.raises(NotOneRequest):
        read_request(pem)
