"""Targets made of objects of Kubernetes: each key of a declaration shows in them or is refused by name; keys stay apart."""

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml

from kubegate.model.plan import Verification
from kubegate.model.problem import InvalidInput, Problem
from kubegate.render.expressed import refused_keys
from kubegate.render.keys import Refusal
from tests.support.cluster_targets import TABLES, TARGETS, Document, declared, objects, rendered
from tests.unit.docs.test_configuration import known

BASE: Document = {
    "apiVersion": "kubegate.dev/v1alpha1",
    "kind": "Gate",
    "listeners": [{"name": "public", "address": "0.0.0.0:443"}],
    "clusters": [
        {
            "name": "prod",
            "hosts": ["prod.example.com"],
            "certificate": {"cert": "prod.crt", "key": "prod.key"},
            "upstream": {"servers": ["10.0.0.1:6443"], "ca": "ca.crt", "serverName": "api.example.com"},
        }
    ],
}
KUBECONFIG = {"kubeconfig": "one.kubeconfig", "context": "admin"}
Change = Callable[[Document], object]


def cluster(**keys: Any) -> Change:
    """Keys of the cluster."""
    return lambda document: document["clusters"][0].update(keys)


def listener(**keys: Any) -> Change:
    """Keys of the listener."""
    return lambda document: document["listeners"][0].update(keys)


def passed(document: Document) -> None:
    """TLS is passed through."""
    document["clusters"][0]["mode"] = "passthrough"
    document["clusters"][0].pop("certificate")


def upstream(**keys: Any) -> Change:
    """The upstream, with the server of the base where none is given."""
    return cluster(upstream=keys if keys.keys() & {"servers", "kubeconfig", "discover"} else {"servers": ["10.0.0.1"], **keys})


