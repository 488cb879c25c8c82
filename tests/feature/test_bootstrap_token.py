"""`kubegate bootstrap token create`: no token is made that could not be kept."""

import pytest

from tests.support.expose import Home, kubeconfig, kubegate, problems
from tests.support.upstream import Upstream


@pytest.mark.parametrize(("name", "code"), [("link", "out.exists"), ("none/token", "out.folder")])
def test_none_is_made_that_cannot_be_written(person: Home, name: str, code: str) -> None:
    (person.path / "link").symlink_to("nowhere")
    with Upstream() as upstream:
        config = kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}")
        words = ("--kubeconfig", str(config), "--out", str(person.path / name), "--output", "json")
        done = kubegate("bootstrap", "token", "create", *words, home=person)
        assert done.returncode == 2
        assert [one["code"] for one in problems(done)] == [code]
        assert not upstream.wires
