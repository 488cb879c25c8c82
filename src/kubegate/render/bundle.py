"""Bundle: the files that say what a plan means, as bytes in memory."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

_KEYS_END = ".pem"


@dataclass(frozen=True, slots=True)
class Bundle:
    """Relative file names and their bytes. All are written with mode 0600: some hold keys."""

    files: Mapping[str, bytes] = field(repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 over names and contents, in hex: the same digest means that there is nothing to do."""
        total = hashlib.sha256()
        for name in sorted(self.files):
            content = self.files[name]
            total.update(f"{len(name)}:{name}:{len(content)}:".encode())
            total.update(content)
        return total.hexdigest()

    def texts(self, *, keys: bool) -> dict[str, str]:
        """The files as text; without `keys` those with keys and certificates are left out."""
        return {name: content.decode() for name, content in self.files.items() if keys or not name.endswith(_KEYS_END)}
