"""Feeds that gather in the host's memory, and those whose arrays lie whole on the device; see `mer_pipe.heads.feeding`.

Imports torch: import it lazily.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mer_pipe.heads.batch_memory import BatchMemory
from mer_pipe.store.arrays import Plain, checked_rows
from mer_pipe.store.mapped import Mapped
from mer_pipe.types import MachineError, StoreError

BLOCK = 64 << 20
"""Bytes that a resident array is sent in at a time."""

Source = Mapped | Plain
Rows = Tensor | np.ndarray | Sequence[int]


class Feed:
    """Rows of some arrays of a store, on a device.

    Attributes
    ----------
    sources : the open arrays by name.
    device : where tensors arrive.
    backend : "resident", "pinned" ...: see `mer_pipe.heads.feeding`.
    why : why this backend was taken, a clause.
    """

    backend = ""

    def __init__(self, sources: Mapping[str, Source], device: torch.device, why: str) -> None:
        self.sources, self.device, self.why = dict(sources), device, why
        self._seen = {name: bytearray(len(source)) for name, source in self.sources.items()}

    def __len__(self) -> int:
        """Rows that there are."""
        return min(len(source) for source in self.sources.values())

    def __repr__(self) -> str:
        return f"<feed of {', '.join(self.sources)} on {self.device}, {self.backend}: {self.why}>"

    def read(self, rows: Rows) -> dict[str, Tensor]:
        """Some rows of all arrays, in this order.

        Parameters
        ----------
        rows : (n,) integers, on any device; a row may come more than once.

        Returns
        -------
        (n, ...) by array name, in the array's dtype, on the device: the values of ``zarr_array[...][rows]``.

        Raises
        ------
        NoSuchRow : a row is out of range. (Rows that lie on a GPU are not looked at by `resident`, which would have to
            wait for the device: such a row is then an assertion on the device.)
        StoreError : a sample is damaged.
        """
        return self._hand_over(self._fetch(self._host(rows)))

    def batches(self, rows: Iterable[Rows]) -> Iterator[dict[str, Tensor]]:
        """`read` for each item of `rows`, in their order; the next batch is read while the one before is in use.

        Items are drawn from `rows` one batch ahead, in the calling thread.
        """
        with ThreadPoolExecutor(1, "mer-pipe-feed") as reader:
            ahead: Future | None = None
            for some in rows:
                begun = reader.submit(self._fetch, self._host(some))
                if ahead is not None:
                    yield self._hand_over(ahead.result())
                ahead = begun
            if ahead is not None:
                yield self._hand_over(ahead.result())

    def not_finite(self, rows: Rows) -> tuple[str, int] | None:
        """The first array and row of these that hold NaN or an infinity; each row is looked at once in a feed's life."""
        wanted = self._host(rows).tolist()
        for name, source in self.sources.items():
            if source.dtype.kind != "f":
                continue
            seen = self._seen[name]
            for row in wanted:
                if not seen[row]:
                    if not finite(source.row(row)):
                        return name, row
                    seen[row] = 1
        return None

    def _host(self, rows: Rows) -> np.ndarray:
        return checked_rows(rows.cpu().numpy() if isinstance(rows, Tensor) else rows, len(self))

    def _fetch(self, rows: np.ndarray) -> Any:
        """Begin to bring rows; may run in a thread of its own."""
        raise NotImplementedError

    def _hand_over(self, fetched: Any) -> dict[str, Tensor]:
        """Make what `_fetch` gave ready for the calling thread."""
        raise NotImplementedError


class HostFeed(Feed):
    """Rows gathered in the host's memory and sent from there: `mapped`, `pageable` and `zarr`."""

    def __init__(self, sources: Mapping[str, Source], device: torch.device, backend: str, why: str) -> None:
        super().__init__(sources, device, why)
        self.backend = backend
        self._memory = BatchMemory()

    def _fetch(self, rows: np.ndarray) -> dict[str, Tensor]:
        return {name: gather(source, rows, self._memory) for name, source in self.sources.items()}

    def _hand_over(self, fetched: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: held.to(self.device) for name, held in fetched.items()}


class ResidentFeed(Feed):
    """Whole arrays on the device."""

    backend = "resident"

    def __init__(self, sources: Mapping[str, Source], device: torch.device, why: str) -> None:
        super().__init__(sources, device, why)
        self._whole = {name: self._load(source) for name, source in self.sources.items()}

    def read(self, rows: Rows) -> dict[str, Tensor]:
        if not (isinstance(rows, Tensor) and rows.device.type != "cpu"):
            rows = torch.from_numpy(self._host(rows))
        rows = rows.to(self.device)
        return {name: whole.index_select(0, rows) for name, whole in self._whole.items()}

    def batches(self, rows: Iterable[Rows]) -> Iterator[dict[str, Tensor]]:
        return map(self.read, rows)

    def _load(self, source: Source) -> Tensor:
        try:
            whole = torch.empty(source.shape, dtype=torch_dtype(source), device=self.device)
            step, memory = max(1, BLOCK // (size_of(source) // len(source))), BatchMemory()
            for first in range(0, len(source), step):
                rows = np.arange(first, min(first + step, len(source)))
                whole[first : first + len(rows)].copy_(gather(source, rows, memory))
        except torch.OutOfMemoryError as error:
            told = f"{source.name} takes {size_of(source) / 2**30:.2f} GiB, more than is free on {self.device}"
            raise MachineError(told, "take backend=pinned") from error
        return whole


def gather(source: Source, rows: np.ndarray, into: Tensor | BatchMemory) -> Tensor:
    """Rows of one array as a tensor in the host's memory, (n, ...): in `into`, or in memory from there."""
    if isinstance(into, BatchMemory):
        return torch.from_numpy(source.read(rows, into.room((len(rows), *source.shape[1:]), source.dtype)))
    source.read(rows, into.numpy())
    return into


def size_of(source: Source) -> int:
    """Bytes of a whole array."""
    return math.prod(source.shape) * source.dtype.itemsize


def torch_dtype(source: Source) -> torch.dtype:
    """PyTorch's name of an array's dtype; StoreError where it has none (text)."""
    found = getattr(torch, source.dtype.name, None)
    if source.dtype.kind not in "biuf" or not isinstance(found, torch.dtype):
        raise StoreError(f"{source.name} holds {source.dtype.name}, which is no tensor", "read it with xarray or zarr")
    return found


def finite(array: np.ndarray) -> bool:
    """Whether a floating-point array holds neither NaN nor an infinity.

    These are the numbers whose exponent is all ones: read as integers, the largest of either sign. Two reductions over
    integers take a sixtieth of the time of ``np.isfinite`` on float16.
    """
    bits = 8 * array.dtype.itemsize
    exponent = {16: 0x7C00, 32: 0x7F80_0000, 64: 0x7FF0_0000_0000_0000}[bits]
    if not array.size:
        return True
    signed, unsigned = array.view(f"i{bits // 8}").max(), array.view(f"u{bits // 8}").max()
    return int(signed) < exponent and int(unsigned) < exponent + (1 << (bits - 1))
