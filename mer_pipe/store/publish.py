"""Pack finished cells into one published store: an immutable, self-describing Zarr v3 group, renamed into place.

Layout: raw bytes with a CRC-32C, one sample an inner chunk, shards along the sample axis only. A batch is then one copy a
sample from a mapped file, while every Zarr reader sees a plain array. Nothing in a store tells when, where or by how many
workers it was made: the same inputs give the same bytes.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import mer_pipe
from mer_pipe.store.durable import cannot_write, is_abandoned, replace_folder, temporary_name
from mer_pipe.types import ArraySpec, StoreError

FORMAT = "mer-pipe-store"
FORMAT_VERSION = 1
SHARD_BYTES = 64 << 20
"""A shard is packed in memory: this bounds what one array takes while a store is written."""

LIBRARIES = ("numpy", "opencv-contrib-python", "mediapipe", "scikit-image", "scipy", "torch", "numba", "pillow", "zarr")


@dataclass(frozen=True)
class ArrayPlan:
    """One array to pack.

    Attributes
    ----------
    group, name : where it goes.
    leading : axes between ``sample`` and the spec's own, with their coordinate values.
    spec : contract of one cell.
    dtype : dtype in the store.
    cells : for each sample, the (key, output) of its cells in C order of `leading`.
    attributes : what is told of the array beside its unit (stage, parameters, systems, ...), plain JSON.
    """

    group: str
    name: str
    leading: Mapping[str, tuple[float | str, ...]]
    spec: ArraySpec
    dtype: str
    cells: tuple[tuple[tuple[str, str], ...], ...]
    attributes: Mapping[str, Any]


def publish(
    target: Path,
    samples: Sequence[Mapping[str, Any]],
    arrays: Sequence[ArrayPlan],
    attributes: Mapping[str, Any],
    read: Callable[[str], Mapping[str, np.ndarray]],
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write a store and put it at `target`, in the place of the one that may be there.

    Parameters
    ----------
    target : folder of the store.
    samples : for each clip, what is told of it: plain values by coordinate name, the same names for all.
    arrays : what to pack.
    attributes : recipe, exclusions and the like, for the root group; plain JSON.
    read : the arrays behind a key.
    tick : called with bytes done and in total.

    Raises
    ------
    StoreError : the disk is full or read-only, `target` is not a store, or clips differ in shape.
    """
    import zarr

    if target.exists() and not is_store(target):
        raise StoreError(f"{target} exists and is not a mer-pipe store", "choose another --store")
    sweep(target)
    work = target.parent / temporary_name(target.name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        root = zarr.create_group(store=str(work), zarr_format=3)
        names = _coordinates(root, samples)
        total = sum(len(cell) for plan in arrays for cell in plan.cells)
        done = 0
        for plan in arrays:
            for count in _pack(root, plan, read):
                done += count
                tick(done, total)
        facts = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "mer_pipe": mer_pipe.__version__,
            "libraries": _versions(),
            "coordinates": " ".join(names),
            **attributes,
            "files": _files(work),
        }
        root.attrs.put(facts | {"checksum": checksum(facts)})
        replace_folder(work, target)
    except OSError as error:
        raise cannot_write(error, target) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def is_store(path: Path) -> bool:
    """Whether the folder says of itself that it is a mer-pipe store."""
    try:
        return json.loads((path / "zarr.json").read_bytes())["attributes"]["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        return False


def checksum(attributes: Mapping[str, Any]) -> str:
    """SHA-256 over the root attributes, which hold the digests of all other files."""
    text = json.dumps({k: v for k, v in attributes.items() if k != "checksum"}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def sweep(target: Path) -> int:
    """Remove what killed builds left beside `target`; the number of folders."""
    left = [p for p in target.parent.glob(f".{target.name}.*.tmp") if is_abandoned(p)]
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    return len(left)


def _coordinates(root: Any, samples: Sequence[Mapping[str, Any]]) -> list[str]:
    columns = {name: [sample[name] for sample in samples] for name in samples[0]}
    for name, values in columns.items():
        first = values[0]
        if isinstance(first, str):
            kind: Any = "string"
        elif isinstance(first, int):
            kind = "int32"
        else:
            kind = "float64"
        _small_array(root, name, "sample", np.array(values, dtype=object if kind == "string" else kind), kind)
    return [name for name in columns if name != "sample"]


def _small_array(group: Any, name: str, dimension: str, values: np.ndarray, dtype: str, **attributes: Any) -> None:
    from zarr.codecs import Crc32cCodec

    array = group.create_array(
        name,
        shape=values.shape,
        chunks=values.shape,
        dtype=dtype,
        compressors=[Crc32cCodec()],
        dimension_names=(dimension,),
        attributes=attributes,
        config={"write_empty_chunks": True},
    )
    array[...] = values


def _pack(root: Any, plan: ArrayPlan, read: Callable[[str], Mapping[str, np.ndarray]]) -> Any:
    from zarr.codecs import Crc32cCodec

    group = root.require_group(plan.group)
    for name, values in plan.leading.items():
        if name not in group:
            _coordinate(group, name, values)
    shape = tuple(len(values) for values in plan.leading.values())
    inner = next(iter(read(plan.cells[0][0][0])[plan.cells[0][0][1]][None])).shape
    one = shape + inner
    dtype = np.dtype(plan.dtype)
    per_shard = max(1, min(len(plan.cells), SHARD_BYTES // max(1, math.prod(one) * dtype.itemsize)))
    array = group.create_array(
        plan.name,
        shape=(len(plan.cells), *one),
        chunks=(1, *one),
        shards=(per_shard, *one),
        dtype=dtype,
        compressors=[Crc32cCodec()],
        dimension_names=("sample", *plan.leading, *plan.spec.dims),
        attributes={"units": plan.spec.unit, "long_name": plan.spec.about, **plan.attributes},
        config={"write_empty_chunks": True},
    )
    for first in range(0, len(plan.cells), per_shard):
        block = plan.cells[first : first + per_shard]
        packed = np.empty((len(block), math.prod(shape), *inner), dtype)
        for i, cells in enumerate(block):
            for j, (key, output) in enumerate(cells):
                value = read(key)[output]
                if value.shape != inner:
                    raise StoreError(
                        f"{plan.group}/{plan.name}: clip {first + i} has shape {value.shape}, the first has {inner}"
                    )
                packed[i, j] = value
            yield len(cells)
        array[first : first + len(block)] = packed.reshape(len(block), *one)


def _coordinate(group: Any, name: str, values: tuple[float | str, ...]) -> None:
    if isinstance(values[0], str):
        _small_array(group, name, name, np.array(values, dtype=object), "string")
    elif name == "af":
        about = "amplification factor: total displacement over the original one, 1 is the identity"
        _small_array(group, name, name, np.array(values, float), "float64", long_name=about)
    else:
        _small_array(group, name, name, np.array(values, "int32"), "int32")


def _files(work: Path) -> dict[str, list]:
    found = {}
    for path in sorted(work.rglob("*")):
        relative = path.relative_to(work).as_posix()
        if path.is_file() and relative != "zarr.json":
            with path.open("rb") as file:
                found[relative] = [path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()]
    return found


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "absent"
    return found
