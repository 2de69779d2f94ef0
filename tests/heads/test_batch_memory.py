"""Memory of large batches is used again, and never while anything still looks at it."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch

from mer_pipe.heads import batch_memory
from mer_pipe.heads.batch_memory import KEPT, BatchMemory

F2 = np.dtype("float16")


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch):
    monkeypatch.setattr(batch_memory, "LARGE", 64)


def address(array: np.ndarray | torch.Tensor) -> int:
    return array.data_ptr() if isinstance(array, torch.Tensor) else array.ctypes.data


def test_a_large_batch_takes_the_memory_of_one_that_is_gone():
    memory = BatchMemory()
    batch = torch.from_numpy(memory.room((4, 3, 5), F2))
    assert (batch.shape, batch.dtype) == ((4, 3, 5), torch.float16)
    was = address(batch)
    del batch
    assert address(memory.room((3, 3, 5), F2)) == was, "a smaller last batch fits too"


@pytest.mark.parametrize(
    "hold",
    [
        lambda room: room,
        lambda room: room[1:],
        lambda room: room.reshape(-1)[3:].view(np.uint16),
        torch.from_numpy,
        lambda room: torch.from_numpy(room)[2].view(torch.int16),
        lambda room: torch.from_numpy(room).numpy()[1:],
        lambda room: torch.from_numpy(room).requires_grad_().square().sum().grad_fn,
    ],
    ids=["array", "view", "view of a view", "tensor", "view of a tensor", "array of a tensor", "gradient"],
)
def test_memory_that_anything_looks_at_is_not_given_again(hold):
    memory = BatchMemory()
    room = memory.room((4, 3, 5), F2)
    was, held = address(room), hold(room)
    del room
    gc.collect()
    others = [memory.room((4, 3, 5), F2) for _ in range(5)]
    assert was not in [address(other) for other in others]
    del held
    gc.collect()
    assert address(memory.room((4, 3, 5), F2)) == was


def test_a_larger_batch_gets_more():
    memory = BatchMemory()
    memory.room((64,), F2)
    large = memory.room((4096,), F2)
    large[...] = 1
    assert large.shape == (4096,)


def test_no_more_blocks_lie_idle_than_a_reader_ahead_needs():
    memory = BatchMemory()
    many = [memory.room((64,), F2) for _ in range(3 * KEPT)]
    del many
    gc.collect()
    assert len(memory._idle) == KEPT


def test_small_batches_are_left_to_the_c_library():
    memory = BatchMemory()
    memory.room((31,), F2)
    gc.collect()
    assert not memory._idle
