"""How one array of a store lies in its files: what can be mapped, and where in a shard each sample begins.

A shard is the samples' bytes, each followed by its CRC-32C, then the index: for each sample its offset and its length, 16
bytes, and a CRC-32C of the index. (Zarr v3, codec "sharding_indexed", index at the end.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

CHECKSUM_BYTES = 4
_DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64")
_ABSENT = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


@dataclass(frozen=True)
class Layout:
    """An array whose samples can be mapped.

    Attributes
    ----------
    shape : of the whole array, the sample axis first.
    dtype : little-endian.
    dims : names of the axes.
    per_shard : samples a shard has place for; the last one may hold fewer.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    dims: tuple[str, ...]
    per_shard: int

    @property
    def sample_bytes(self) -> int:
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def index_bytes(self) -> int:
        return 16 * self.per_shard + CHECKSUM_BYTES

    @property
    def shards(self) -> int:
        return -(-self.shape[0] // self.per_shard)

    def samples_in(self, shard: int) -> int:
        return min(self.per_shard, self.shape[0] - shard * self.per_shard)

    def file(self, shard: int) -> str:
        """The shard's name below the array's folder."""
        return "/".join(["c", str(shard), *["0"] * (len(self.shape) - 1)])


def layout_of(meta: Mapping[str, Any]) -> Layout | str:
    """The layout that the ``zarr.json`` of an array tells, or why its samples cannot be mapped (a clause)."""
    shape, names = tuple(meta["shape"]), meta.get("dimension_names") or ()
    if meta["data_type"] not in _DTYPES:
        return f"its type is {meta['data_type']}"
    if not shape or not math.prod(shape):
        return f"its shape is {shape}"
    dtype = np.dtype(meta["data_type"]).newbyteorder("<")
    grid, keys = meta["chunk_grid"], meta["chunk_key_encoding"]
    if grid["name"] != "regular":
        return f"its chunk grid is {grid['name']}"
    if keys["name"] != "default" or keys.get("configuration", {}).get("separator", "/") != "/":
        return "its files are not named c/0/0/..."
    if meta.get("storage_transformers"):
        return "it has storage transformers"
    codecs = meta["codecs"]
    if _names(codecs) != ["sharding_indexed"]:
        return f"its codecs are {_told(codecs)}, not sharding_indexed alone"
    sharding = codecs[0]["configuration"]
    for what, inner, itemsize in (
        ("a sample", sharding["codecs"], dtype.itemsize),
        ("the index", sharding["index_codecs"], 8),
    ):
        if _names(inner) != ["bytes", "crc32c"]:
            return f"the codecs of {what} are {_told(inner)}, not bytes and crc32c"
        if itemsize > 1 and inner[0].get("configuration", {}).get("endian") != "little":
            return f"the bytes of {what} are not little-endian"
    if sharding.get("index_location", "end") != "end":
        return "the index of a shard does not stand at its end"
    shard, chunk = tuple(grid["configuration"]["chunk_shape"]), tuple(sharding["chunk_shape"])
    if chunk != (1, *shape[1:]):
        return f"a chunk is {chunk}, not one sample, {(1, *shape[1:])}"
    if shard[1:] != shape[1:]:
        return f"a shard is {shard}, not of whole samples, {shape[1:]}"
    return Layout(shape, dtype, tuple(str(name) for name in names), shard[0])


def offsets(index: bytes, layout: Layout, samples: int, end: int) -> np.ndarray:
    """Where the samples of a shard begin.

    Parameters
    ----------
    index : the bytes of the index, its checksum included.
    layout : of the array.
    samples : how many the shard holds; slots beyond them are not looked at.
    end : where the index begins: no sample may reach beyond.

    Returns
    -------
    (samples,) int64; every sample lies whole before `end`, and no two share a byte.

    Raises
    ------
    ValueError : the index is damaged; the message is a clause.
    """
    if len(index) != layout.index_bytes:
        raise ValueError(f"its index has {len(index)} bytes instead of {layout.index_bytes}")
    if crc32c(np.frombuffer(index, np.uint8, 16 * layout.per_shard)) != stored(index[-CHECKSUM_BYTES:]):
        raise ValueError("its index does not match its checksum")
    starts, lengths = np.frombuffer(index, "<u8", 2 * layout.per_shard).reshape(-1, 2)[:samples].T
    whole = layout.sample_bytes + CHECKSUM_BYTES
    for wrong, what in (
        (starts == _ABSENT, "is missing"),
        (lengths != whole, f"does not have {whole} bytes"),
        (starts > max(0, end - whole), "lies outside of the file"),
    ):
        if wrong.any():
            raise ValueError(f"place {int(wrong.argmax())} of its index {what}")
    found = starts.astype(np.int64)
    if end < whole or (np.diff(np.sort(found)) < whole).any():
        raise ValueError("samples overlap in its index")
    return found


def crc32c(data: np.ndarray) -> int:
    """CRC-32C of the bytes of a C-contiguous array."""
    import google_crc32c

    return google_crc32c.value(data)


def stored(four: bytes | np.ndarray) -> int:
    """A checksum as it stands in a file."""
    return int.from_bytes(bytes(four), "little")


def _names(codecs: list[Mapping[str, Any]]) -> list[str]:
    return [codec["name"] for codec in codecs]


def _told(codecs: list[Mapping[str, Any]]) -> str:
    return ", ".join(_names(codecs))
