"""Memory of the host for batches: that of a large batch is used again once nobody holds it.

The C library gives freed blocks above 32 MiB back to the kernel, and the kernel hands out zeros: every large batch would be
written twice.
"""

from __future__ import annotations

import math
import weakref

import numpy as np

LARGE = 32 << 20
"""Bytes from which the C library gives freed memory away."""
KEPT = 3
"""Blocks that lie idle at most. A trainer that reads ahead has three: it drops a batch when it already holds the next one,
while the one after is being read."""


class BatchMemory:
    """Gives memory for one batch after the other. Threads may share it."""

    def __init__(self) -> None:
        self._idle: list[np.ndarray] = []

    def room(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An array of any values; its memory is its own for as long as it, a view of it or a tensor on it is there."""
        count = math.prod(shape)
        size = count * dtype.itemsize
        if size < LARGE:
            return np.empty(shape, dtype)
        try:
            block = self._idle.pop()
        except IndexError:
            block = np.empty(0, np.uint8)
        if len(block) < size:
            block = np.empty(size, np.uint8)
        # Views of an array on a memoryview refer to that array; views of a view would refer to the block alone.
        held = np.frombuffer(memoryview(block), dtype, count)
        weakref.finalize(held, _back, self._idle, block).atexit = False
        return held.reshape(shape)


def _back(idle: list[np.ndarray], block: np.ndarray) -> None:
    if len(idle) < KEPT:
        idle.append(block)
