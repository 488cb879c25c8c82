"""The files that a bootstrap names, and how it names them."""

import hashlib
from typing import Any

from kubegate.model.plan import Shown
from kubegate.render.targets import Artefact


class Files:
    """What was named so far. `folder` is where the set will be, empty where Envoy is started in it."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._found: dict[str, Artefact] = {}

    def certificate(self, shown: Shown) -> dict[str, Any]:
        """A certificate with its key, as a `TlsCertificate`."""
        at = self._at(Artefact(f"{shown.name}.pem", shown.pem, 0o600))
        return {"certificate_chain": at, "private_key": at}

    def authority(self, pem: bytes) -> dict[str, str]:
        """A CA bundle."""
        return self._at(Artefact(f"ca-{hashlib.sha256(pem).hexdigest()[:12]}.pem", pem))

    def artefacts(self) -> tuple[Artefact, ...]:
        """All of them, by their names."""
        return tuple(self._found[name] for name in sorted(self._found))

    def _at(self, artefact: Artefact) -> dict[str, str]:
        self._found[artefact.name] = artefact
        return {"filename": f"{self._folder}/{artefact.name}" if self._folder else artefact.name}
