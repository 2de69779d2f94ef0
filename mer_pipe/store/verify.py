"""Read everything and compare it with its checksums."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from mer_pipe.store.cache import Cache, DamagedEntry
from mer_pipe.store.open import read_facts


def verify_store(path: str | Path, tick: Callable[[int, int], None] = lambda done, total: None) -> list[str]:
    """One line for each file of a store that is not what was written; empty when all is well.

    Raises
    ------
    StoreError : as `open_store`: a missing file is found before any is hashed.
    """
    path = Path(path)
    files = read_facts(path)["files"]
    problems = []
    for done, (name, (_, digest)) in enumerate(files.items()):
        with (path / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                problems.append(f"{name} differs from what was published")
        tick(done + 1, len(files))
    known = {*files, "zarr.json"}
    strangers = sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())
    problems += [f"{name} was added after publishing" for name in strangers if name not in known]
    return problems


def verify_cache(root: str | Path, tick: Callable[[int, int], None] = lambda done, total: None) -> list[str]:
    """Read every cache entry; damaged ones are set aside (the next build makes them again) and named."""
    cache = Cache(root)
    keys = sorted(cache.keys())
    problems = []
    for done, key in enumerate(keys):
        try:
            cache.get(key)
        except DamagedEntry as damage:
            problems.append(damage.message)
        except KeyError:
            pass  # removed by another process since it was listed
        tick(done + 1, len(keys))
    return problems
