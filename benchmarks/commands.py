"""The command line: help, a build with nothing to do, status; each a process of its own.

    OMP_NUM_THREADS=1 python benchmarks/commands.py [--rounds 10] [--quick]

The whole demo database (24 clips, all systems) is built once for this, by two workers; `--quick` builds only what MRN
needs of six clips. Times are of whole processes, from start to exit, on a warm page cache, the commands in turn.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def seconds(arguments: list[str]) -> float:
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "mer_pipe.cli", *arguments], capture_output=True, text=True, check=False
    )
    taken = time.perf_counter() - begun
    if done.returncode:
        raise SystemExit(f"mer-pipe {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="a small build, five rounds")
    given = parser.parse_args()
    rounds = 5 if given.quick else given.rounds

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        demo = ["--dataset", "demo", "--root", str(place / "demo"), "--store", str(place / "demo.zarr")]
        demo += ["--cache", str(place / "cache"), *(["--limit", "6", "--only", "mrn"] if given.quick else [])]
        print(f"first build, with drawing the demo: {seconds(['build', *demo, '--workers', '2']):.0f} s, 2 workers")
        commands = {
            "python -c pass": None,
            "mer-pipe -h": ["-h"],
            "mer-pipe status": ["status", *demo],
            "mer-pipe build, nothing to do": ["build", *demo],
        }
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(rounds + 1):
            for name, arguments in commands.items():
                if arguments is not None:
                    taken[name].append(seconds(arguments))
                    continue
                begun = time.perf_counter()
                subprocess.run([sys.executable, "-c", "pass"], check=True)
                taken[name].append(time.perf_counter() - begun)
    print(f"{f'{rounds} processes each':32} {'best, s':>8} {'median (min-max), s':>24}")
    for name, values in taken.items():
        counted = values[1:]  # the first warms the page cache
        spread = f"{np.median(counted):.2f} ({min(counted):.2f}-{max(counted):.2f})"
        print(f"{name:32} {min(counted):8.2f} {spread:>24}")


if __name__ == "__main__":
    main()
