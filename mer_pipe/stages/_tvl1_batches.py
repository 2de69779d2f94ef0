"""Batches of pairs through the torch solver of TV-L1, on the CPU or on a GPU. Imports torch: import it lazily.

On a GPU the whole solver is recorded once for each shape of batch, as a CUDA graph, with its inner loops fused by
torch.compile: launching its thousands of small kernels one by one would take longer than they do.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch

from mer_pipe.stages import _tvl1_torch as solver


def flow(
    sources: np.ndarray, targets: np.ndarray, device: torch.device, batch: int, settings: solver.Settings
) -> np.ndarray:
    """Return the (n, y, x, 2) float32 flows of n > 0 pairs of uint8 images, `batch` pairs at a time."""
    found = []
    for start in range(0, len(sources), batch):
        pairs = [images[start : start + batch] for images in (sources, targets)]
        if device.type == "cuda":
            # Batches of some sizes only, or each number of pairs would be recorded anew; what fills up has no effect.
            # Not of 1 or 2, which torch.compile takes for other kinds of shapes.
            size = max(4, min(batch, 1 << (len(pairs[0]) - 1).bit_length()))
            with torch.cuda.device(device):
                found.append(recorded((size, *sources.shape[1:]), device, settings)(*pairs))
        else:
            with torch.no_grad():
                found.append(solver.solve(*map(_tensor, pairs), settings, solver.PLAIN).numpy())
    return np.concatenate(found)


class Recording:
    """The solver for one shape of images on a GPU, recorded as a CUDA graph and replayed on the images of each call."""

    def __init__(self, shape: tuple[int, ...], device: torch.device, settings: solver.Settings) -> None:
        self.sources, self.targets = (torch.zeros(shape, dtype=torch.uint8, device=device) for _ in range(2))
        self.lock = threading.Lock()
        loops = that_run(lambda loops: self._warm(settings, loops))
        self.graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(self.graph):
            self.flows = solver.solve(self.sources, self.targets, settings, loops)

    def __call__(self, sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
        count = len(sources)
        with self.lock:  # one place for the images of all threads
            self.sources[:count].copy_(_tensor(sources))
            self.targets[:count].copy_(_tensor(targets))
            self.graph.replay()
            return self.flows[:count].cpu().numpy()

    def _warm(self, settings: solver.Settings, loops: solver.Loops) -> None:
        """Run twice beside the stream that records: compiling, and moving constants, cannot be recorded."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.no_grad(), torch.cuda.stream(stream):
            for _ in range(2):
                solver.solve(self.sources, self.targets, settings, loops)
        torch.cuda.current_stream().wait_stream(stream)


def that_run(run: Callable[[solver.Loops], None]) -> solver.Loops:
    """The fused loops where `run` can run them; else, with a warning, the plain ones."""
    try:
        loops = fused()
        run(loops)
        return loops
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:  # compilers fail in many ways; what is no fault of theirs comes again below
        said = str(error).strip().splitlines()
        warnings.warn(
            f"torch.compile cannot fuse the loops of the flow ({said[0] if said else type(error).__name__}): it is the "
            "same to rounding, and several times slower",
            RuntimeWarning,
            stacklevel=2,
        )
    run(solver.PLAIN)
    return solver.PLAIN


@lru_cache(maxsize=2)
def recorded(shape: tuple[int, ...], device: torch.device, settings: solver.Settings) -> Recording:
    return Recording(shape, device, settings)


@lru_cache(maxsize=1)
def fused() -> solver.Loops:
    # One compilation for all shapes; a whole graph, so that torch cannot go on uncompiled without a word.
    return solver.Loops(*(torch.compile(function, dynamic=True, fullgraph=True) for function in solver.PLAIN))


def _tensor(images: np.ndarray) -> torch.Tensor:
    return torch.tensor(np.ascontiguousarray(images))  # a copy: torch complains of arrays that may only be read
