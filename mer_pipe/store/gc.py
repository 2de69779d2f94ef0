"""Find what the cache no longer needs, and remove it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mer_pipe.store.cache import Cache
from mer_pipe.store.durable import is_abandoned
from mer_pipe.store.journal import pages


@dataclass(frozen=True)
class Garbage:
    """What may go.

    Attributes
    ----------
    entries : keys that no store's latest build reads.
    leftovers : temporary files of killed writers, and entries that were set aside as damaged.
    bytes : what both take on disk.
    kept : number of entries that stay.
    """

    entries: tuple[str, ...]
    leftovers: tuple[Path, ...]
    bytes: int
    kept: int


def find_garbage(root: str | Path) -> Garbage:
    """Look through a cache. An entry stays when the latest build of some store that still exists made or used it."""
    cache = Cache(root)
    used: set[str] = set()
    for store, cells in pages(root):
        if os.path.exists(store):
            used.update(cells.values())
    keys = list(cache.keys())
    loose = tuple(sorted(key for key in keys if key not in used))
    leftovers = tuple(_leftovers(Path(root)))
    size = sum(_size(cache.path(key)) for key in loose) + sum(_size(path) for path in leftovers)
    return Garbage(loose, leftovers, size, len(keys) - len(loose))


def collect(root: str | Path, garbage: Garbage) -> int:
    """Remove it; the number of bytes freed."""
    cache = Cache(root)
    freed = sum(cache.discard(key) for key in garbage.entries)
    for path in garbage.leftovers:
        freed += _size(path)
        path.unlink(missing_ok=True)
    return freed


def _leftovers(root: Path) -> Iterator[Path]:
    yield from sorted((root / "damaged").glob("*.npz"))
    yield from sorted((root / "at_work").glob("*"))
    for folder in ("entries", "journal", "digests"):
        yield from (p for p in sorted((root / folder).rglob(".*.tmp")) if is_abandoned(p))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