# For each key two ways to write it, which mean something else.
WAYS: Mapping[str, tuple[Change, Change]] = {
    "listeners[].name": (listener(name="one"), listener(name="two")),
    "listeners[].address": (listener(address="0.0.0.0:443"), listener(address="0.0.0.0:8443")),
    "listeners[].clusters": (
        lambda document: document["listeners"].append({"name": "other", "address": "0.0.0.0:7443"}),
        listener(clusters=["prod"]),
    ),
    "listeners[].defaultCluster": (listener(defaultCluster="prod"), listener()),
    "listeners[].proxyProtocol.from": (
        listener(proxyProtocol={"from": ["10.0.0.0/8"]}),
        listener(proxyProtocol={"from": ["10.1.0.0/16"]}),
    ),
    "clusters[].name": (cluster(name="one"), cluster(name="two")),
    "clusters[].hosts": (cluster(hosts=["one.example.com"]), cluster(hosts=["one.example.com", "two.example.com"])),
    "clusters[].mode": (cluster(mode="terminate"), passed),
    "clusters[].certificate.cert": (
        cluster(certificate={"cert": "one.crt", "key": "one.key"}),
        cluster(certificate={"cert": "two.crt", "key": "one.key"}),
    ),
    "clusters[].certificate.key": (
        cluster(certificate={"cert": "one.crt", "key": "one.key"}),
        cluster(certificate={"cert": "one.crt", "key": "two.key"}),
    ),
    "clusters[].certificate.chain": (
        cluster(certificate={"cert": "one.crt", "key": "one.key", "chain": "one.crt"}),
        cluster(certificate={"cert": "one.crt", "key": "one.key", "chain": "two.crt"}),
    ),
    "clusters[].certificate.ca": (
        cluster(certificate={"cert": "one.crt", "key": "one.key", "ca": "one.crt"}),
        cluster(certificate={"cert": "one.crt", "key": "one.key", "ca": "two.crt"}),
    ),
    "clusters[].upstream.kubeconfig": (upstream(**KUBECONFIG), upstream(**KUBECONFIG | {"kubeconfig": "two.kubeconfig"})),
    "clusters[].upstream.context": (upstream(**KUBECONFIG), upstream(**KUBECONFIG | {"context": "other"})),
    "clusters[].upstream.servers": (upstream(servers=["10.0.0.1"]), upstream(servers=["10.0.0.1", "10.0.0.2"])),
    "clusters[].upstream.ca": (upstream(ca="one.crt"), upstream(ca="two.crt")),
    "clusters[].upstream.serverName": (upstream(serverName="one.example.com"), upstream(serverName="two.example.com")),
    "clusters[].upstream.discover": (upstream(discover=True), upstream(servers=["10.0.0.1"])),
    "clusters[].upstream.verification": (upstream(verification="none"), upstream(verification="required")),
    "clusters[].balance": (cluster(balance="roundrobin"), cluster(balance="random")),
    "clusters[].health.interval": (cluster(health={"interval": "2s"}), cluster(health={"interval": "4s"})),
    "clusters[].health.rise": (cluster(health={"rise": 3}), cluster(health={"rise": 4})),
    "clusters[].health.fall": (cluster(health={"fall": 3}), cluster(health={"fall": 4})),
    "clusters[].allow": (cluster(allow=["10.0.0.0/8"]), cluster(allow=["10.0.0.0/8", "2001:db8::/32"])),
    "clusters[].timeouts.connect": (cluster(timeouts={"connect": "2s"}), cluster(timeouts={"connect": "3s"})),
    "clusters[].timeouts.request": (cluster(timeouts={"request": "1m"}), cluster(timeouts={"request": "2m"})),
    "clusters[].timeouts.stream": (cluster(timeouts={"stream": "1h"}), cluster(timeouts={"stream": "2h"})),
    "clusters[].limits.connections": (cluster(limits={"connections": 100}), cluster(limits={"connections": 200})),
    "clusters[].limits.requestsPerSecond": (
        cluster(limits={"requestsPerSecond": 100}),
        cluster(limits={"requestsPerSecond": 200}),
    ),
    "metrics.address": (
        lambda document: document.update(metrics={"address": "0.0.0.0:9100"}),
        lambda document: document.update(metrics={"address": "127.0.0.1:9100"}),
    ),
    **{
        f"dataPlane.{key}": (
            lambda document, key=key, value=one: document.update(dataPlane={key: value}),  # type: ignore[misc]
            lambda document, key=key, value=other: document.update(dataPlane={key: value}),  # type: ignore[misc]
        )
        for key, one, other in (
            ("haproxy", "/usr/sbin/haproxy", "/usr/local/sbin/haproxy"),
            ("threads", 2, 3),
            ("maxConnections", 1000, 2000),
            ("maxOldWorkers", 2, 3),
            ("oldWorkerWait", "10s", "20s"),
            ("spareClusters", 1, 2),
            ("drain", "10s", "20s"),
        )
    },
    "accessLog": (
        lambda document: document.update(accessLog="/var/log/one"),
        lambda document: document.update(accessLog="/var/log/two"),
    ),
}
# Where listeners can ask for client certificates.
LATER: Mapping[str, tuple[Change, Change]] = {
    f"listeners[].clientCertificates.{key}": (
        lambda document, key=key, value=one: listener(clientCertificates={"ca": "ca.crt", key: value})(document),  # type: ignore[misc]
        lambda document, key=key, value=other: listener(clientCertificates={"ca": "ca.crt", key: value})(document),  # type: ignore[misc]
    )
    for key, one, other in (("ca", "one.crt", "two.crt"), ("revoked", "one", "two"), ("mode", "required", "optional"))
}
# A file says by them what it is; there is one value for each.
CONSTANT = {".apiVersion", ".kind"}


def leaves() -> set[str]:
    """The keys that have no keys below them, lists of mappings marked as such."""
    every = known()
    found = {key for key in every if not any(other.startswith(f"{key}.") for other in every)} - CONSTANT
    return {key[1:].replace("listeners.", "listeners[].").replace("clusters.", "clusters[].", 1) for key in found}


WAYS = {**WAYS, **{key: ways for key, ways in LATER.items() if key in leaves()}}


