"""The gds feed: samples go from their file onto the device without passing the host's memory (GPUDirect Storage).

Imports torch: import it lazily.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mer_pipe.heads.feeds import Feed, Source, torch_dtype
from mer_pipe.store.mapped import Mapped
from mer_pipe.types import MachineError, StoreError

DRIVER = Path("/proc/driver/nvidia-fs/stats")


def has_gds() -> bool:
    """Whether this machine's driver reads files onto the device; without it cuFile itself copies through the host."""
    return DRIVER.exists()


class GdsFeed(Feed):
    """Samples read by cuFile into their places in a batch.

    A sample's checksum is compared in the host's memory before it is first read so: the first epoch reads it twice. On
    opening, the first and the last sample of every array are compared with the map.

    Parameters
    ----------
    sources : by name, all mapped.
    device : a CUDA device.
    why : see `Feed`.
    open_file : opens a file as ``torch.cuda.gds.GdsFile(name, flags)`` does.

    Raises
    ------
    StoreError : an array is not mapped.
    MachineError : cuFile cannot open or read a file, or reads something else than the map holds.
    """

    backend = "gds"

    def __init__(
        self,
        sources: Mapping[str, Source],
        device: torch.device,
        why: str,
        open_file: Callable[[str, int], Any] | None = None,
    ) -> None:
        super().__init__(sources, device, why)
        for source in sources.values():
            if not isinstance(source, Mapped):
                raise StoreError(f"backend gds: {source.why}", "take backend=pinned, or auto")
        # cuFile writes at once, whatever is queued: batches take memory that no other stream is given, see _hand_over.
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._open = open_file or _gds_file
        self._files: dict[Path, Any] = {}
        ends = np.array([0, len(self) - 1])
        for name, found in self._fetch(ends).items():
            if not torch.equal(found.cpu(), torch.from_numpy(sources[name].read(ends))):
                raise MachineError(f"GPUDirect Storage reads {name} wrongly on this machine", "take backend=pinned")

    def _fetch(self, rows: np.ndarray) -> dict[str, Tensor]:
        with torch.cuda.stream(self._stream):
            return {name: self._direct(source, rows.tolist()) for name, source in self.sources.items()}

    def _hand_over(self, fetched: dict[str, Tensor]) -> dict[str, Tensor]:
        if self._stream is not None:
            stream = torch.cuda.current_stream(self.device)
            for tensor in fetched.values():
                tensor.record_stream(stream)  # not given out anew before this stream is done with it
        return fetched

    def _direct(self, source: Mapped, rows: list[int]) -> Tensor:
        held = torch.empty((len(rows), *source.shape[1:]), dtype=torch_dtype(source), device=self.device)
        memory = held.untyped_storage()
        size = source.sample_bytes
        try:
            for i, row in enumerate(rows):
                path, begin = source.place(row)
                if path not in self._files:
                    self._files[path] = self._open(str(path), os.O_RDONLY)
                self._files[path].load_storage(memory[i * size : (i + 1) * size], begin)
        except (OSError, RuntimeError) as error:
            said = " ".join(str(error).split())[:200]
            raise MachineError(f"GPUDirect Storage cannot read {path}: {said}", "take backend=pinned") from error
        return held


def _gds_file(name: str, flags: int) -> Any:
    from torch.cuda.gds import GdsFile

    # What GdsFile cannot open it also complains of when it is collected: ask first.
    os.close(os.open(name, flags | getattr(os, "O_DIRECT", 0)))
    return GdsFile(name, flags)
