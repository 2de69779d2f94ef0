"""Stores with arrays of other layouts, and stores whose files were changed and sealed again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from mer_pipe.store.publish import checksum


def add_array(store: Path, name: str, values: np.ndarray, **options: Any) -> Path:
    """Write a further array into a store as ``zarr.create_array`` takes it, and seal the store again."""
    import zarr

    options = {"compressors": None, "dimension_names": ("sample", *"abcdef"[: values.ndim - 1])} | options
    array = zarr.create_array(str(store / name), data=values, zarr_format=3, overwrite=True, **options)
    assert array.shape == values.shape
    seal(store)
    return store


def seal(store: Path) -> None:
    """Tell the sizes and digests of a store's files as they are now, as if they had been published so."""
    root = json.loads((store / "zarr.json").read_bytes())
    files = {}
    for path in sorted(store.rglob("*")):
        name = path.relative_to(store).as_posix()
        if path.is_file() and name != "zarr.json":
            files[name] = [path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()]
    root["attributes"]["files"] = files
    root["attributes"]["checksum"] = checksum(root["attributes"])
    (store / "zarr.json").write_text(json.dumps(root))
