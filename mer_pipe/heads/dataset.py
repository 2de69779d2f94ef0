"""A store as a PyTorch dataset, for training loops of your own.

Imports torch: import it lazily.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from mer_pipe.heads import head_of
from mer_pipe.heads.clips import check_finite
from mer_pipe.heads.feeding import find_device, open_feed
from mer_pipe.heads.feeds import Feed
from mer_pipe.heads.table import Table, read_table
from mer_pipe.store.arrays import checked_rows, same_store
from mer_pipe.types import RecipeError


def torch_dataset(
    store: str | Path,
    head: str = "mrn",
    arrays: Sequence[str] | None = None,
    device: str | torch.device = "cpu",
    rows: Sequence[int] | np.ndarray | None = None,
    backend: str = "auto",
) -> StoreDataset:
    """The labelled clips of a store as a map-style dataset.

    Parameters
    ----------
    store : the published store.
    head : the system whose arrays are wanted: "aman", "mrn", "uamrn", "ruan", "msmmt" or "probe".
    arrays : names of arrays, as ("magnify/image",), in place of the head's.
    device : where tensors are wanted.
    rows : clips to take, by their place in the store; None takes all. Clips without a label are left out and listed in
        `left_out`.
    backend : how bytes reach the device, see `mer_pipe.heads.feeding.open_feed`.

    Raises
    ------
    StoreError : there is no store, it is damaged, it lacks an array, or one holds values that are not finite.
    RecipeError, MachineError : the head, the backend or the device cannot be used.
    """
    needs = () if arrays is not None else head_of(head).needs
    table = read_table(store, needs)
    names = tuple(arrays if arrays is not None else (need.array for need in needs))
    positions = np.arange(len(table))
    left_out = table.left_out
    if rows is not None:
        wanted = checked_rows(rows, len(table) + len(table.left_out))
        place = {row: position for position, row in enumerate(table.rows.tolist())}
        positions = np.array([place[row] for row in wanted.tolist() if row in place], np.int64)
        without = dict(zip(sorted(set(range(len(table) + len(left_out))) - set(place)), left_out, strict=True))
        left_out = tuple(without[row] for row in wanted.tolist() if row in without)
    opened = _Opened(Path(store), table.checksum, names, find_device(device), backend)
    check_finite(opened.feed(), table, positions)
    return StoreDataset(table, opened, positions, left_out)


class StoreDataset(Dataset):
    """Some clips of a store; `torch_dataset` makes it.

    An item is a dict: a tensor by array name, in the store's dtype; "label", () int64; "sample" and "subject", strings. An
    index may be a list or tensor of indices: tensors then have a leading axis and strings are lists. It can be pickled:
    every worker of a DataLoader opens the store's files itself.

    Attributes
    ----------
    table : all labelled clips of the store.
    positions : (n,) places of this dataset's clips in the table.
    classes : names of the classes, sorted; labels index into them.
    subjects : whose clips these are, sorted.
    left_out : ids of the clips that have no label.
    """

    def __init__(self, table: Table, opened: _Opened, positions: np.ndarray, left_out: tuple[str, ...]) -> None:
        self.table, self.positions, self.left_out = table, positions, left_out
        self.classes = table.inputs.classes
        self.subjects = tuple(sorted({table.subjects[position] for position in positions}))
        self._opened = opened
        self._labels = np.array(table.labels, np.int64)[positions]

    def __len__(self) -> int:
        return len(self.positions)

    def __repr__(self) -> str:
        return f"<{len(self)} clips of {len(self.subjects)} subjects, {len(self.classes)} classes: {self.feed!r}>"

    @property
    def feed(self) -> Feed:
        """What brings the arrays onto the device; opened once a process."""
        return self._opened.feed()

    def __getitem__(self, index: int | Sequence[int] | np.ndarray | Tensor) -> dict[str, Any]:
        if isinstance(index, int | np.integer) or getattr(index, "ndim", 1) == 0:
            return self.__getitems__([int(index)])[0]
        chosen = self._chosen(index)
        return self._told(chosen, self.feed.read(self._rows(chosen)))

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """Items at these indices, read together; DataLoader calls it."""
        whole = self[list(indices)]
        return [{name: values[i] for name, values in whole.items()} for i in range(len(indices))]

    def split(self, leave_out: str) -> tuple[StoreDataset, StoreDataset]:
        """(clips of all other subjects, clips of the subject `leave_out`): one fold of leave-one-subject-out.

        Raises
        ------
        RecipeError : no clip here is of that subject.
        """
        import difflib

        if leave_out not in self.subjects:
            near = difflib.get_close_matches(leave_out, self.subjects, 1, 0.3)
            told = f" (did you mean {near[0]}?)" if near else ""
            raise RecipeError(f"no clip is of subject {leave_out!r}{told}", "take one of .subjects")
        left = np.array([self.table.subjects[position] == leave_out for position in self.positions])
        return self.take(np.flatnonzero(~left)), self.take(np.flatnonzero(left))

    def take(self, indices: Sequence[int] | np.ndarray) -> StoreDataset:
        """The clips at these indices, in this order; it shares the open files."""
        return StoreDataset(self.table, self._opened, self.positions[self._chosen(indices)], self.left_out)

    def batches(self, batch_size: int, shuffle: bool = False, seed: int = 0) -> Iterator[dict[str, Any]]:
        """All clips once, in batches on the device; the next one is read while the one before is in use.

        Parameters
        ----------
        batch_size : the last batch may hold fewer.
        shuffle : whether in an order drawn from `seed`; the same seed gives the same order. Give each epoch its own.

        Returns
        -------
        An iterator over dicts as a list of indices gives them, labels on the device.
        """
        if batch_size < 1:
            raise RecipeError(f"batch_size={batch_size} is below 1")
        order = np.arange(len(self))
        if shuffle:
            order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed)).numpy()
        parts = [order[first : first + batch_size] for first in range(0, len(self), batch_size)]
        arrays = self.feed.batches(self._rows(part) for part in parts)
        return (self._told(part, batch) for part, batch in zip(parts, arrays, strict=True))

    def _chosen(self, indices: Sequence[int] | np.ndarray | Tensor) -> np.ndarray:
        chosen = np.asarray(indices.cpu() if isinstance(indices, Tensor) else indices)
        if chosen.size and chosen.dtype.kind in "iu":
            chosen = np.where(chosen < 0, chosen + len(self), chosen)  # from the end, as Python counts
        return checked_rows(chosen, len(self))

    def _rows(self, chosen: np.ndarray) -> np.ndarray:
        return self.table.rows[self.positions[chosen]]

    def _told(self, chosen: np.ndarray, arrays: dict[str, Tensor]) -> dict[str, Any]:
        positions = self.positions[chosen]
        return {
            **arrays,
            "label": torch.from_numpy(self._labels[chosen]).to(self.feed.device),
            "sample": [self.table.samples[position] for position in positions],
            "subject": [self.table.subjects[position] for position in positions],
        }


class _Opened:
    """A feed that every process opens for itself, of the store that was meant."""

    def __init__(self, path: Path, checksum: str, names: tuple[str, ...], device: torch.device, backend: str) -> None:
        self._asked = (path, checksum, names, device, backend)
        self._process, self._feed = 0, None

    def __getstate__(self) -> tuple:
        return self._asked

    def __setstate__(self, asked: tuple) -> None:
        self.__init__(*asked)

    def feed(self) -> Feed:
        if self._feed is None or self._process != os.getpid():
            path, checksum, names, device, backend = self._asked
            if device.type != "cpu" and get_worker_info() is not None:
                raise RecipeError(
                    f"a DataLoader's worker cannot bring clips onto {device}",
                    "take device='cpu' with the loader's pin_memory=True, or iterate .batches() without a loader",
                )
            same_store(path, checksum)
            self._feed, self._process = open_feed(path, names, device, backend), os.getpid()
        return self._feed
