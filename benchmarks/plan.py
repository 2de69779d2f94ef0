"""Planning work for 250 clips whose every value is in the cache: python benchmarks/plan.py

A generated database of 250 clips of 60..70 frames (the size of CASME II) is listed and planned with the whole default
recipe. The cache holds an empty file for every key: a plan looks only at whether an entry is there. Each round starts a
new process, as `mer-pipe status` would.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mer_pipe import api
from mer_pipe.store.cache import Cache

VALUES = {
    "dataset.subjects": 25,
    "dataset.clips": 10,
    "dataset.frames": "60..70",
    "dataset.size": "64,48",
    "align.method": "none",
}
ROUNDS = 7


def prepare(place: Path) -> api.Prepared:
    request = api.make_request("demo", place / "demo", store=place / "demo.zarr", cache=place / "cache", values=VALUES)
    return api.prepare(request)


def main() -> None:
    if len(sys.argv) > 1:  # one round in its own process
        begun = time.perf_counter()
        prepared = prepare(Path(sys.argv[1]))
        assert not prepared.plan.missing
        print(time.perf_counter() - begun)
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        begun = time.perf_counter()
        first = prepare(place)
        print(f"first plan, with drawing and digesting the frames: {time.perf_counter() - begun:.1f} s")
        cache = Cache(place / "cache")
        keys = [key for clip in first.plan.clips for key in clip.graph.cells]
        for key in keys:
            path = cache.path(key)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        command = [sys.executable, __file__, folder]
        took = [
            float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(ROUNDS)
        ]
        print(f"{len(first.plan.clips)} clips, {len(keys)} values, all there: median {statistics.median(took):.2f} s "
              f"({min(took):.2f}..{max(took):.2f}, {ROUNDS} processes)")  # fmt: skip


if __name__ == "__main__":
    main()