def written(change: Change) -> Document:
    """The base, changed."""
    document = copy.deepcopy(BASE)
    change(document)
    return document


def outcome(target: str, change: Change) -> list[Document] | tuple[Problem, ...]:
    """The objects (of a chart its files, without their comments), or the problems."""
    try:
        found = rendered(target, written(change))
    except InvalidInput as error:
        return error.problems
    if target != "helm":
        return objects(found)
    return [{one.name: [line for line in one.content.splitlines() if line[:1] != b"#"]} for one in found.artefacts]


def entry(target: str, key: str) -> str | Refusal:
    """What the table says of a key."""
    found = [value for name, value in TABLES[target].items() if key == name or key.startswith(f"{name}.")]
    assert len(found) == 1, f"{target} says of {key}: {found}"
    return found[0]


def names(problem: Problem, key: str) -> bool:
    """Whether a problem is told at a key, or at the mapping that it is in."""
    told = problem.where.partition(": ")[2]
    plain = "".join(part.partition("]")[2] if "]" in part else part for part in told.split("["))
    wanted = key.replace("[]", "")
    return bool(plain) and (wanted == plain or wanted.startswith(f"{plain}."))


def test_every_key_is_tried() -> None:
    assert set(WAYS) == leaves()


@pytest.mark.parametrize("target", TARGETS)
def test_tables_have_every_key_once(target: str) -> None:
    for key in leaves():
        entry(target, key)
    unknown = [name for name in TABLES[target] if not any(key == name or key.startswith(f"{name}.") for key in leaves())]
    assert set(unknown) - {"listeners[].clientCertificates"} == {"apiVersion", "kind"}


@pytest.mark.parametrize("key", sorted(WAYS))
@pytest.mark.parametrize("target", TARGETS)
def test_every_key_is_expressed_or_refused_by_its_name(target: str, key: str) -> None:
    refused = isinstance(entry(target, key), Refusal)
    one: list[Document] | tuple[Problem, ...]
    other: list[Document] | tuple[Problem, ...]
    if refused and key in LATER:
        # What the plan needs to know about them is not known here, and nothing of it is asked for.
        document = declared(written(WAYS[key][0]))
        one = other = tuple(refused_keys(target, document, TABLES[target]))
    else:
        one, other = (outcome(target, way) for way in WAYS[key])
    if refused:
        assert isinstance(one, tuple), f"{key} is dropped"
        assert [names(problem, key) and problem.code == "target.key" for problem in one] == [True], one
        assert all(problem.hint for problem in one)
        return
    rendering = [found for found in (one, other) if isinstance(found, list)]
    assert rendering, (one, other)
    for found in (one, other):
        if isinstance(found, tuple):
            assert all(names(problem, key) for problem in found), found
    if len(rendering) == 2:
        assert one != other, f"{key} changes nothing"


def test_a_key_that_no_table_has_is_refused() -> None:
    table = {key: entry for key, entry in TABLES["contour"].items() if key != "clusters[].hosts"}
    [problem] = refused_keys("Contour", declared(BASE), table)
    assert problem.where == "kubegate.yaml:8: clusters[prod].hosts"


@pytest.mark.parametrize("target", TARGETS)
def test_equal_declarations_give_equal_bytes(target: str) -> None:
    assert rendered(target, BASE) == rendered(target, copy.deepcopy(BASE))


@pytest.mark.parametrize("target", TARGETS)
def test_private_keys_are_in_files_for_their_owner_alone(target: str) -> None:
    key = yaml.safe_load(yaml.safe_dump(secret(target)))
    holding = [one for one in rendered(target, BASE).artefacts if key in one.content.decode()]
    assert [one.mode for one in holding] == [0o600]
    assert [one for one in rendered(target, BASE).artefacts if one.mode != 0o644] == holding
    assert key not in repr(rendered(target, BASE))


def secret(target: str) -> str:
    """A private key as it stands in the files of a target."""
    import base64

    pem = "-----BEGIN PRIVATE KEY-----\n" + base64.b64encode(b"/etc/kubegate/prod.key").decode()
    if target == "helm":
        return pem.splitlines()[1]
    return base64.b64encode(f"{pem}\n-----END PRIVATE KEY-----\n".encode()).decode()


