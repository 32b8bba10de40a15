"""`LocalFileSystem`: a folder as a block, for `result_storage` and for files of one's own."""

from __future__ import annotations

from pathlib import Path

from ..blocks.core import Block
from ..domain.errors import DefinitionError
from .dispatched import dispatched


class LocalFileSystem(Block):
    """A folder of this machine. In coroutines, reading and writing are awaited."""

    basepath: str | None = None

    def _path(self, path: str) -> Path:
        root = Path(self.basepath or Path.cwd()).expanduser().resolve()
        found = (root / path).resolve()
        if not found.is_relative_to(root):
            raise DefinitionError(f"{path!r} is not within the folder {root} of this LocalFileSystem.")
        return found

    @dispatched
    def read_path(self, path: str) -> bytes:
        """What is in a file of the folder. Raises `OSError`."""
        return self._path(path).read_bytes()

    @dispatched
    def write_path(self, path: str, content: bytes) -> str:
        """Writes a file of the folder; its path."""
        target = self._path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        return str(target)
