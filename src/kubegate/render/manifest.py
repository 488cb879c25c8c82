"""Files of Kubernetes objects: their heads, the objects below one another, and the one with private keys apart."""

from collections.abc import Iterable, Mapping, Sequence

from kubegate.model.names import printable
from kubegate.render import objects
from kubegate.render.in_cluster import ClusterOptions
from kubegate.render.targets import Artefact
from kubegate.render.yaml_text import Object, dumped

KEYS_MODE = 0o600


def documents(found: Iterable[Object], head: Sequence[str] = ()) -> bytes:
    """Objects as one file, with comments before them."""
    return (commented(head) + "".join(f"---\n{dumped(one)}" for one in found)).encode()


def commented(lines: Iterable[str]) -> str:
    """Lines as comments of YAML; what a reader would act on is escaped."""
    return "".join(f"# {printable(line)}".rstrip() + "\n" for line in lines)


def head(options: ClusterOptions, purpose: str, proof: Sequence[str], order: str = "") -> tuple[str, ...]:
    """What stands at the top of a file: from what it was made, by which kubegate, and what was run and what was not."""
    config = options.declared.config
    clusters = ", ".join(cluster.name for cluster in config.clusters)
    listeners = ", ".join(f"{listener.name} ({listener.address})" for listener in config.listeners)
    return (
        f"{purpose}",
        f"Made by kubegate {options.version} from {options.declared.places.shown}: clusters {clusters}; listeners {listeners}.",
        *proof,
        *([order] if order else []),
        "Made anew by `kubegate render`: what is changed here by hand is lost then.",
    )


def namespace_artefact(options: ClusterOptions, what: str, labels: Mapping[str, str] | None = None) -> Artefact:
    """The file that makes the namespace, which has to be there before all else."""
    lines = head(options, f"{what}: the namespace.", ())
    return Artefact("10-namespace.yaml", documents([objects.namespace(options.namespace, labels)], lines))


def keys_artefact(name: str, secrets: Sequence[Object], options: ClusterOptions, purpose: str) -> list[Artefact]:
    """The file with private keys, only for its owner; none where there are none."""
    if not secrets:
        return []
    lines = head(options, f"{purpose}: private keys. Keep this file to yourself.", ())
    return [Artefact(name, documents(secrets, lines), KEYS_MODE)]