@pytest.mark.parametrize("target", TARGETS)
def test_every_file_says_from_what_it_was_made(target: str) -> None:
    for one in rendered(target, BASE).artefacts:
        if "/templates/" not in one.name:
            head = [line for line in one.content.decode().splitlines() if line.startswith("#")]
            assert "Made by kubegate 1.2.3 from kubegate.yaml: clusters prod; listeners public (0.0.0.0:443)." in head[1]


@pytest.mark.parametrize(
    ("target", "change", "key"),
    [
        *((target, cluster(hosts=["203.0.113.7", "a.example.com"]), "clusters.hosts") for target in ("contour", "gateway-api")),
        *((target, lambda d: d["clusters"][0].pop("certificate"), "clusters.certificate") for target in TARGETS),
        *((target, listener(address="127.0.0.1:443"), "listeners.address") for target in TARGETS),
        *((target, upstream(servers=["127.0.0.1:6443"]), "clusters.upstream") for target in TARGETS),
        *((target, upstream(servers=["[::ffff:10.0.0.1]:6443"]), "clusters.upstream") for target in TARGETS),
        *((target, upstream(servers=["224.0.0.1:6443"]), "clusters.upstream") for target in TARGETS),
        (
            "kubernetes",
            lambda d: (d["listeners"][0].update(name="kubegate-metrics"), d.update(metrics={"address": "0.0.0.0:9100"})),
            "listeners.name",
        ),
        ("contour", cluster(health={"interval": "1500ms"}), "clusters.health.interval"),
        ("ingress-nginx", cluster(timeouts={"connect": "2m"}), "clusters.timeouts.connect"),
        ("ingress-nginx", cluster(timeouts={"stream": "1500ms"}), "clusters.timeouts.stream"),
        ("ingress-nginx", cluster(balance="leastconn"), "clusters.balance"),
        ("gateway-api", upstream(verification="none"), "clusters.upstream.verification"),
        ("gateway-api", cluster(hosts=[f"h{number}.example.com" for number in range(17)]), "clusters.hosts"),
        ("contour", cluster(hosts=[".".join(["a" * 60] * 4)]), "clusters.hosts"),
        ("kubernetes", lambda d: d.update(metrics={"address": "10.0.0.5:9100"}), "metrics.address"),
        ("kubernetes", upstream(kubeconfig="one", discover=True), "clusters.upstream.kubeconfig"),
        ("kubernetes", lambda d: d["listeners"].append({"name": "six", "address": "[::]:443"}), "listeners.address"),
    ],
)
def test_values_that_are_refused_are_told_at_their_key(target: str, change: Change, key: str) -> None:
    found = outcome(target, change)
    assert isinstance(found, tuple), found
    assert [names(problem, key) for problem in found] == [True], found


@pytest.mark.parametrize("target", ["contour", "ingress-nginx"])
@pytest.mark.parametrize(
    ("keys", "at"),
    [({"allow": ["10.0.0.0/8"]}, "clusters.allow"), ({"timeouts": {"stream": "1h"}}, "clusters.timeouts.stream")],
)
def test_passed_through_what_counts_for_http_alone_is_refused(target: str, keys: Document, at: str) -> None:
    def change(document: Document) -> None:
        passed(document)
        document["clusters"][0].update(keys)

    found = outcome(target, change)
    assert isinstance(found, tuple), "everybody might come"
    assert [names(problem, at) for problem in found] == [True], found


