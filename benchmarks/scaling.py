"""Scaling of a build: clips x1, x10, x100 on one and on two worker processes.

    OMP_NUM_THREADS=1 python benchmarks/scaling.py [--rounds 1] [--quick]

The demo database (synthetic faces), all five systems, with fewer AFs and TIM frames than the default recipe so that it
takes minutes; every build starts from an empty cache and ends with a published store. One and two workers take turns. A
build's time holds the start of its workers (processes that import OpenCV and PyTorch and load the compiled kernels);
"seconds a clip more" is the slope from the middle to the largest build, where the start cancels. "others" is how many of
the machine's cores were busy with something else meanwhile (from /proc/stat): with two workers on two cores, a speed-up
is worth reading only where that is near 0. The stores of both are compared: they must hold the same bytes.
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


def build(request: api.Request, workers: int) -> tuple[float, float]:
    """Seconds of one build, and how many cores others used meanwhile."""
    begun, busy, own = time.perf_counter(), busy_seconds(), sum(os.times()[:4])
    built = api.build(api.prepare(request), Cluster(workers))
    if built.failed or not built.changed:
        raise SystemExit(f"the build did not go through: {built.failed}")
    taken = time.perf_counter() - begun
    return taken, max(0.0, busy_seconds() - busy - (sum(os.times()[:4]) - own)) / taken


def busy_seconds() -> float:
    """Seconds that all cores together have been busy or stolen since the machine started."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def spread(values: np.ndarray | list[float], digits: int = 1) -> str:
    return f"{np.median(values):.{digits}f} ({np.min(values):.{digits}f}-{np.max(values):.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="1, 2 and 4 clips")
    given = parser.parse_args()
    os.environ |= ONE_THREAD

    # Even from the second on: two workers would share three clips as two and one, and the slope would flatter them.
    sizes, rounds = ((1, 2, 4) if given.quick else (1, 10, 100)), given.rounds
    taken: dict[tuple[int, int], list[tuple[float, float]]] = {(n, w): [] for n in sizes for w in (1, 2)}
    with tempfile.TemporaryDirectory() as folder:
        values = VALUES | {"dataset.subjects": 4, "dataset.clips": -(-sizes[-1] // 4)}
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
    seconds = {at: np.array(runs)[:, 0] for at, runs in taken.items()}
    others = {at: np.array(runs)[:, 1] for at, runs in taken.items()}
    print(f"{rounds} {'round' if rounds == 1 else 'rounds'}; median (min-max)")
    print(f"{'clips':>6} {'1 worker, s':>18} {'others':>15} {'2 workers, s':>18} {'others':>15} {'speed-up':>18}")
    for size in sizes:
        one, two = (size, 1), (size, 2)
        cells = (
            *(f"{spread(seconds[at]):>18} {spread(others[at]):>15}" for at in (one, two)),
            f"{spread(seconds[one] / seconds[two], 2):>18}",
        )
        print(f"{size:6}", *cells)
    slopes = [(seconds[sizes[2], w] - seconds[sizes[1], w]) / (sizes[2] - sizes[1]) for w in (1, 2)]
    print(f"seconds a clip more: 1 worker {spread(slopes[0], 2)}, 2 workers {spread(slopes[1], 2)}")
    print(f"speed-up of two workers, a clip more: {spread(slopes[0] / slopes[1], 2)}")


if __name__ == "__main__":
    main()
