"""Arrays as they are: one .npz a clip, or tar shards for the webdataset package."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mer_pipe.export.encode import document, npy, npz
from mer_pipe.export.names import distinct
from mer_pipe.export.plan import Entry, Plan, Tick

MIB = 1 << 20
CLIPS = "clips"
_BLOCK = 512


def write_numpy(plan: Plan, work: Path, tick: Tick) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Write ``clips/<name>.npz`` for each clip, with its arrays by their names in the store.

    Returns
    -------
    A row for each clip, for `labels.csv`, and nothing more for `export.json`.

    Raises
    ------
    StoreError : an array is damaged.
    """
    rows = []
    (work / CLIPS).mkdir()
    for done, entry in enumerate(plan.entries, 1):
        arrays = {array.name: plan.source.read(array.name, entry.clip) for array in plan.arrays}
        (work / CLIPS / f"{entry.name}.npz").write_bytes(npz(arrays))
        rows.append({"file": f"{CLIPS}/{entry.name}.npz", **entry.told})
        tick(done, len(plan.entries))
    return rows, {}


def write_shards(plan: Plan, work: Path, tick: Tick) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Write ``000000.tar`` and on. A clip is a run of members of one key: a .npy for each array, .cls and .json.

    A member's key ends at the first dot of its name, so keys have none. A clip never crosses two shards.

    Returns
    -------
    A row for each clip, for `labels.csv`, and the number of shards for `export.json`.

    Raises
    ------
    StoreError : an array is damaged.
    """
    rows: list[dict[str, Any]] = []
    keys = distinct(entry.name.replace(".", "_") for entry in plan.entries)
    shard, number, size, limit = None, 0, 0, plan.settings.shard * MIB
    try:
        for done, (entry, key) in enumerate(zip(plan.entries, keys, strict=True), 1):
            members = list(_members(plan, entry, key))
            grows = sum(_BLOCK + -(-len(data) // _BLOCK) * _BLOCK for _, data in members)
            if shard is None or (size and size + grows > limit):
                if shard is not None:
                    shard.close()
                name = f"{number:06d}.tar"
                shard, number, size = tarfile.open(work / name, "w"), number + 1, 0  # noqa: SIM115
            for member, data in members:
                # The defaults of TarInfo are a file of nobody (uid 0, no name), mode 644, of the year 1970.
                info = tarfile.TarInfo(member)
                info.size = len(data)
                shard.addfile(info, io.BytesIO(data))
            size += grows
            rows.append({"shard": name, "key": key, **entry.told})
            tick(done, len(plan.entries))
    finally:
        if shard is not None:
            shard.close()
    return rows, {"shards": number}


def _members(plan: Plan, entry: Entry, key: str) -> Iterator[tuple[str, bytes]]:
    for array in plan.arrays:
        yield f"{key}.{array.name.replace('/', '.').lower()}.npy", npy(plan.source.read(array.name, entry.clip))
    yield f"{key}.cls", str(entry.index).encode()
    yield f"{key}.json", document(entry.told)