@pytest.mark.parametrize(("target", "flag"), [("gateway-api", "--gateway-class"), ("kubernetes", "--image"), ("helm", "--image")])
def test_what_only_a_flag_can_say_is_asked_for(target: str, flag: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        rendered(target, BASE, image="", gateway_class="")
    assert [problem.where for problem in caught.value.problems] == [flag]


def test_all_problems_at_once() -> None:
    def change(document: Document) -> None:
        document.update(accessLog="/var/log/one", metrics={"address": "0.0.0.0:9100"})
        document["clusters"][0].update(hosts=["203.0.113.7"], limits={"requestsPerSecond": 5})
        document["clusters"][0].pop("certificate")

    found = outcome("contour", change)
    assert isinstance(found, tuple)
    assert len({problem.where for problem in found}) == len(found) == 5


def test_a_cluster_without_api_servers_is_refused() -> None:
    from kubegate.model.planner import plan
    from kubegate.render import contour
    from kubegate.render.in_cluster import ClusterOptions
    from tests.support.cluster_targets import facts

    declaration = declared(BASE)
    made = plan(declaration.config, facts(declaration.config))
    empty = dataclasses.replace(made, backends=tuple(dataclasses.replace(one, servers=()) for one in made.backends))
    with pytest.raises(InvalidInput, match="no API server answers"):
        contour.render(empty, ClusterOptions(declared=declaration))


@pytest.mark.parametrize("target", ["contour", "ingress-nginx"])
def test_unverified_api_servers_are_warned_about(target: str) -> None:
    assert any(
        note.startswith("WARNING: cluster prod") for note in rendered(target, written(upstream(verification="none"))).notes
    )
    assert not any(note.startswith("WARNING") for note in rendered(target, BASE).notes)


def test_no_credential_of_a_kubeconfig_goes_into_the_cluster() -> None:
    for target in TARGETS:
        found = rendered(target, written(upstream(**KUBECONFIG)))
        assert all(b"kubeconfig" not in one.content.replace(b"kubeconfigs", b"") for one in found.artefacts), target


def test_no_rights_where_none_are_needed() -> None:
    kinds = [one["kind"] for one in objects(rendered("kubernetes", BASE))]
    assert not {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"} & set(kinds)
    discovering = objects(rendered("kubernetes", written(upstream(discover=True))))
    [role] = [one for one in discovering if one["kind"] == "Role"]
    assert role["metadata"]["namespace"] == "default"
    assert role["rules"] == [{"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list"]}]
    tokens = [
        [one["automountServiceAccountToken"] for one in made if one["kind"] == "ServiceAccount"]
        for made in (objects(rendered("kubernetes", BASE)), discovering)
    ]
    assert tokens == [[False], [True]]


def test_the_gateway_of_another_namespace_is_granted_the_secrets_and_nothing_else() -> None:
    here = objects(rendered("gateway-api", BASE))
    assert not [one for one in here if one["kind"] == "ReferenceGrant"]
    apart = objects(rendered("gateway-api", BASE, gateway_namespace="edge"))
    [grant] = [one for one in apart if one["kind"] == "ReferenceGrant"]
    assert grant["spec"]["from"] == [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "edge"}]
    assert grant["spec"]["to"] == [{"group": "", "kind": "Secret", "name": "kubegate-prod-tls"}]
    [gateway] = [one for one in apart if one["kind"] == "Gateway"]
    assert gateway["metadata"]["namespace"] == "edge"
    assert gateway["spec"]["listeners"][0]["allowedRoutes"]["namespaces"]["selector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": "kubegate"
    }


def test_the_pods_read_the_file_that_was_declared_with_mounted_files() -> None:
    [config] = [one for one in objects(rendered("kubernetes", BASE)) if one["kind"] == "ConfigMap"]
    file = yaml.safe_load(config["data"]["kubegate.yaml"])
    assert file["clusters"][0]["certificate"] == {"cert": "tls/prod.crt", "key": "tls/prod.key"}
    assert file["clusters"][0]["upstream"] == BASE["clusters"][0]["upstream"] | {"ca": "ca/prod.crt"}
    assert declared(config["data"]["kubegate.yaml"]).config.listeners == declared(BASE).config.listeners


