"""Files of a folder, as `--www` serves them: none that is hidden, and none outside of the folder, whatever links say."""

import os
from pathlib import Path

from starlette.staticfiles import StaticFiles


class Files(StaticFiles):
    """The files below `folder`, which need not be there; `index.html` stands for its folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder, html=True, check_dir=False, follow_symlink=False)

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """Where a file is and what the system says of it, None if it is not served."""
        if any(part.startswith(".") for part in path.split("/")) or "\0" in path:
            return "", None
        try:
            return super().lookup_path(path)
        except (OSError, ValueError):
            return "", None

    async def check_config(self) -> None:
        """A folder that is not there yet has no files."""
