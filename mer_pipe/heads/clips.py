"""Clips of a store as a trainer takes them: labels and action units on the device, batches by position.

Imports torch: import it lazily.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from mer_pipe.heads.feeds import Feed
from mer_pipe.heads.head import Batch
from mer_pipe.heads.table import Table
from mer_pipe.store.arrays import checked_rows
from mer_pipe.types import StoreError


class StoreClips:
    """Some of a table's clips: `mer_pipe.heads.head.Clips` over a feed.

    Parameters
    ----------
    feed : brings the arrays.
    table : of the same store.
    positions : of the clips in the table, in the order wanted; None for all. The positions of `batch` count *these*.

    Attributes
    ----------
    labels : (n,) int64 on the feed's device, indices into the table's classes.
    units : (n, units) float32 there.
    samples : the clips' ids.

    Raises
    ------
    StoreError : the feed and the table are not of one store (it was built anew in between), or a floating-point array
        holds a value that is not finite for one of the clips.
    """

    def __init__(self, feed: Feed, table: Table, positions: Sequence[int] | np.ndarray | None = None) -> None:
        if any(source.checksum != table.checksum for source in feed.sources.values()):
            raise StoreError(f"{table.path} was built anew since its table was read", "begin again")
        chosen = checked_rows(range(len(table)) if positions is None else positions, len(table))
        self._feed = feed
        self._rows = torch.from_numpy(table.rows[chosen])
        self._rows_there = self._rows.to(feed.device)
        self.labels = torch.from_numpy(np.array(table.labels, np.int64)[chosen]).to(feed.device)
        self.units = torch.from_numpy(table.units[chosen]).to(feed.device)
        self.samples = tuple(table.samples[position] for position in chosen)
        check_finite(feed, table, chosen)

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, positions: Tensor) -> Batch:
        """The clips at these positions (n,) int64, in this order; a position may come more than once.

        Positions in the host's memory are the faster ones for all feeds but `resident`, which takes either.

        Raises
        ------
        NoSuchRow : a position is out of range (see `Feed.read` for positions on a GPU).
        StoreError : a sample is damaged.
        """
        return self._batch(positions, self._feed.read(self._rows_of(positions)))

    def batches(self, positions: Iterable[Tensor]) -> Iterator[Batch]:
        """`batch` for each item of `positions`; the next is read while the one before is in use.

        Items are drawn one batch ahead, in the calling thread.
        """
        asked: list[Tensor] = []

        def rows() -> Iterator[Tensor]:
            for some in positions:
                asked.append(some)
                yield self._rows_of(some)

        for arrays in self._feed.batches(rows()):
            yield self._batch(asked.pop(0), arrays)

    def _rows_of(self, positions: Tensor) -> Tensor:
        if positions.device.type != "cpu":
            return self._rows_there[positions]
        return self._rows[torch.from_numpy(checked_rows(positions.numpy(), len(self)))]

    def _batch(self, positions: Tensor, arrays: dict[str, Tensor]) -> Batch:
        there = positions.to(self._feed.device)
        return Batch(arrays, self.labels[there], self.units[there], there)


def check_finite(feed: Feed, table: Table, positions: np.ndarray) -> None:
    """Raise StoreError, with clip and array, where an array that is read for training holds NaN or an infinity."""
    found = feed.not_finite(table.rows[positions])
    if found is not None:
        name, row = found
        sample = table.samples[int(np.flatnonzero(table.rows == row)[0])]
        told = f"{name} of {sample} holds values that are not finite"
        raise StoreError(told, f"look at it with mer-pipe inspect {table.path} {sample}")
