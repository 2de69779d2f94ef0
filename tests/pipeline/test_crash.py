"""SIGKILL anywhere: no torn entry, no lost entry, and the same bytes in the end."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time

import pytest

from mer_pipe.store import durable
from mer_pipe.store.open import open_store
from mer_pipe.store.verify import verify_cache, verify_store
from tests import toy

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.toy", "zarr", "xarray"])

TOUCHES = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir"}
"""Audit events by which a process changes the disk (an open may only read; dying there is as instructive)."""


def _child(place, clips, die_at, half_write, counter):
    count = 0

    def hook(event, args):
        nonlocal count
        if event in TOUCHES and str(place) in str(args[0]):
            count += 1
            counter.value = count
            if count == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    if half_write is not None:
        write = os.write
        calls = 0

        def dying(handle, data):
            nonlocal calls
            calls += 1
            if calls == half_write:
                write(handle, bytes(data)[: len(data) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return write(handle, data)

        durable.os.write = dying
    sys.addaudithook(hook)
    toy.run(clips, place / "cache", place / "toy.zarr")


def _start(place, clips, die_at=0, half_write=None):
    counter = FORKS.Value("q", 0)
    process = FORKS.Process(target=_child, args=(place, clips, die_at, half_write, counter))
    process.start()
    return process, counter


def _entries(place):
    return {k: v for k, v in toy.tree_bytes(place).items() if k.startswith("cache/entries/") and k.endswith(".npz")}


def _check_after_a_kill(place):
    """Whatever is there is whole."""
    assert verify_cache(place / "cache") == []
    if (place / "toy.zarr").exists():
        assert verify_store(place / "toy.zarr") == []
    return _entries(place)


def _resume_and_compare(place, clips, survived, reference):
    toy.run(clips, place / "cache", place / "toy.zarr")
    after = _entries(place)
    assert survived.items() <= after.items()  # nothing that was finished is lost or made anew
    assert toy.tree_bytes(place / "toy.zarr") == reference["store"]
    assert after == reference["entries"]
    left = [p.name for p in place.iterdir() if p.name not in ("cache", "toy.zarr")]
    assert left == []


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    return [toy.make_sample(root, s, c) for s in (1, 2) for c in (1, 2)]


@pytest.fixture(scope="module")
def reference(clips, tmp_path_factory):
    place = tmp_path_factory.mktemp("reference")
    process, counter = _start(place, clips)
    process.join()
    assert process.exitcode == 0
    return {"store": toy.tree_bytes(place / "toy.zarr"), "entries": _entries(place), "touches": counter.value}


def test_killed_at_any_touch_of_the_disk_a_build_resumes_to_the_same_bytes(clips, reference, tmp_path):
    rng = random.Random(0)
    total = reference["touches"]
    assert total > 200
    points = [*sorted(rng.sample(range(1, total), 48)), total]
    published = 0
    for point in points:
        place = tmp_path / f"touch{point}"
        place.mkdir()
        process, _ = _start(place, clips, die_at=point)
        process.join()
        assert process.exitcode == -signal.SIGKILL
        survived = _check_after_a_kill(place)
        published += bool(list(place.glob(".toy.zarr.*.tmp"))) or (place / "toy.zarr").exists()
        _resume_and_compare(place, clips, survived, reference)
    assert 5 <= published <= 45  # kills fell both among the cache writes and into publishing


def test_killed_in_the_middle_of_a_write_leaves_no_half_entry(clips, reference, tmp_path):
    for number in (1, 3, 7, 12, 20):
        place = tmp_path / f"write{number}"
        place.mkdir()
        process, _ = _start(place, clips, half_write=number)
        process.join()
        assert process.exitcode == -signal.SIGKILL
        _resume_and_compare(place, clips, _check_after_a_kill(place), reference)


def test_killed_at_random_moments_again_and_again_one_build_still_ends_the_same(clips, reference, tmp_path):
    rng = random.Random(1)
    survived = {}
    for _ in range(12):
        process, _ = _start(tmp_path, clips)
        time.sleep(rng.uniform(0.0, 0.12))
        process.kill()
        process.join()
        now = _check_after_a_kill(tmp_path)
        assert survived.items() <= now.items()
        survived = now
    _resume_and_compare(tmp_path, clips, survived, reference)


def test_killed_while_replacing_a_store_the_old_or_the_new_one_is_there(clips, reference, tmp_path):
    """A reader that comes at any time finds a whole store."""
    short = clips[:2]
    toy.run(short, tmp_path / "cache", tmp_path / "toy.zarr")
    process, counter = _start(tmp_path, clips)
    process.join()
    total = counter.value
    for point in sorted(random.Random(2).sample(range(1, total + 1), 12)):
        toy.run(short, tmp_path / "cache", tmp_path / "toy.zarr")
        process, _ = _start(tmp_path, clips, die_at=point)
        process.join()
        assert len(open_store(tmp_path / "toy.zarr")["sample"]) in (2, 4)
        assert verify_store(tmp_path / "toy.zarr") == []
    toy.run(clips, tmp_path / "cache", tmp_path / "toy.zarr")
    assert toy.tree_bytes(tmp_path / "toy.zarr") == reference["store"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", "toy.zarr"]
