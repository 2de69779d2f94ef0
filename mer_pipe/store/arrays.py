"""Arrays of a store, read a sample at a time; here through zarr, whatever their layout. `mapped` is the faster way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mer_pipe.store.open import read_facts
from mer_pipe.store.shards import layout_of
from mer_pipe.types import StoreError


class NoSuchRow(StoreError, IndexError):
    """A row was asked for that the array does not have; an IndexError too, as Python's protocols want it."""


def open_plain(path: str | Path, name: str, facts: Mapping[str, Any] | None = None) -> Plain:
    """Open one array of a store through zarr whatever its layout: the reference that mapped reads are compared with.

    Parameters and errors are those of `mer_pipe.store.mapped.open_array`.
    """
    path = Path(path)
    facts = read_facts(path) if facts is None else facts
    layout = layout_of(read_metadata(path, name, facts))
    return Plain(path, name, layout if isinstance(layout, str) else "", facts)


class StoredArray:
    """What both ways of reading share: rows are samples, from 0.

    Attributes
    ----------
    path, name : the store, and the array in it.
    checksum : of the store's root: it tells one store from another that takes its place.
    shape, dtype, dims : of the whole array, the sample axis first.
    backend : "mapped" or "zarr".
    why : why this backend reads the array, a clause.
    """

    backend = ""

    def __init__(
        self,
        path: Path,
        name: str,
        facts: Mapping[str, Any],
        shape: tuple[int, ...],
        dtype: np.dtype,
        dims: tuple[str, ...],
        why: str,
    ) -> None:
        self.path, self.name, self.shape, self.dtype, self.dims, self.why = path, name, shape, dtype, dims, why
        self.checksum: str = facts["checksum"]

    def __len__(self) -> int:
        return self.shape[0]

    def __reduce__(self) -> tuple:
        # Another process opens the files itself, and learns when the store is no longer the one that was meant.
        return type(self)._again, (self.path, self.name, self.checksum)

    @classmethod
    def _again(cls, path: Path, name: str, checksum: str) -> StoredArray:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{self.name} {self.dtype.name} {self.shape}, {self.backend}: {self.why}>"

    def row(self, row: int) -> np.ndarray:
        """One sample, (...), in the array's dtype; read-only where it is mapped. Raises as `read`."""
        raise NotImplementedError

    def read(self, rows: Sequence[int] | np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Some samples, in this order; a row may come more than once.

        Parameters
        ----------
        rows : (n,) integers, 0 <= row < len(self).
        out : (n, ...) of the array's dtype, C-contiguous, writable; made when None.

        Returns
        -------
        (n, ...), `out` where it was given: the bytes that ``zarr_array[...][rows]`` holds.

        Raises
        ------
        NoSuchRow : a row is out of range.
        StoreError : a sample is damaged, or `out` does not fit.
        """
        wanted = checked_rows(rows, len(self))
        shape = (len(wanted), *self.shape[1:])
        if out is None:
            out = np.empty(shape, self.dtype)
        elif out.shape != shape or out.dtype != self.dtype or not (out.flags.c_contiguous and out.flags.writeable):
            kind = "" if out.flags.writeable else "read-only "
            raise StoreError(f"out is {kind}{out.dtype} {out.shape}, not contiguous {self.dtype} {shape} to write to")
        self._copy(wanted, out)
        return out

    def verify(self) -> None:
        """Read and check every sample; StoreError for the first that is damaged."""
        for row in range(len(self)):
            self.row(row)

    def _copy(self, rows: np.ndarray, out: np.ndarray) -> None:
        raise NotImplementedError

    def _damaged(self, file: str, row: int, what: str) -> StoreError:
        known = _sample_name(self.path, row)
        return damage(self.path, file, f"sample {row}{f' ({known})' if known else ''} {what}")


class Plain(StoredArray):
    """An array read through zarr, a sample at a time (never by ``oindex``, which is slower by orders).

    Where the layout is not one that can be mapped, its codecs may hold no checksum: its files' digests are then compared
    with the store's on opening.
    """

    backend = "zarr"

    def __init__(self, path: Path, name: str, why: str, facts: Mapping[str, Any]) -> None:
        import zarr

        if why:
            for file in (file for file in facts["files"] if file.startswith(f"{name}/c")):
                same_digest(path, file, facts)
        self._array = zarr.open_array(str(path / name), mode="r", zarr_format=3)
        dims = tuple(str(dim) for dim in self._array.metadata.dimension_names or ())
        native = np.dtype(self._array.dtype)
        if native.kind in "iufc":  # text has no byte order
            native = native.newbyteorder("=")
        told = f"{name} cannot be mapped: {why}" if why else "it was asked for by name"
        super().__init__(path, name, facts, self._array.shape, native, dims, told)

    @classmethod
    def _again(cls, path: Path, name: str, checksum: str) -> Plain:
        return open_plain(path, name, same_store(path, checksum))

    def row(self, row: int) -> np.ndarray:
        return self._decoded(int(checked_rows([row], len(self))[0]))

    def _copy(self, rows: np.ndarray, out: np.ndarray) -> None:
        for i, row in enumerate(rows.tolist()):
            out[i] = self._decoded(row)

    def _decoded(self, row: int) -> np.ndarray:
        try:
            return np.asarray(self._array[row], self.dtype)
        except (ValueError, OSError, RuntimeError) as error:
            raise self._damaged(self.name, row, f"cannot be decoded: {error}") from error


def checked_rows(rows: Sequence[int] | np.ndarray, count: int) -> np.ndarray:
    """Row numbers as (n,) int64 of their own, each within 0..count-1; NoSuchRow names one that is not."""
    found = np.array(rows)  # a copy, so that what has been checked cannot change before it is used
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
        raise NoSuchRow(f"rows are {found.dtype} of shape {found.shape}, not a list of integers")
    listed = found.tolist()
    # A batch has few rows: Python has compared them all before a reduction of NumPy has begun.
    if listed and not 0 <= min(listed) <= max(listed) < count:
        wrong = next(row for row in listed if not 0 <= row < count)
        raise NoSuchRow(f"there is no row {wrong}: there are {count}, from 0")
    return found.astype(np.int64, copy=False)


def same_store(path: Path, checksum: str) -> dict[str, Any]:
    """`read_facts` of a store that was open before; StoreError when another one has taken its place."""
    facts = read_facts(path)
    if facts["checksum"] != checksum:
        raise StoreError(f"{path} was built anew since it was opened", "open it again")
    return facts


def read_metadata(path: Path, name: str, facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """The ``zarr.json`` of an array, as it was published; StoreError where there is none."""
    file = f"{name}/zarr.json"
    if file not in facts["files"]:
        raise StoreError(f"{path} has no array {name!r}", f"mer-pipe inspect {path} lists its arrays")
    meta = json.loads(same_digest(path, file, facts))
    if meta["node_type"] != "array":
        raise StoreError(f"{name!r} of {path} is a group of arrays", f"mer-pipe inspect {path} lists its arrays")
    return meta


def same_digest(path: Path, file: str, facts: Mapping[str, Any]) -> bytes:
    """The bytes of a file of a store; StoreError when they are not those that were published."""
    try:
        data = (path / file).read_bytes()
    except OSError as error:
        raise StoreError(f"cannot read {path / file}: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != facts["files"][file][1]:
        raise damage(path, file, "it differs from what was published")
    return data


def damage(path: Path, file: str, what: str) -> StoreError:
    """The error of a file whose bytes are not what they should be."""
    fix = f"mer-pipe verify {path} lists all that is; build it again from the cache"
    return StoreError(f"{path} is damaged: {file}: {what}", fix)


def _sample_name(path: Path, row: int) -> str:
    """The clip's id, for a message that must come whatever else is damaged."""
    import zarr

    try:
        return str(zarr.open_array(str(path / "sample"), mode="r")[row])
    except Exception:
        return ""
