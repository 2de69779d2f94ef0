"""TV-L1 flow: ours against OpenCV's DualTVL1 and scikit-image's optical_flow_tvl1, on pairs with known flow.

    OMP_NUM_THREADS=1 python benchmarks/flow.py [--pairs 32] [--set held-out|tuning] [--still] [--ours]
                                                [--device cuda|cpu] [--batch 32]
    OMP_NUM_THREADS=1 python benchmarks/flow.py --two [--pairs 32]

One thread each, interleaved: each pair goes through every solver in turn. `--still` takes pairs in which nothing moves but
narrow bumps, and tells the error where there is motion (more than 0.1 px) from that where there is none. `--ours` leaves
the peers out. `--device` adds rows of the torch engine there, which solves `--batch` pairs at once; where there is a GPU, it
is added by itself. `--two` asks instead what a second core brings: two threads that solve every pair once each, against one
thread that solves it twice, in turn; "others" is how many cores were busy with something else meanwhile (from /proc/stat):
the figure is worth reading only where that is near 0.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pairs as made
from scaling import busy_seconds

from mer_pipe.stages.flow import tvl1

AGAIN = 4
"""How often a thread of two solves a pair in a row: one solution is too short for the clock of /proc/stat."""


def ours(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    return tvl1(source, target)


def opencv(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    return tvl1(source, target, "opencv")


def skimage(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    from skimage.color import rgb2gray
    from skimage.registration import optical_flow_tvl1

    v, u = optical_flow_tvl1(*(rgb2gray(i).astype(np.float32) for i in (source, target)), dtype=np.float32)
    return np.stack([u, v], axis=-1)


def spread(values: list[float] | np.ndarray, digits: int = 1) -> str:
    return f"{np.median(values):.{digits}f} ({np.min(values):.{digits}f}-{np.max(values):.{digits}f})"


def two_threads(stock: list[made.Pair]) -> None:
    """The table of `--two`: a row each for one thread and for two, and how many times faster two are."""
    names = ("one thread", "two threads")
    seconds: dict[str, list[float]] = {name: [] for name in names}
    others: dict[str, list[float]] = {name: [] for name in names}
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(2) as two:
        pools = dict(zip(names, (one, two), strict=True))
        for turn, pair in enumerate(stock):
            for name in names if turn % 2 == 0 else names[::-1]:
                start, busy, own = time.perf_counter(), busy_seconds(), sum(os.times()[:4])
                for task in [pools[name].submit(ours, pair.source, pair.target) for _ in range(2 * AGAIN)]:
                    task.result()
                taken = time.perf_counter() - start
                seconds[name].append(taken / (2 * AGAIN))
                others[name].append(max(0.0, busy_seconds() - busy - (sum(os.times()[:4]) - own)) / taken)
    print(
        f"{len(stock)} pairs, {made.SIZE} x {made.SIZE}, each solved {2 * AGAIN} times by one thread and by two, in turn"
    )
    print(f"load average {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores; median (min-max)")
    print(f"{'':12} {'ms a pair':>22} {'others':>18}")
    for name in names:
        print(f"{name:12} {spread(np.array(seconds[name]) * 1e3):>22} {spread(others[name], 2):>18}")
    print(f"two threads against one: times faster {spread(np.divide(*seconds.values()), 2)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=32)
    parser.add_argument("--set", choices=("held-out", "tuning"), default="held-out")
    parser.add_argument("--ours", action="store_true", help="leave the peers out")
    parser.add_argument("--still", action="store_true", help="no motion but narrow bumps")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="the torch engine as well, there")
    parser.add_argument("--batch", type=int, default=32, help="pairs that the torch engine solves at once")
    parser.add_argument("--two", action="store_true", help="two threads against one, and nothing else")
    given = parser.parse_args()

    import cv2

    cv2.setNumThreads(1)
    solvers = (
        {"mer-pipe native": ours} if given.ours else {"mer-pipe native": ours, "OpenCV": opencv, "skimage": skimage}
    )
    held_out = given.set == "held-out"
    kind = {"widths": (8, 20), "still": True} if given.still else {}
    stock = made.make(made.HELD_OUT if held_out else made.TUNING, given.pairs, 1000 if held_out else 100, **kind)
    for solver in solvers.values():
        solver(stock[0].source, stock[0].target)
    if given.two:
        two_threads(stock)
        return

    still = [float(np.linalg.norm(pair.flow, axis=-1).mean()) for pair in stock]
    clean, light, seconds, moving, rest = ({name: [] for name in solvers} for _ in range(5))
    for pair in stock:
        brighter = np.clip(np.rint(pair.target * 1.03 + 4), 0, 255).astype(np.uint8)
        for name, solver in solvers.items():
            start = time.perf_counter()
            flow = solver(pair.source, pair.target)
            seconds[name].append(time.perf_counter() - start)
            off, moves = np.linalg.norm(flow - pair.flow, axis=-1), np.linalg.norm(pair.flow, axis=-1) > 0.1
            clean[name].append(off.mean())
            moving[name].append(off[moves].mean())
            rest[name].append(off[~moves].mean() if given.still else 0.0)
            light[name].append(np.linalg.norm(solver(pair.source, brighter) - pair.flow, axis=-1).mean())

    own = np.array(seconds["mer-pipe native"])
    print(f"{len(stock)} {given.set} pairs, {made.SIZE} x {made.SIZE}; zero flow errs by {np.mean(still):.3f} px")
    print(f"{'mean endpoint error':>39}")
    heads = ("solver", "clean, px", "+3 % +4, px", "ms, median (min-max)", "ours is faster by", "ours is better on")
    print("{:16} {:>9} {:>11} {:>26} {:>22} {:>18}".format(*heads))
    for name in solvers:
        ratio = spread(np.array(seconds[name]) / own)
        wins = sum(a < b for a, b in zip(clean["mer-pipe native"], clean[name], strict=True))
        versus = f"{ratio:>22} {wins:>12} of {len(stock)}" if name != "mer-pipe native" else ""
        print(
            f"{name:16} {np.mean(clean[name]):9.4f} {np.mean(light[name]):11.4f} "
            f"{spread(np.array(seconds[name]) * 1e3):>26} {versus}"
        )
    if given.still:
        for name in solvers:
            print(f"  {name:16} where it moves {np.mean(moving[name]):.4f} px, elsewhere {np.mean(rest[name]):.4f} px")
    for photograph in dict.fromkeys(pair.name for pair in stock):
        rows = [i for i, pair in enumerate(stock) if pair.name == photograph]
        print(f"  {photograph:12}", *(f"{name} {np.mean([clean[name][i] for i in rows]):.4f}" for name in solvers))
    import flow_torch
    import torch

    device = given.device or ("cuda" if torch.cuda.is_available() else "")
    if device:
        flow_torch.table(stock, device, given.batch)
    else:
        print("mer-pipe torch: no GPU here; --device cpu tells the CPU's figures")


if __name__ == "__main__":
    main()
