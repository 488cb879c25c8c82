import os
import string
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kubegate.cluster.document import Document, Entry
from kubegate.cluster.merge import merge, read_merged
from kubegate.model.problem import InvalidInput
from tests.unit.cluster.kubeconfigs import Workbench

names = st.text(string.ascii_lowercase, min_size=1, max_size=2)
entries = st.dictionaries(names, st.integers())


def document(number: int, clusters: dict[str, int], users: dict[str, int], current: str) -> Document:
    file = Path(f"/{number}")
    made = [{n: Entry(n, {"value": v}, file, "") for n, v in part.items()} for part in (clusters, users)]
    return Document(file, made[0], {}, made[1], current)


@given(st.lists(st.tuples(entries, entries, st.sampled_from(["", "a", "b"])), max_size=5))
def test_the_first_definition_of_a_name_counts_whole(layers: list[tuple[dict[str, int], dict[str, int], str]]) -> None:
    merged = merge([document(number, *layer) for number, layer in enumerate(layers)])
    for kind, found in enumerate((merged.clusters, merged.users)):
        assert set(found) == {name for layer in layers for name in (layer[0], layer[1])[kind]}
        for name, entry in found.items():
            number = next(n for n, layer in enumerate(layers) if name in (layer[0], layer[1])[kind])
            assert entry.file == Path(f"/{number}")
            assert entry.body == {"value": (layers[number][0], layers[number][1])[kind][name]}
    assert merged.current_context == next((layer[2] for layer in layers if layer[2]), "")
    assert len(merged.files) == len(layers)


@settings(max_examples=20)
@given(st.lists(names, min_size=1, max_size=4))
def test_the_merge_of_one_with_itself_is_itself(found: list[str]) -> None:
    one = document(1, dict.fromkeys(found, 1), {}, found[0])
    assert merge([one, one]).clusters == merge([one]).clusters


def test_a_named_file_excludes_all_others(bench: Workbench) -> None:
    one, other = bench.write("current-context: one", "one"), bench.write("current-context: other", "other")
    merged = read_merged(one, {"KUBECONFIG": str(other), "HOME": str(bench.folder)})
    assert (merged.current_context, merged.files) == ("one", (one,))


def test_the_list_of_the_environment(bench: Workbench) -> None:
    one = bench.write("{}", "one")
    two = bench.write("current-context: two", "two")
    three = bench.write("current-context: three", "three")
    listed = os.pathsep.join(["", str(bench.folder / "missing"), str(one), str(two), str(three), str(one), ""])
    merged = read_merged(None, {"KUBECONFIG": listed, "HOME": "/nowhere"})
    assert merged.files == (one, two, three)
    assert merged.current_context == "two"
    assert merged.current_where == f"{two}: current-context"


def test_the_default(bench: Workbench) -> None:
    path = bench.write("current-context: home", ".kube/config")
    for environ in ({"HOME": str(bench.folder)}, {"HOME": str(bench.folder), "KUBECONFIG": ""}):
        assert read_merged(None, environ).files == (path,)


def test_nothing_there(bench: Workbench) -> None:
    for kubeconfig, environ, where in (
        (bench.file, {}, str(bench.file)),
        (None, {"KUBECONFIG": f"/none/a{os.pathsep}/none/b"}, "$KUBECONFIG"),
        (None, {"KUBECONFIG": os.pathsep}, "$KUBECONFIG"),
        (None, {"HOME": str(bench.folder)}, str(bench.folder / ".kube/config")),
    ):
        with pytest.raises(InvalidInput) as caught:
            read_merged(kubeconfig, environ)
        assert [one.where for one in caught.value.problems] == [where]


def test_the_problems_of_all_files_at_once(bench: Workbench) -> None:
    one, two = bench.write("kind: Pod", "one"), bench.write("[", "two")
    with pytest.raises(InvalidInput) as caught:
        read_merged(None, {"KUBECONFIG": f"{one}{os.pathsep}{two}{os.pathsep}{bench.folder}"})
    assert [one.code for one in caught.value.problems] == [
        "kubeconfig.kind",
        "kubeconfig.yaml",
        "kubeconfig.unreadable",
    ]


def test_a_link_that_leads_nowhere_is_missing(bench: Workbench) -> None:
    link = bench.folder / "link"
    link.symlink_to(bench.folder / "none")
    good = bench.good()
    assert read_merged(None, {"KUBECONFIG": f"{link}{os.pathsep}{good}"}).files == (good,)


def test_what_is_written_is_read(bench: Workbench) -> None:
    assert read_merged(bench.write(yaml.safe_dump({"current-context": "ä"})), {}).current_context == "ä"


def test_a_user_without_a_home_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    # A user that no passwd file knows, as in many containers.
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    with pytest.raises(InvalidInput, match="this user has no home folder"):
        read_merged(None, {})
