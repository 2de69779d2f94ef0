"""Read samples of a published array from mapped files, where its layout lets them be mapped, else through zarr.

A mapped read is one copy a sample, all of a batch in one compiled call. Before anything is mapped, the array's metadata,
its codecs, the size of every shard, the checksum of its index and the place of every sample are checked; each sample's own
CRC-32C is compared once, when the process first reads it (about the time of one more copy), or for all by `verify`. A store
is never changed in place, so a sample that was right once stays right; a file cut short *while* it is mapped ends the process
with SIGBUS, as with any map.
"""

from __future__ import annotations

import errno
import mmap
import os
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mer_pipe.store.arrays import Plain, StoredArray, checked_rows, damage, read_metadata, same_store
from mer_pipe.store.open import read_facts
from mer_pipe.store.shards import CHECKSUM_BYTES, Layout, crc32c, layout_of, offsets, stored
from mer_pipe.types import MachineError, StoreError


def open_array(path: str | Path, name: str, facts: Mapping[str, Any] | None = None) -> Mapped | Plain:
    """Open one array of a store, mapped where that is possible; `backend` and `why` of the result tell which and why.

    Parameters
    ----------
    path : the store.
    name : the array, as "magnify/image".
    facts : what `read_facts` gave for this store, when it is known already.

    Raises
    ------
    StoreError : there is no such store or array, or it is damaged.
    MachineError : the process may not open so many files.
    """
    path = Path(path)
    facts = read_facts(path) if facts is None else facts
    layout = layout_of(read_metadata(path, name, facts))
    return Plain(path, name, layout, facts) if isinstance(layout, str) else Mapped(path, name, layout, facts)


class Mapped(StoredArray):
    """An array of mapped files: `open_array` makes it once all but the samples' own checksums has been checked.

    Attributes
    ----------
    sample_bytes : bytes of one sample, without its checksum.
    """

    backend = "mapped"

    def __init__(self, path: Path, name: str, layout: Layout, facts: Mapping[str, Any]) -> None:
        why = "each sample is one run of raw bytes with a checksum"
        super().__init__(path, name, facts, layout.shape, layout.dtype, layout.dims, why)
        self._layout = layout
        self._starts: list[int] = []
        # Samples as bytes, since these have no alignment. They hold the maps, so that addresses stay good.
        self._samples: list[np.ndarray] = []
        addresses: list[int] = []
        self._sums: list[np.ndarray] = []
        self._unread = set(range(len(self)))
        for shard in range(layout.shards):
            file = f"{name}/{layout.file(shard)}"
            data = _map(path, file, facts)
            end = len(data) - layout.index_bytes
            try:
                index = bytes(data[max(0, end) :])
                starts = offsets(index, layout, layout.samples_in(shard), end).tolist()
            except ValueError as error:
                raise damage(path, file, str(error)) from None
            held, size = np.frombuffer(data, np.uint8), layout.sample_bytes
            first = held.ctypes.data
            self._starts += starts
            addresses += [first + start for start in starts]
            self._samples += [held[start : start + size] for start in starts]
            self._sums += [held[start + size : start + size + CHECKSUM_BYTES] for start in starts]
        self._addresses = np.array(addresses, np.int64)
        self.sample_bytes = layout.sample_bytes

    @classmethod
    def _again(cls, path: Path, name: str, checksum: str) -> Mapped | Plain:
        return open_array(path, name, same_store(path, checksum))

    def row(self, row: int) -> np.ndarray:
        row = int(checked_rows([row], len(self))[0])
        if row in self._unread:
            self._check(row)
        return self._samples[row].view(self.dtype).reshape(self.shape[1:])

    def place(self, row: int) -> tuple[Path, int]:
        """The file that holds a sample and the byte at which it begins; its checksum is compared first, as in `row`."""
        self.row(row)
        return self.path / self._file(row), self._starts[row]

    def _copy(self, rows: np.ndarray, out: np.ndarray) -> None:
        if self._unread:
            for row in rows.tolist():
                if row in self._unread:
                    self._check(row)
        if len(rows):
            _compiled()(self._addresses, rows, self.sample_bytes, np.frombuffer(out, np.uint8))

    def _check(self, row: int) -> None:
        if crc32c(self._samples[row]) != stored(self._sums[row]):
            raise self._damaged(self._file(row), row, "does not match its checksum")
        self._unread.discard(row)

    def _file(self, row: int) -> str:
        return f"{self.name}/{self._layout.file(row // self._layout.per_shard)}"


@cache
def _compiled() -> Callable[[np.ndarray, np.ndarray, int, np.ndarray], None]:
    # Numba takes half a second to import: only what reads samples pays it, and once.
    from mer_pipe.store._gather import gather

    return gather


def _map(path: Path, file: str, facts: Mapping[str, Any]) -> mmap.mmap:
    # A map keeps a file handle of its own before Python 3.13: a store of 1200 shards needs as many.
    light: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}
    try:
        size = facts["files"][file][0]
        with open(path / file, "rb") as opened:
            found = os.fstat(opened.fileno()).st_size
            if found != size:
                raise damage(path, file, f"it has {found} bytes instead of {size}")
            if not size:
                raise damage(path, file, "it is empty")
            return mmap.mmap(opened.fileno(), size, access=mmap.ACCESS_READ, **light)
    except KeyError:
        raise damage(path, file, "it is missing") from None
    except OSError as error:
        if error.errno == errno.EMFILE:
            told = f"{path} has more files than this process may open"
            raise MachineError(told, "raise the limit of this shell first: ulimit -n 65536") from error
        raise StoreError(f"cannot read {path / file}: {error.strerror}") from error