def test_hosts_of_two_clusters_never_give_one_httpproxy() -> None:
    def change(document: Document) -> None:
        document["clusters"].append(copy.deepcopy(document["clusters"][0]))
        document["clusters"][0].update(name="a", hosts=["b-c.example.com"])
        document["clusters"][1].update(name="a-b", hosts=["c.example.com"])

    found = [one["metadata"]["name"] for one in objects(rendered("contour", written(change))) if one["kind"] == "HTTPProxy"]
    assert found == ["kubegate-a.b-c.example.com", "kubegate-a-b.c.example.com"]


def test_a_route_of_many_names_and_listeners_is_refused_before_anything_is_applied() -> None:
    def change(document: Document, names: int) -> None:
        document["listeners"] += [{"name": f"l{number}", "address": f"0.0.0.0:{8443 + number}"} for number in range(2)]
        document["clusters"][0]["hosts"] = [f"h{number}.example.com" for number in range(names)]

    assert isinstance(outcome("gateway-api", lambda document: change(document, 10)), list)
    [problem] = outcome("gateway-api", lambda document: change(document, 11))
    assert isinstance(problem, Problem)
    assert "33 listeners" in problem.message


def test_a_grant_of_more_secrets_than_it_can_name_is_refused() -> None:
    def change(document: Document) -> None:
        first = document["clusters"][0]
        document["clusters"] = [{**first, "name": f"c{number}", "hosts": [f"c{number}.test"]} for number in range(17)]

    assert rendered("gateway-api", written(change))
    with pytest.raises(InvalidInput, match="16 Secrets at most"):
        rendered("gateway-api", written(change), gateway_namespace="edge")


@pytest.mark.parametrize("target", ["kubernetes", "helm", "gateway-api", "contour"])
def test_of_a_ca_file_certificates_alone_are_rendered(target: str) -> None:
    from kubegate.model.planner import plan
    from kubegate.render.in_cluster import ClusterOptions
    from tests.support.cluster_targets import facts

    declaration = declared(BASE)
    made = plan(declaration.config, facts(declaration.config))
    secret = b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
    comment = "F\u0151tan\xfas\xedtv\xe1ny\n".encode("iso-8859-2")

    def beside(verification: Verification | None) -> Verification | None:
        return verification and dataclasses.replace(verification, ca_pem=comment + verification.ca_pem + secret)

    backends = [dataclasses.replace(one, verification=beside(one.verification)) for one in made.backends]
    options = ClusterOptions(image="one", gateway_class="one", version="1.2.3", declared=declaration)
    shown = TARGETS[target](dataclasses.replace(made, backends=tuple(backends)), options)
    own = TARGETS[target](made, options)
    assert [one.content for one in shown.artefacts] == [one.content for one in own.artefacts]


def test_what_the_engine_may_not_do_is_said() -> None:
    assert any("BackendTLSPolicy is accepted" in note for note in rendered("gateway-api", BASE).notes)
    assert not any("BackendTLSPolicy is accepted" in note for note in rendered("gateway-api", written(passed)).notes)
    allowing = written(cluster(allow=["10.0.0.0/8"]))
    assert any("use-forwarded-headers" in note for note in rendered("ingress-nginx", allowing).notes)


def test_a_release_that_is_called_like_a_number_stays_text() -> None:
    files = [one.content.decode() for one in rendered("helm", BASE).artefacts if one.name.endswith("serviceaccount.yaml")]
    [made] = [
        yaml.safe_load(text.replace("{{ .Release.Name }}", "123").replace("{{ .Release.Namespace }}", "1e3")) for text in files
    ]
    assert (made["metadata"]["name"], made["metadata"]["namespace"]) == ("123", "1e3")
    assert made["metadata"]["labels"]["app.kubernetes.io/instance"] == "123"


def test_a_chart_without_keys_asks_for_no_file_of_them() -> None:
    for document, asked in ((BASE, True), (written(passed), False)):
        found = rendered("helm", document)
        said = " ".join([*found.notes, *(one.content.decode() for one in found.artefacts if "/templates/" not in one.name)])
        assert ("--values FOLDER/values-keys.yaml" in said) == asked
        assert ("values-keys.yaml" in {one.name for one in found.artefacts}) == asked
