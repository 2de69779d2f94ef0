"""Scaling of a build: clips x1, x2, x4 on one and on two worker processes.

    OMP_NUM_THREADS=1 python benchmarks/scaling.py [--clips 3] [--rounds 2] [--quick]

The demo database (synthetic faces), all five systems, with fewer AFs and TIM frames than the default recipe so that it
takes minutes; every build starts from an empty cache and ends with a published store. One and two workers take turns. A
build's time holds the start of its workers (processes that import OpenCV and PyTorch and load the compiled kernels);
"seconds a clip more" is the slope from the smallest to the largest build, where the start cancels. The stores of both
are compared: they must hold the same bytes.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from mer_pipe import api
from mer_pipe.pipeline.executors.cluster import Cluster
from mer_pipe.pipeline.threads import ONE_THREAD
from mer_pipe.store.open import read_facts

VALUES = {"aman.frames": 3, "aman.af": (1.0, 2.0, 4.0), "mrn.af": (2.0, 4.0, 8.0), "ruan.af": 4.0}


def build(request: api.Request, workers: int) -> float:
    begun = time.perf_counter()
    built = api.build(api.prepare(request), Cluster(workers))
    if built.failed or not built.changed:
        raise SystemExit(f"the build did not go through: {built.failed}")
    return time.perf_counter() - begun


def spread(values: np.ndarray | list[float], digits: int = 1) -> str:
    return f"{np.median(values):.{digits}f} ({np.min(values):.{digits}f}-{np.max(values):.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=3, help="clips of the smallest build")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="two clips, one round")
    given = parser.parse_args()
    first, rounds = (2, 1) if given.quick else (given.clips, given.rounds)
    os.environ |= ONE_THREAD

    sizes = [first, 2 * first, 4 * first]
    taken: dict[tuple[int, int], list[float]] = {(n, w): [] for n in sizes for w in (1, 2)}
    with tempfile.TemporaryDirectory() as folder:
        values = VALUES | {"dataset.subjects": 4, "dataset.clips": first}
        base = api.make_request("demo", Path(folder) / "demo", values=values)
        api.prepare(replace(base, cache=Path(folder) / "digests"))  # draws the demo
        for round_ in range(rounds):
            for size in sizes:
                contents = set()
                for workers in (1, 2) if round_ % 2 == 0 else (2, 1):
                    place = Path(folder) / f"{round_}-{size}-{workers}"
                    request = replace(base, limit=size, cache=place / "cache", store=place / "demo.zarr")
                    taken[size, workers].append(build(request, workers))
                    contents.add(read_facts(request.store)["checksum"])
                if len(contents) > 1:
                    raise SystemExit("one and two workers gave stores of different bytes")
    print(
        f"{rounds} rounds; median (min-max); the load average now is {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    print(f"{'clips':>6} {'1 worker, s':>22} {'2 workers, s':>22} {'speed-up':>20}")
    for size in sizes:
        one, two = (np.array(taken[size, workers]) for workers in (1, 2))
        print(f"{size:6} {spread(one):>22} {spread(two):>22} {spread(one / two, 2):>20}")
    slopes = [(np.array(taken[sizes[-1], w]) - np.array(taken[sizes[0], w])) / (sizes[-1] - sizes[0]) for w in (1, 2)]
    print(f"seconds a clip more: 1 worker {spread(slopes[0], 2)}, 2 workers {spread(slopes[1], 2)}, "
          f"speed-up {spread(slopes[0] / slopes[1], 2)}")  # fmt: skip


if __name__ == "__main__":
    main()
