"""Random batches of 16 clips from a store: mapped against memcpy, zarr, xarray and tensorstore; onto a GPU, if there is one.

    OMP_NUM_THREADS=1 python benchmarks/reading.py [--store STORE] [--rounds 64] [--quick]

One process, one thread, page cache warm, interleaved: each batch is read by every reader in turn, and ratios are taken batch
by batch. memcpy is NumPy's `take` from the whole array in memory, into memory that is there already, as for "mapped".
"mapped, new memory" makes new memory for each batch; "feed" does so for small ones, and uses that of large ones again. "check"
is the CRC-32C of the batch's clips, which a process pays once a clip. zarr and tensorstore run in every fourth round; index
arrays (oindex, isel) once, and not for feature maps, where they take minutes. "tensorstore, cached" keeps what it has decoded
in 4 GiB of memory. Without --store a store of random values in the sizes of a real one is made and removed.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

BATCH = 16
SIZES = {"magnify/image": ((12, 224, 224, 3), "uint8"), "features_aman/map": ((11, 9, 256, 14, 14), "float16")}
SMALL = {"features_mrn/vector": ((12, 1024), "float16")}
EVERY = {"zarr loop": 4, "tensorstore": 4, "tensorstore, cached": 4}
ONCE = ("zarr oindex", "xarray isel")


def make(path: Path, clips: int) -> None:
    """A store of random values."""
    from mer_pipe.store.publish import ArrayPlan, publish
    from mer_pipe.types import ArraySpec

    sizes = SIZES | SMALL

    def read(key: str) -> dict[str, np.ndarray]:
        clip, name = key.split("|")
        shape, dtype = sizes[name]
        bits = np.random.default_rng(int(clip)).integers(0, 256, shape, np.uint8)
        return {"value": bits.astype(dtype)}

    plans = []
    for name, (shape, dtype) in sizes.items():
        group, _, array = name.partition("/")
        spec = ArraySpec(tuple(f"{array}_{i}" for i in range(len(shape))), dtype)
        cells = tuple(((f"{clip}|{name}", "value"),) for clip in range(clips))
        plans.append(ArrayPlan(group, array, {}, spec, dtype, cells, {}))
    rows = [{"sample": f"made/sub01/{clip}", "label": "others"} for clip in range(clips)]
    publish(path, rows, plans, {"database": "made"}, read)


def readers(path: Path, name: str) -> dict[str, Callable[[np.ndarray], object]]:
    """By name, what reads the rows of one array; the first is memcpy."""
    import torch
    import xarray
    import zarr

    from mer_pipe.heads.feeding import open_feed
    from mer_pipe.heads.feeds import torch_dtype
    from mer_pipe.store.mapped import open_array
    from mer_pipe.store.shards import crc32c

    array, feed = open_array(path, name), open_feed(path, (name,))
    assert array.backend == feed.backend == "mapped", array.why
    array.verify()
    feed.read(range(len(feed)))
    plain = zarr.open_array(str(path / name), mode="r")
    memory = plain[...]
    # PyTorch's memory begins with a line of the cache, as page-locked buffers do; NumPy's costs all copies of small rows more.
    out = torch.empty((BATCH, *array.shape[1:]), dtype=torch_dtype(array)).numpy()
    group, _, variable = name.partition("/")
    labelled = xarray.open_zarr(str(path), group=group, consolidated=False, chunks=None)[variable]
    first = array.dims[0]

    def loop(rows: np.ndarray) -> np.ndarray:
        for i, row in enumerate(rows.tolist()):
            out[i] = plain[row]
        return out

    found: dict[str, Callable[[np.ndarray], object]] = {
        "memcpy": lambda rows: np.take(memory, rows, 0, out=out, mode="clip"),
        "mapped": lambda rows: array.read(rows, out),
        "mapped, new memory": lambda rows: array.read(rows),
        "feed": lambda rows: feed.read(rows)[name].numpy(),
        "check": lambda rows: [crc32c(array.row(row)) for row in rows.tolist()] and memory[rows[:1]],
        "zarr loop": loop,
    }
    if name != "features_aman/map":
        found["zarr oindex"] = lambda rows: plain.oindex[rows]
        found["xarray isel"] = lambda rows: labelled.isel({first: rows}).values
    if importlib.util.find_spec("tensorstore"):
        import tensorstore

        def opened(cached: int) -> Callable[[np.ndarray], object]:
            one = {"limit": 1}
            limits = {"data_copy_concurrency": one, "file_io_concurrency": one}
            context = tensorstore.Context(limits | {"cache_pool": {"total_bytes_limit": cached}})
            spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path / name}/"}}
            whole = tensorstore.open(spec, context=context, recheck_cached_data=not cached).result()

            def read(rows: np.ndarray) -> np.ndarray:
                with tensorstore.Batch() as batch:  # faster than an index array
                    coming = [whole[row].read(batch=batch) for row in rows.tolist()]
                for i, sample in enumerate(coming):
                    out[i] = sample.result()
                return out

            return read

        found |= {"tensorstore": opened(0), "tensorstore, cached": opened(4 << 30)}
    return found


def compare(path: Path, name: str, rounds: int) -> None:
    found = readers(path, name)
    rng = np.random.default_rng(0)
    clips = _shape(path, name)[0]
    wanted = rng.integers(0, clips, BATCH)
    held = found["memcpy"](wanted).copy()
    seconds: dict[str, list[float]] = {reader: [] for reader in found}
    ratios: dict[str, list[float]] = {reader: [] for reader in found}

    def timed(reader: str, rows: np.ndarray) -> object:
        begun = time.perf_counter()
        value = found[reader](rows)
        seconds[reader].append(time.perf_counter() - begun)
        ratios[reader].append(seconds["memcpy"][-1] / seconds[reader][-1])
        return value

    for reader, read in found.items():  # a first time, and the same bytes
        value = timed(reader, wanted) if reader in ONCE else read(wanted)
        if reader != "check":
            assert np.array_equal(np.asarray(value).view(np.uint8), held.view(np.uint8)), reader
        if reader == "memcpy":
            timed(reader, wanted)
    seconds["memcpy"], ratios["memcpy"] = [], []
    for turn in range(rounds):
        rows = rng.integers(0, clips, BATCH)
        for reader in found:
            if reader not in ONCE and turn % EVERY.get(reader, 1) == 0:
                timed(reader, rows)
    size = held.nbytes
    print(f"{name}: {clips} clips of {size / BATCH / 2**20:.3g} MiB, {rounds} random batches of {BATCH}")
    print(f"{'reader':20} {'ms, median (min-max)':>34} {'GB/s':>7} {'of memcpy, median (min-max)':>30}")
    for reader, taken in seconds.items():
        ms = np.array(taken) * 1e3
        speed = size / np.median(taken) / 1e9
        print(f"{reader:20} {spread(ms, 3):>34} {speed:7.2f} {spread(ratios[reader], 3):>30}")
    loops = np.array(seconds["zarr loop"]) / seconds["mapped"][:: EVERY["zarr loop"]]
    print(f"mapped against the zarr loop: times faster {spread(loops)}\n", flush=True)


def on_a_gpu(path: Path, name: str, rounds: int) -> None:
    """The same batches onto a GPU, against one copy of as many bytes from page-locked memory."""
    import torch

    from mer_pipe.heads.feeding import open_feed
    from mer_pipe.types import MerError

    rng = np.random.default_rng(0)
    clips, *one = _shape(path, name)
    size = BATCH * int(np.prod(one)) * np.dtype((SIZES | SMALL)[name][1]).itemsize
    host = torch.empty(size, dtype=torch.uint8, pin_memory=True)
    there = torch.empty(size, dtype=torch.uint8, device="cuda")
    feeds = {}
    for backend in ("resident", "pinned", "gds", "pageable", "zarr"):
        try:
            feeds[backend] = open_feed(path, (name,), "cuda", backend)
            feeds[backend].read(range(min(clips, BATCH)))
        except MerError as error:
            print(f"{backend} is left out: {error}")
    seconds: dict[str, list[float]] = {reader: [] for reader in ("page-locked copy", *feeds)}
    for turn in range(rounds):
        batches = [rng.integers(0, clips, BATCH) for _ in range(8)]
        for reader in seconds:
            if reader == "zarr" and turn % 8:
                continue
            torch.cuda.synchronize()
            begun = time.perf_counter()
            if reader == "page-locked copy":
                for _ in batches:
                    there.copy_(host, non_blocking=True)
            else:
                for _ in feeds[reader].batches(batches):
                    pass
            torch.cuda.synchronize()
            seconds[reader].append((time.perf_counter() - begun) / len(batches))
    print(f"{name} onto {torch.cuda.get_device_name()}: {rounds} times 8 batches of {BATCH}, read ahead")
    print(f"{'reader':20} {'ms a batch, median (min-max)':>28} {'GB/s':>7} {'of page-locked copy':>30}")
    for reader, taken in seconds.items():
        speed = size / np.median(taken) / 1e9
        ratio = np.array(seconds["page-locked copy"][: len(taken)]) / taken
        print(f"{reader:20} {spread(np.array(taken) * 1e3, 3):>28} {speed:7.2f} {spread(ratio, 3):>30}")
    print(flush=True)


def spread(values: list[float] | np.ndarray, digits: int = 1) -> str:
    return f"{np.median(values):.{digits}f} ({np.min(values):.{digits}f}-{np.max(values):.{digits}f})"


def _shape(path: Path, name: str) -> tuple[int, ...]:
    import json

    return tuple(json.loads((path / name / "zarr.json").read_bytes())["shape"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, help="a store that has these arrays, as that of the demo")
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=64)
    parser.add_argument("--quick", action="store_true", help="few clips, few rounds")
    given = parser.parse_args()
    clips, rounds = (16, 8) if given.quick else (given.clips, given.rounds)

    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = given.store or Path(folder) / "made.zarr"
        if not given.store:
            make(path, clips)
        for name in SIZES | SMALL:
            compare(path, name, rounds)
        if torch.cuda.is_available():
            for name in SIZES:
                on_a_gpu(path, name, rounds)
        else:
            print("no GPU here: the columns for one are left out")
    if not importlib.util.find_spec("tensorstore"):
        print("tensorstore is not installed: left out")


if __name__ == "__main__":
    main()
