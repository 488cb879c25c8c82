"""What a plan is rendered to for engines other than the gate itself: a set of files, and what has to be said about it."""

from dataclasses import dataclass, field

from kubegate.model.names import printable


@dataclass(frozen=True, slots=True)
class Artefact:
    """One file of a set: its name, its bytes, and its mode. Whatever holds a private key has mode 0600."""

    name: str
    content: bytes = field(repr=False)
    mode: int = 0o644

    @property
    def secret(self) -> bool:
        """Whether nobody but its owner may read it."""
        return not self.mode & 0o077


@dataclass(frozen=True, slots=True)
class Rendered:
    """A set of files, the one that people read first; what is different there, and what only an operator can do next."""

    artefacts: tuple[Artefact, ...]
    notes: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Options:
    """What a set depends on besides the plan.

    `source` is the declared file as people know it, `file` its absolute path; `folder` is where the set will be on the machine
    that uses it, empty where its files name one another relatively; `program` is kubegate there. `resolved` are names of API
    servers whose addresses stand in the plan. `access_log` and `drain` (seconds) are what was declared, empty and None if
    nothing was.
    """

    name: str = "kubegate"
    namespace: str = "kubegate"
    image: str = ""
    version: str = ""
    source: str = "kubegate.yaml"
    file: str = "/etc/kubegate/kubegate.yaml"
    folder: str = ""
    program: str = "/opt/kubegate/bin/kubegate"
    resolved: tuple[str, ...] = ()
    access_log: str = ""
    drain: int | None = None


def head(what: str, options: Options, *more: str) -> list[str]:
    """The first lines of a file, as comments: from what it was made, by which kubegate, and what follows of that."""
    lines = [f"{what}, made by kubegate {options.version} from {options.source}: change that, and render again."]
    if options.resolved:
        lines.append(
            f"In it stand the addresses that these names had then; others need another rendering: {' '.join(options.resolved)}"
        )
    return [f"# {printable(line)}" for line in (*lines, *more)]
