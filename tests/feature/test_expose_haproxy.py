"""Which HAProxy runs: the one that is named, else the newer of the embedded and the system's; and none is a sentence."""

import shlex
from functools import partial
from pathlib import Path

import pytest

from kubegate.runtime.binary import find
from tests.support.expose import Home, at_once, expose, kubeconfig, kubegate, problems
from tests.support.programs import on_path, program, without_embedded
from tests.support.upstream import Upstream

pytestmark = pytest.mark.haproxy


def flags(person: Home, api: Upstream, *more: str) -> tuple[str, ...]:
    """Flags for an API server and a free port."""
    config = kubeconfig(person.path / "config.yaml", f"https://127.0.0.1:{api.port}")
    return "--kubeconfig", str(config), "--listen", "127.0.0.1:0", *more


def real(person: Home, version: str, *, as_name: str = "haproxy") -> Path:
    """The real HAProxy with another word on its age."""
    embedded = shlex.quote(str(find().path))
    return program(person, as_name, f'[ "$1" = -vv ] && echo "HAProxy version {version}" && exit\nexec {embedded} "$@"')


def problem(person: Home, api: Upstream, *more: str, extra: dict[str, str] | None = None) -> dict[str, str]:
    """The one problem there is."""
    done = kubegate("expose", "--output", "json", *flags(person, api, *more), home=person, extra=extra)
    [found] = problems(done)
    assert done.returncode == 2
    assert "--haproxy FILE" in found["hint"]
    assert person.left() == []
    return found


def test_the_embedded_one(person: Home, upstream: Upstream) -> None:
    with expose(*flags(person, upstream), home=person, extra=on_path(person)) as gate:
        assert gate.facts["haproxy"] == f"HAProxy {'.'.join(map(str, find().version))} (embedded)"


def test_a_newer_one_of_the_system_is_preferred(person: Home, upstream: Upstream) -> None:
    newer = real(person, "99.1.2-abc 2099/01/01 - https://haproxy.org/")
    with expose(*flags(person, upstream), home=person, extra=on_path(person)) as gate:
        assert gate.facts["haproxy"] == f"HAProxy 99.1.2 ({newer})"


@pytest.mark.parametrize("script", ["echo HAProxy version 2.0.1", "exit 1"])
def test_one_of_the_system_that_cannot_be_used_is_no_problem_beside_the_embedded(
    person: Home, upstream: Upstream, script: str
) -> None:
    program(person, "haproxy", script)
    with expose(*flags(person, upstream), home=person, extra=on_path(person)) as gate:
        assert "(embedded)" in gate.facts["haproxy"]


def test_the_one_of_the_system_alone(person: Home, upstream: Upstream) -> None:
    system = real(person, "2.8.3")
    with expose(*flags(person, upstream), home=person, extra=without_embedded(person)) as gate:
        assert gate.facts["haproxy"] == f"HAProxy 2.8.3 ({system})"


def test_one_that_is_named(person: Home, upstream: Upstream) -> None:
    """Though it says that it is older than the embedded one."""
    named = real(person, "2.8.0", as_name="my haproxy")
    with expose(*flags(person, upstream, "--haproxy", str(named)), home=person) as gate:
        assert gate.facts["haproxy"] == f"HAProxy 2.8.0 ({named})"


WRONG = {
    "too old": ("echo HAProxy version 2.6.12-1", "is HAProxy 2.6.12 ({path}), which is too old"),
    "very old": ("echo HA-Proxy version 1.8.19 2019/02/11", "is HAProxy 1.8.19 ({path}), which is too old"),
    "something else": ("echo nginx version: nginx/1.22.1", "does not say that it is HAProxy"),
    "binary": ("printf '\\377\\376'", "does not say that it is HAProxy"),
    "endless": ("exec sleep 60", "did not say its version within 5 seconds"),
}


def test_one_that_is_named_and_cannot_be_used(person: Home, upstream: Upstream) -> None:
    named = {str(program(person, name, script)): message for name, (script, message) in WRONG.items()}
    (person.path / "text").write_text("text")
    named |= {"/nowhere/haproxy": "cannot be run: no such file", str(person.path / "text"): "cannot be run: permission denied"}
    named |= {str(person.path): "cannot be run: permission denied"}
    found = at_once({path: partial(problem, person, upstream, "--haproxy", path) for path in named})
    for path, message in named.items():
        assert found[path]["where"] == f"--haproxy {path}"
        assert message.format(path=path) in found[path]["message"]


def test_none_at_all(person: Home, upstream: Upstream) -> None:
    found = problem(person, upstream, extra=without_embedded(person))
    assert found["where"] == "HAProxy"
    assert "there is no HAProxy: none is embedded on this platform and none is on the PATH" in found["message"]
    assert "apt-get install haproxy" in found["hint"]


def test_none_that_can_be_used(person: Home, upstream: Upstream) -> None:
    program(person, "haproxy", "echo HAProxy version 2.4.22")
    found = problem(person, upstream, extra=without_embedded(person))
    assert "which is too old" in found["message"]
