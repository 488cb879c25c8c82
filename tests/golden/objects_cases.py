"""A declared gate rendered for each target that is made of objects of Kubernetes, in `objects/`, byte for byte."""

from pathlib import Path

from tests.support.cluster_targets import TARGETS, rendered

FOLDER = Path(__file__).parent / "objects"
NAMES = sorted(TARGETS)


def files(target: str) -> dict[str, bytes]:
    """The files of a target, by their names below its folder."""
    found = rendered(target, (FOLDER / "kubegate.yaml").read_text(), gateway_namespace="edge")
    return {one.name: one.content for one in found.artefacts}


def expected(target: str) -> dict[str, bytes]:
    """The files that are to come of it."""
    folder = FOLDER / target
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rewrite(target: str) -> None:
    """Take what is rendered now for what is expected from now on."""
    made = files(target)
    for name in expected(target).keys() - made.keys():
        (FOLDER / target / name).unlink()
    for name, content in made.items():
        path = FOLDER / target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
