"""A shape while it is drawn: sections and files are put into it, each file once."""

import hashlib
from collections.abc import Iterable

from kubegate.render.haproxy.shape import Section, Server, Shape


class Draft:
    """What was drawn so far, in the order in which it was. `followed`: a control plane asks it who carries which stream."""

    def __init__(self, *, followed: bool = True) -> None:
        self.followed = followed
        self._sections: list[Section] = []
        self._servers: dict[str, dict[str, Server]] = {}
        self._authorities: dict[str, bytes] = {}
        self._names: dict[int, tuple[bytes, str]] = {}
        self.certificates: dict[str, bytes] = {}
        self.lists: dict[str, tuple[str, dict[str, str]]] = {}
        self.maps: dict[str, dict[str, str]] = {}
        self.ranges: dict[str, tuple[str, ...]] = {}
        self.pairs: dict[str, bytes] = {}
        self.extras: dict[str, bytes] = {}

    def section(self, head: str, lines: Iterable[str], *, backend: str | None = None) -> None:
        """A section; the servers of `backend` follow its lines."""
        self._sections.append(Section(head, tuple(lines), backend))

    def server(self, backend: str, name: str, server: Server) -> None:
        """A server at the end of a backend."""
        self._servers.setdefault(backend, {})[name] = server

    def authority(self, pem: bytes) -> str:
        """The file of a CA bundle, named by its content: another content is another file, and servers that name it are others."""
        # Many clusters share one bundle, the system's, and it is large.
        found = self._names.get(id(pem))
        if found is None:
            name = f"ca-{hashlib.sha256(pem).hexdigest()[:12]}.pem"
            found = self._names[id(pem)] = (pem, name)
            self._authorities[name] = pem
        return found[1]

    def shape(self) -> Shape:
        """What was drawn."""
        return Shape(
            sections=tuple(self._sections),
            servers=self._servers,
            certificates=self.certificates,
            lists=self.lists,
            authorities=self._authorities,
            maps=self.maps,
            ranges=self.ranges,
            pairs=self.pairs,
            extras=self.extras,
        )
