"""Open a published store, refusing one that is not whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mer_pipe.store.publish import FORMAT_VERSION, checksum, is_store
from mer_pipe.types import StoreError

if TYPE_CHECKING:
    import xarray


def open_store(path: str | Path) -> xarray.DataTree:
    """Open a store as an xarray DataTree; arrays are read from disk when they are indexed.

    The root holds the clips' coordinates (``sample``, ``subject``, ``label``, ``onset`` ...); each group holds one stage's
    arrays with ``sample`` as their first axis.

    Raises
    ------
    StoreError : there is no store at `path`, its format is newer, or one of its files is missing or cut short.
    """
    import xarray

    read_facts(path)
    return xarray.open_datatree(path, engine="zarr", chunks=None, consolidated=False, zarr_format=3)


def read_facts(path: str | Path) -> dict[str, Any]:
    """The root attributes of a store (recipe, versions, exclusions, failures, digests), checked, without reading arrays.

    Raises
    ------
    StoreError : as `open_store`.
    """
    path = Path(path)
    if not path.exists():
        raise StoreError(f"there is no store at {path}", "build one with mer-pipe build, or check the path")
    if not is_store(path):
        raise StoreError(f"{path} is not a mer-pipe store")
    facts = json.loads((path / "zarr.json").read_bytes())["attributes"]
    if facts["format_version"] > FORMAT_VERSION:
        raise StoreError(f"{path} has store format {facts['format_version']}, newer than this mer-pipe", "upgrade it")
    if facts.get("checksum") != checksum(facts):
        raise StoreError(f"{path} is damaged: zarr.json does not match its checksum", "build it again from the cache")
    # Zarr reads a missing or short shard as zeros without a word, so every file is looked at before anything is read.
    for name, (size, _) in facts["files"].items():
        try:
            found = (path / name).stat().st_size
        except OSError:
            raise StoreError(f"{path} is damaged: {name} is missing", "build it again from the cache") from None
        if found != size:
            raise StoreError(
                f"{path} is damaged: {name} has {found} bytes instead of {size}", "build it again from the cache"
            )
    return facts
