"""The torch engine of TV-L1 on one device: pairs a second, and how near its iterations come to the device's memory.

Used by flow.py. An iteration of Chambolle and Pock in two passes moves, for each pixel of a pair, at least 24 float32: the
dual pass reads ahead (2) and the duals (4) and writes the duals; the primal pass reads the flow (2), the duals, the
gradient (2), its inverse norm and the rest (1 each) and writes flow and ahead. It computes 57 operations on them: for each
of u and v 2 differences, 6 to step and shrink the dual, 6 for its length, 2 to project it, 3 for the divergence, 2 to step,
2 for the over-relaxation; and 11 for the data term, both components together. At 0.6 operations a byte, memory is the limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from pairs import Pair

from mer_pipe.stages import _tvl1_torch as solver
from mer_pipe.stages._tvl1_batches import that_run
from mer_pipe.stages.flow import Tvl1, tvl1, tvl1_pairs

BYTES, OPERATIONS = 24 * 4, 57  # a pixel and iteration
ITERATIONS = 25


def seconds(run: Callable[[], object], device: torch.device, times: int = 5) -> float:
    """The median time of a call, all of its work on the device included."""
    taken = []
    for _ in range(times):
        _wait(device)
        start = time.perf_counter()
        run()
        _wait(device)
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def table(stock: list[Pair], name: str, batch: int) -> None:
    """Print the rows of a device, "cpu" or "cuda"."""
    device = torch.device(name)
    sources, targets = (np.stack([getattr(pair, side) for pair in stock]) for side in ("source", "target"))
    whole = [np.resize(images, (batch, *images.shape[1:])) for images in (sources, targets)]
    start = time.perf_counter()
    tvl1_pairs(*whole, name, batch)
    first = time.perf_counter() - start
    took = seconds(lambda: tvl1_pairs(*whole, name, batch), device)
    flows = tvl1_pairs(sources, targets, name, batch)
    off = np.abs(flows - [tvl1(pair.source, pair.target) for pair in stock])
    error = np.mean([np.linalg.norm(flow - pair.flow, axis=-1).mean() for flow, pair in zip(flows, stock, strict=True)])
    called = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"mer-pipe torch on {called}, {batch} pairs at once; torch {torch.__version__}")
    print(f"  {took / batch * 1e3:.3f} ms a pair with both copies; {first:.1f} s for the first call")
    print(f"  error {error:.4f} px; from native {off.mean():.1e} px in the mean, {off.max():.1e} px at most")

    values = batch * sources.shape[1] * sources.shape[2]
    each = iteration(device, (batch, *sources.shape[1:3]))
    moved, most = values * BYTES / each, copied(device)
    print(
        f"  an iteration: {each * 1e6:.1f} us, {values * BYTES / 1e6:.1f} MB and {values * OPERATIONS / 1e6:.1f} MFLOP: "
        f"{moved / 1e9:.1f} GB/s and {values * OPERATIONS / each / 1e9:.1f} GFLOP/s"
    )
    print(
        f"  a copy moves {most / 1e9:.1f} GB/s here: an iteration takes {most / moved:.1f} times as long as its bytes"
    )


def iteration(device: torch.device, shape: tuple[int, int, int]) -> float:
    """Seconds of one Chambolle-Pock iteration on a batch of the finest level, of ITERATIONS in a row."""
    pairs, height, width = shape
    made = torch.Generator(device).manual_seed(0)

    def draw(*size: int) -> torch.Tensor:
        return torch.randn(pairs, *size, height, width, generator=made, device=device)

    flow = draw(2)
    state = solver.State(flow, flow.clone(), torch.zeros_like(flow), torch.zeros_like(flow))
    gradient = 5 * draw(2)
    data = solver.Data(gradient, 1 / (gradient.square().sum(1) + 10), draw())
    stage = Tvl1("torch")

    def run(loops: solver.Loops) -> solver.State:
        found = state
        for _ in range(ITERATIONS):
            found = loops.step(found, data, 1 / (1 + solver.SIGMA * stage.huber), solver.TAU * stage.attachment)
        return found

    with torch.no_grad():
        if device.type != "cuda":
            return seconds(lambda: run(solver.PLAIN), device) / ITERATIONS
        loops = that_run(run)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            kept = run(loops)
        taken = seconds(graph.replay, device) / ITERATIONS
        del kept
        return taken


def copied(device: torch.device) -> float:
    """Bytes a second that a large copy reads and writes on the device."""
    source = torch.ones(1 << (28 if device.type == "cuda" else 25), device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / seconds(lambda: target.copy_(source), device, 9)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
