"""A declared file: what it means, and everything that is wrong with it at once."""

from pathlib import Path

import pytest

from kubegate.model.address import Endpoint
from kubegate.model.problem import Problem
from tests.unit.model.declared import HEAD, ONE, UPSTREAM, places, problems, read, told


def test_the_least() -> None:
    declaration = read(ONE)
    (cluster,) = declaration.config.clusters
    assert cluster.name == "prod"
    assert cluster.upstream.kubeconfig == Path("/etc/kubegate/admin.conf")
    assert declaration.config.listeners[0].address == Endpoint("127.0.0.1", 6443)
    assert declaration.places.at("clusters", 0, "upstream", "kubeconfig") == "FILE:5: clusters[prod].upstream.kubeconfig"
    assert declaration.places.at("clusters", 0, "hosts") == "FILE:4: clusters[prod].hosts"


def test_everything_at_once_in_the_order_of_its_lines() -> None:
    text = """kind: Gate
nmae: office
listeners:
- address: 6443
  default: prod
- name: local
  address: 127.0.0.1:6443
  address: 127.0.0.1:7443
clusters:
- name: prod
  hosts: [prod.example.com, "*.example.com"]
  upstream:
    servers: [api:6443]
    verification: non
  allow: []
  allowed: yes
- hosts: [stage.example.com]
  name: 12
  health: {rise: "2", fall: 0}
  certificate: {cert: a.crt}
- just text
dataPlane: {drain: 30}
"""
    assert told(text) == [
        ("FILE:1: apiVersion", "is missing"),
        ("FILE:2: nmae", "is no key that stands here"),
        ("FILE:4: listeners[0].address", "is a number, text was expected"),
        ("FILE:5: listeners[0].default", "is no key that stands here"),
        ("FILE:8: listeners[local].address", "is set in line 7 already, and YAML would silently take one of the two"),
        ("FILE:11: clusters[prod].hosts[1]", "'*.example.com' is a wildcard, and a name leads to one cluster"),
        ("FILE:14: clusters[prod].upstream.verification", "is not required or none"),
        ("FILE:15: clusters[prod].allow", "is an empty list"),
        ("FILE:16: clusters[prod].allowed", "is no key that stands here"),
        ("FILE:17: clusters[1].upstream", "says of no API server where it is"),
        ("FILE:18: clusters[1].name", "is a number, text was expected"),
        ("FILE:19: clusters[1].health.rise", "is text, a whole number was expected"),
        ("FILE:19: clusters[1].health.fall", "is 0, which is not a whole number from 1 to 100"),
        ("FILE:20: clusters[1].certificate.key", "is missing"),
        ("FILE:21: clusters[2]", "is text, a mapping was expected"),
        ("FILE:22: dataPlane.drain", "is a number without a unit"),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]\n", Problem("FILE:1", "config.type", "is empty", "its keys are")),
        ("---\n", Problem("FILE:2", "config.type", "is empty", "its keys are")),
        ("{}\n", Problem("FILE:1", "config.type", "is empty", "its keys are")),
        ("- a\n", Problem("FILE:1", "config.type", "is a list, and a declared gate is a mapping", "its keys are")),
        ("very-secret\n", Problem("FILE:1", "config.type", "is text, and a declared gate is a mapping", "its keys are")),
        (
            "a: b: c\n",
            Problem("FILE:1", "config.yaml", "is not YAML: mapping values are not allowed in this context", "text with"),
        ),
        (b"\xff", Problem("FILE:1", "config.yaml", "is not UTF-8 text", "save the file as UTF-8")),
    ],
)
def test_no_mapping_at_all(text: str | bytes, problem: Problem) -> None:
    (found,) = problems(text)
    assert (found.where, found.code, found.message) == (problem.where, problem.code, problem.message)
    assert found.hint.startswith(problem.hint)


