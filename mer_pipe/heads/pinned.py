"""The pinned feed: two page-locked buffers in turn, filled by the CPU while the other one's batch is sent and used.

Imports torch: import it lazily.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from mer_pipe.heads.feeds import Feed, Source, gather, torch_dtype

SLOTS = 2


class Lane(Protocol):
    """A way from the host's memory to a device, beside the stream that computes."""

    device: torch.device

    def host(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Memory of the host that the device can copy from by itself."""
        ...

    def send(self, held: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Any]:
        """Begin to copy; the tensors on the device, which may not be used yet, and a ticket for the copy."""
        ...

    def wait(self, ticket: Any) -> None:
        """Return when the copy is done and its host memory may be written again."""
        ...

    def hand_over(self, sent: Mapping[str, Tensor], ticket: Any) -> None:
        """Let the calling thread's stream use the tensors: what it is given from now on runs after the copy."""
        ...


class CudaLane:
    """A stream of its own on a CUDA device."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)

    def host(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        with torch.cuda.device(self.device):
            return torch.empty(shape, dtype=dtype, pin_memory=True)

    def send(self, held: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], torch.cuda.Event]:
        with torch.cuda.stream(self.stream):
            sent = {name: buffer.to(self.device, non_blocking=True) for name, buffer in held.items()}
            done = torch.cuda.Event()
            done.record(self.stream)
        return sent, done

    def wait(self, ticket: torch.cuda.Event) -> None:
        ticket.synchronize()

    def hand_over(self, sent: Mapping[str, Tensor], ticket: torch.cuda.Event) -> None:
        stream = torch.cuda.current_stream(self.device)
        stream.wait_event(ticket)
        for tensor in sent.values():
            # The memory belongs to the lane's stream: it must not be given out anew before this stream is done with it.
            tensor.record_stream(stream)


class PinnedFeed(Feed):
    """Batches through two page-locked buffers; see the module.

    Parameters
    ----------
    lane : the way to the device; a CudaLane, or what a test puts in its place.
    """

    backend = "pinned"

    def __init__(self, sources: Mapping[str, Source], lane: Lane, why: str) -> None:
        super().__init__(sources, lane.device, why)
        self.lane = lane
        self._slots = [_Slot() for _ in range(SLOTS)]
        self._turn = 0
        self._lock = threading.Lock()

    def _fetch(self, rows: np.ndarray) -> tuple[dict[str, Tensor], Any]:
        with self._lock:  # `read` may be called while `batches` reads ahead
            slot = self._slots[self._turn]
            self._turn = (self._turn + 1) % SLOTS
            if slot.busy:
                self.lane.wait(slot.ticket)
                slot.busy = False
            held = {name: self._filled(slot, name, rows) for name in self.sources}
            sent, slot.ticket = self.lane.send(held)
            slot.busy = True
            return sent, slot.ticket

    def _hand_over(self, fetched: tuple[dict[str, Tensor], Any]) -> dict[str, Tensor]:
        sent, ticket = fetched
        self.lane.hand_over(sent, ticket)
        return sent

    def _filled(self, slot: _Slot, name: str, rows: np.ndarray) -> Tensor:
        source, buffer = self.sources[name], slot.buffers.get(name)
        if buffer is None or len(buffer) < len(rows):
            # Page-locking takes longer than a batch: a buffer only ever grows.
            buffer = slot.buffers[name] = self.lane.host((len(rows), *source.shape[1:]), torch_dtype(source))
        return gather(source, rows, buffer[: len(rows)])


class _Slot:
    def __init__(self) -> None:
        self.buffers: dict[str, Tensor] = {}
        self.ticket: Any = None
        self.busy = False
