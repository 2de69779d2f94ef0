"""Digests of frame files, remembered by size and modification time, so that a plan reads no file twice."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

from mer_pipe.store.durable import write_file
from mer_pipe.types import ClipError, Frames

# A file changed within this time of being hashed could change again without a new modification time.
_UNSETTLED_NS = 2_000_000_000


class Ledger:
    """Digests of frames; one small JSON file a folder of frames, kept below a cache folder.

    Parameters
    ----------
    root : the cache folder.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root) / "digests"
        self._folders: dict[str, _Folder] = {}
        self.bytes_read = 0

    def digest(self, frames: Frames, position: int) -> str:
        """Digest of the frame at `position`: of the file's bytes, for a video with the frame's index.

        Raises
        ------
        ClipError : the file is not there or not readable.
        """
        path = frames.files[0] if frames.video else frames.files[position]
        folder, name = os.path.split(path)
        page = self._folders.get(folder)
        if page is None:
            page = self._folders[folder] = _Folder(folder, self.root / f"{_short(folder)}.json")
        try:
            found, read = page.digest(name)
        except OSError as error:
            where = f"{os.path.basename(folder)}/{name}"
            raise ClipError(f"cannot read frame file {where}: {error.strerror or error}") from error
        self.bytes_read += read
        return f"{found}#{frames.numbers[position]}" if frames.video else found

    def save(self) -> None:
        """Write what was learnt; a failure to write costs a later plan time and nothing else, so StoreError is raised."""
        for page in self._folders.values():
            page.save()


class _Folder:
    def __init__(self, folder: str, page: Path) -> None:
        self.folder = folder
        self.page = page
        try:
            self.known: dict[str, list] = json.loads(page.read_text())["files"]
        except (OSError, ValueError, KeyError, TypeError):
            self.known = {}
        self.stats: dict[str, tuple[int, int]] | None = None
        self.changed = False

    def digest(self, name: str) -> tuple[str, int]:
        if self.stats is None:
            # One scan a folder: a stat for each file would take most of a plan's time on a network file system.
            with os.scandir(self.folder) as entries:
                stats = ((entry.name, entry.stat()) for entry in entries if entry.is_file())
                self.stats = {entry: (stat.st_size, stat.st_mtime_ns) for entry, stat in stats}
        if name not in self.stats:
            raise FileNotFoundError(2, "No such file")
        size, modified = self.stats[name]
        known = self.known.get(name)
        if known and known[0] == size and known[1] == modified:
            return known[2], 0
        with open(os.path.join(self.folder, name), "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if time.time_ns() - modified > _UNSETTLED_NS:
            self.known[name] = [size, modified, found]
            self.changed = True
        else:
            self.stats[name] = (size, modified)
        return found, size

    def save(self) -> None:
        if self.changed:
            write_file(self.page, json.dumps({"folder": self.folder, "files": self.known}).encode())
            self.changed = False


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