def test_a_file_says_what_it_is() -> None:
    body = ONE.removeprefix(HEAD)
    assert [(p.where, p.code, p.hint) for p in problems(body)] == [
        ("FILE:1: apiVersion", "config.missing", "write apiVersion: kubegate.dev/v1alpha1"),
        ("FILE:1: kind", "config.missing", "write kind: Gate"),
    ]
    assert [(p.where, p.message, p.hint) for p in problems("apiVersion: kubegate.dev/v2\nkind: gate\n" + body)] == [
        ("FILE:1: apiVersion", "is not kubegate.dev/v1alpha1", "write kubegate.dev/v1alpha1"),
        ("FILE:2: kind", "is not Gate", "write Gate"),
    ]
    assert places("apiVersion: 1\nkind: [Gate]\n" + body) == ["apiVersion", "kind"]


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("defaultcluster: prod", "did you mean defaultCluster?"),
        ("default_cluster: prod", "did you mean defaultCluster?"),
        ("adress: x", "did you mean address?"),
        ("from: [10.0.0.0/8]", "did you mean proxyProtocol.from?"),
        ("metrics: x", "did you mean metrics?"),
        ("tls: {}", "known here: name, address, clusters, defaultCluster, proxyProtocol, clientCertificates"),
    ],
)
def test_unknown_keys(key: str, hint: str) -> None:
    (problem,) = problems(f"{ONE}listeners:\n- name: public\n  {key}\n")
    assert problem.where == f"FILE:8: listeners[public].{key.partition(':')[0]}"
    assert (problem.code, problem.hint) == ("config.unknown-key", hint)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("kubeconfig: x", "did you mean upstream.kubeconfig?"),
        ("ca: x", "did you mean certificate.ca or upstream.ca?"),
        ("host: [x]", "did you mean hosts?"),
        ("upsteam: {kubeconfig: x}", "did you mean upstream?"),
    ],
)
def test_what_was_meant_by_an_unknown_key_is_not_missing_too(key: str, hint: str) -> None:
    (problem,) = problems(f"{HEAD}clusters:\n- name: a\n  hosts: [a]\n  {key}\n  {'' if 'kubeconfig' in key else UPSTREAM}\n")
    assert problem.hint == hint


def test_a_key_that_stands_one_level_too_deep() -> None:
    (problem,) = problems(f"{HEAD}clusters:\n- name: a\n  upstream: {{kubeconfig: x, hosts: [y]}}\n")
    assert problem.hint == "did you mean clusters[].hosts?"


@pytest.mark.parametrize(
    ("key", "where", "message", "hint"),
    [
        ("hosts: prod.example.com", "hosts", "is text, a list was expected", "behind a dash"),
        ("hosts: [123]", "hosts[0]", "is a number, text was expected", "put it in quotes"),
        ("hosts: [no]", "hosts[0]", "is true or false, text was expected", "put it in quotes: plain yes, no"),
        ("hosts: [[a]]", "hosts[0]", "is a list, text was expected", "without a dash"),
        ("hosts: [{a: b}]", "hosts[0]", "is a mapping, text was expected", "names by which clients reach it"),
        ("hosts: ['']", "hosts[0]", "has no value", "take the line out"),
        ("hosts:", "hosts", "has no value", "leave the key out"),
        ("hosts: []", "hosts", "is an empty list", "leave the key out"),
        ("allow: [10.0.0.1/8]", "allow[0]", "'10.0.0.1/8' has bits set behind its prefix", "write 10.0.0.0/8"),
        ("allow: [10.5]", "allow[0]", "is a number, text was expected", "write one as in 10.0.0.0/8"),
        ("mode: passthru", "mode", "is not terminate or passthrough", "did you mean passthrough?"),
        ("mode: x", "mode", "is not terminate or passthrough", "write terminate or passthrough"),
        ("mode: 1", "mode", "is a number, terminate or passthrough was expected", "write terminate or passthrough"),
        ("balance: x", "balance", "is not leastconn, roundrobin or random", "write leastconn, roundrobin or random"),
        ("timeouts: 10s", "timeouts", "is text, a mapping was expected", "its keys are connect, request, stream"),
        ("timeouts: {stream: 1 day}", "timeouts.stream", "'1 day' is not a duration", "7d"),
        ("timeouts: {stream: no}", "timeouts.stream", "is true or false, text was expected", "write one as in 10s"),
        ("limits: {connections: '5'}", "limits.connections", "is text, a whole number was expected", "without quotes"),
        ("limits: {connections: many}", "limits.connections", "is text, a whole number was expected", "from 1 to 1000000"),
        ("limits: {connections: 1.5}", "limits.connections", "is a number with a fraction", "from 1 to 1000000"),
        ("limits: {connections: 0}", "limits.connections", "is 0, which is not a whole number from 1 to", "at one time"),
        ("limits: {connections: true}", "limits.connections", "is true or false, a whole number was expected", "write a whole"),
        ("certificate: {cert: , key: k}", "certificate.cert", "has no value", "give it a value: certificate in PEM form"),
        ("certificate: {key: k}", "certificate.cert", "is missing", "add cert: certificate in PEM form"),
        ("certificate: {cert: 1, key: k}", "certificate.cert", "is a number, text was expected", "put it in quotes"),
        ("certificate: {cert: '~no-such-user/x', key: k}", "certificate.cert", "'~no-such-user/x' begins with a home", "in full"),
    ],
)
def test_values_that_a_cluster_does_not_take(key: str, where: str, message: str, hint: str) -> None:
    (problem,) = problems(f"{ONE}  {key}\n")
    assert problem.where == f"FILE:6: clusters[prod].{where}"
    assert problem.message.startswith(message)
    assert hint in problem.hint


