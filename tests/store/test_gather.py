"""The compiled copy gives zarr's bytes, refuses what would reach beyond its memory, and is loaded by reading alone."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import zarr
from zarr.codecs import Crc32cCodec

from mer_pipe.store.arrays import checked_rows
from mer_pipe.store.mapped import open_array
from mer_pipe.types import StoreError
from tests.report.made_store import make_store
from tests.store.stores import add_array

ROWS, A_SHARD = 23, 5
ONE_SAMPLE = {
    "1 byte": ((1,), "uint8"),
    "7 bytes": ((7,), "uint8"),
    "30 bytes": ((5, 3), "float16"),
    "24 KiB": ((12, 1024), "float16"),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Arrays of 23 samples of random bits, five a shard: the fifth shard is not full, most samples lie on odd places."""
    path = make_store(tmp_path_factory.mktemp("made") / "made.zarr", 2, only=("travel",))
    for name, (shape, dtype) in ONE_SAMPLE.items():
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        bits = np.random.default_rng(size).integers(0, 256, (ROWS, size), np.uint8)
        layout = {"chunks": (1, *shape), "shards": (A_SHARD, *shape), "compressors": [Crc32cCodec()]}
        add_array(path, f"bits/{name}", bits.view(dtype).reshape(ROWS, *shape), **layout)
    return path


@pytest.mark.parametrize("name", ONE_SAMPLE)
def test_random_rows_across_shards_are_the_bytes_that_zarr_reads(store, name):
    array = open_array(store, f"bits/{name}")
    assert array.backend == "mapped"
    assert not array.row(0).flags.writeable  # the maps can only be read
    wanted, rng = zarr.open_array(str(store / "bits" / name), mode="r")[...], np.random.default_rng(0)
    for count in (0, 1, 2, ROWS, 100):
        for _ in range(20):
            rows = rng.integers(0, ROWS, count)
            assert array.read(rows).tobytes() == wanted[rows].tobytes()
    assert array.read([7] * 9).tobytes() == wanted[[7] * 9].tobytes()
    assert array.read(np.arange(ROWS, dtype=np.uint8)[::-2]).tobytes() == wanted[::-2].tobytes()


def test_nothing_but_the_rows_own_memory_is_written(store):
    array = open_array(store, "bits/7 bytes")
    around = np.full((9, 7), 170, np.uint8)
    array.read([22, 3], around[4:6])
    assert (around[:4] == 170).all()
    assert (around[6:] == 170).all()
    assert (around[4:6] == zarr.open_array(str(store / "bits/7 bytes"), mode="r")[...][[22, 3]]).all()


def test_read_only_memory_is_refused_and_left_as_it_was(store):
    for out in (np.zeros((1, 7), np.uint8), np.zeros((0, 7), np.uint8)):
        out.flags.writeable = False
        with pytest.raises(StoreError, match="out is read-only uint8"):
            open_array(store, "bits/7 bytes").read([3] * len(out), out)
        assert not out.any()


def test_rows_are_a_copy_that_their_owner_cannot_change_after_the_check():
    rows = np.array([1, 2])
    checked = checked_rows(rows, 3)
    rows[:] = 2**40
    assert checked.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("rows", "room"),
    [([0, 3], 8), ([0, -1], 8), ([2**62], 4), ([-(2**63)], 4), ([0, 1], 7), ([0, 1], 9), ([], 1)],
    ids=["beyond", "below", "far", "far below", "little room", "too much room", "room for nothing"],
)
def test_the_kernel_itself_reaches_nowhere_else(rows, room):
    from mer_pipe.store._gather import gather

    held, out = np.arange(12, dtype=np.uint8), np.full(room, 170, np.uint8)
    addresses = held.ctypes.data + np.arange(0, 12, 4)
    gather(addresses, np.array([2, 0]), 4, whole := np.empty(8, np.uint8))
    assert whole.tolist() == [8, 9, 10, 11, 0, 1, 2, 3]
    with pytest.raises(IndexError):
        gather(addresses, np.array(rows, np.int64), 4, out)
    assert (out == 170).all()


def python(code, *given):
    done = subprocess.run([sys.executable, "-c", code, *map(str, given)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_numba_is_loaded_by_the_first_read_and_not_before(store):
    code = (
        "import sys, mer_pipe.cli, mer_pipe.recipes, mer_pipe.pipeline.build, mer_pipe.pipeline.plan, mer_pipe.store.publish\n"
        "from mer_pipe.store.mapped import open_array\n"
        "array = open_array(sys.argv[1], 'bits/7 bytes')\n"
        "array.verify()\n"
        "print('numba' in sys.modules)\n"
        "array.read([0])\n"
        "print('numba' in sys.modules)\n"
    )
    assert python(code, store) == ["False", "True"]


def test_a_cache_folder_that_cannot_be_written_is_no_error(store):
    code = (
        "import sys, numba.core.caching as c\n"
        "c.CacheImpl._locator_classes = []  # numba finds no folder to write to\n"
        "from mer_pipe.store.mapped import open_array\n"
        "print(open_array(sys.argv[1], 'bits/7 bytes').read([3, 3]).tobytes().hex())\n"
        "from mer_pipe.store._gather import gather\n"
        "print(type(gather._cache).__name__)\n"
    )
    row = zarr.open_array(str(store / "bits/7 bytes"), mode="r")[3].tobytes().hex()
    assert python(code, store) == [row * 2, "NullCache"]