@pytest.mark.parametrize("typed", ["true", "yes", "on"])
def test_truth_in_the_words_of_yaml(typed: str) -> None:
    text = f"{HEAD}clusters:\n- upstream: {{discover: {typed}}}\n"
    assert read(text).config.clusters[0].upstream.discover
    (problem,) = problems(f"{HEAD}clusters:\n- upstream: {{discover: '{typed}'}}\n")
    assert (problem.message, problem.hint) == ("is text, true or false was expected", "write true or false, without quotes")


def test_python_names_of_keys_are_no_keys_of_a_file() -> None:
    assert places(f"{ONE}access_log: x\ndata_plane: {{}}\napi_version: kubegate.dev/v1alpha1\n") == [
        "access_log",
        "data_plane",
        "api_version",
    ]
    assert places(f"{ONE}listeners:\n- proxyProtocol: {{senders: [10.0.0.0/8]}}\n") == [
        "listeners[0].proxyProtocol.from",
        "listeners[0].proxyProtocol.senders",
    ]


def test_an_address_is_text_in_a_file() -> None:
    assert told(f"{ONE}metrics: {{address: {{host: 127.0.0.1, port: 1}}}}\n") == [
        ("FILE:6: metrics.address", "is a mapping, text was expected")
    ]


def test_what_only_follows_from_a_wrong_value_is_not_told() -> None:
    # The name that the listener gives may be that of the cluster whose name is wrong.
    assert places(f"{HEAD}listeners:\n- clusters: [prod]\nclusters:\n- name: Prod\n  {UPSTREAM}\n") == ["clusters[Prod].name"]
    # Two clusters without hosts, but one of them has some that are wrong.
    text = f"{HEAD}clusters:\n- name: a\n  hosts: [a]\n  {UPSTREAM}\n- name: b\n  hosts: ['*.b']\n  {UPSTREAM}\n"
    assert places(text) == ["clusters[b].hosts[0]"]
    # The servers are wrong, and not missing.
    assert places(f"{HEAD}clusters:\n- upstream: {{servers: api, ca: x}}\n") == ["clusters[0].upstream.servers"]
    # A misspelt cluster of a listener is not also one that nobody has.
    text = f"{HEAD}listeners:\n- clusters: [prdo]\nclusters:\n- name: prod\n  {UPSTREAM}\n"
    assert places(text) == ["listeners[0].clusters[0]"]


def test_what_does_not_follow_is_told_beside_a_wrong_value() -> None:
    text = f"{ONE}  mode: passthrough\n  certificate: {{cert: a, key: b}}\n  timeouts: {{connect: 10}}\nlisteners: 5\n"
    assert places(text) == ["clusters[prod].certificate", "clusters[prod].timeouts.connect", "listeners"]


@pytest.mark.parametrize(
    ("clusters", "message"), [("", "is missing"), ("clusters: []\n", "is an empty list"), ("clusters: 1\n", "is a")]
)
def test_a_gate_has_a_cluster(clusters: str, message: str) -> None:
    (problem,) = problems(HEAD + clusters)
    assert problem.where.endswith(": clusters")
    assert problem.message.startswith(message)


def test_aliases_share_values_and_their_flaws() -> None:
    shared = f"{ONE}  timeouts: &t {{connect: %s}}\n  hosts: [a]\n- name: b\n  hosts: [b]\n  {UPSTREAM}\n  timeouts: *t\n"
    first, second = read(shared % "3s").config.clusters
    assert first.timeouts == second.timeouts
    assert told(shared % "3") == [
        ("FILE:6: clusters[prod].timeouts.connect", "is a number without a unit"),
        ("FILE:6: clusters[b].timeouts.connect", "is a number without a unit"),
    ]


def test_nothing_of_a_strangers_text_acts_on_a_terminal() -> None:
    found = problems(f'{ONE}"\\e[31mkey": 1\nname: "\\e[31m"\nlisteners:\n- name: "a\\u202eb"\n  x: 1\n')
    assert len(found) == 4
    for problem in found:
        assert f"{problem.where}{problem.message}{problem.hint}".isprintable()


def test_a_thousand_clusters() -> None:
    cluster = """- name: c{0}
  hosts: [c{0}.example.com, d{0}.example.com]
  certificate: {{cert: c{0}.crt, key: c{0}.key}}
  upstream:
    servers: [10.0.0.1:{0}, 10.0.0.2:{0}]
    ca: c{0}.pem
    serverName: kubernetes.default.svc
  timeouts:
    connect: {1}
"""
    numbers = range(1, 1001)
    good = read(HEAD + "clusters:\n" + "".join(cluster.format(number, "3s") for number in numbers))
    assert len(good.config.clusters) == 1000
    assert good.places.at("clusters", 999, "timeouts") == "FILE:9002: clusters[c1000].timeouts"
    bad = problems(HEAD + "clusters:\n" + "".join(cluster.format(number, "3") for number in numbers))
    assert len(bad) == 1000
