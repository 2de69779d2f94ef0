"""Several builds at the same time, in one cache and even into one store."""

from __future__ import annotations

import multiprocessing

import pytest

from mer_pipe.store.verify import verify_cache, verify_store
from tests import toy

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.toy", "zarr", "xarray"])


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    return [toy.make_sample(root, s, c) for s in (1, 2) for c in (1, 2)]


def _build(clips, cache, store, gain, start, outcome):
    start.wait()
    try:
        toy.run(clips, cache, store, gain=gain)
        outcome.put("")
    except Exception as error:
        outcome.put(f"{type(error).__name__}: {error}")


def _at_once(clips, cache, wanted):
    """Run builds (store, gain) together; what each said, "" when all went well."""
    start, outcome = FORKS.Barrier(len(wanted)), FORKS.Queue()
    builds = [FORKS.Process(target=_build, args=(clips, cache, *one, start, outcome)) for one in wanted]
    for build in builds:
        build.start()
    said = [outcome.get(timeout=120) for _ in builds]
    for build in builds:
        build.join()
    return said


def _entries(cache):
    return {name: data for name, data in toy.tree_bytes(cache).items() if name.startswith("entries/")}


def test_builds_at_once_share_a_cache_and_end_as_each_would_alone(clips, tmp_path):
    for gain in (1.0, 2.0):
        toy.run(clips, tmp_path / "alone", tmp_path / f"alone{gain}.zarr", gain=gain)
    for attempt in range(3):
        cache = tmp_path / f"cache{attempt}"
        wanted = [(tmp_path / f"{attempt}{name}.zarr", gain) for name, gain in (("a", 1.0), ("b", 1.0), ("c", 2.0))]
        assert _at_once(clips, cache, wanted) == [""] * 3
        assert verify_cache(cache) == []
        assert _entries(cache) == _entries(tmp_path / "alone")
        for store, gain in wanted:
            assert toy.tree_bytes(store) == toy.tree_bytes(tmp_path / f"alone{gain}.zarr")
    assert not list(tmp_path.rglob("*.tmp"))


def test_builds_at_once_into_one_store_leave_one_whole_store(clips, tmp_path):
    store = tmp_path / "toy.zarr"
    ends = []
    for gain in (1.0, 2.0, 3.0):
        toy.run(clips, tmp_path / "alone", tmp_path / f"alone{gain}.zarr", gain=gain)
        ends.append(toy.tree_bytes(tmp_path / f"alone{gain}.zarr"))
    for attempt in range(3):
        toy.run(clips[:1], tmp_path / "before", store)
        assert _at_once(clips, tmp_path / f"cache{attempt}", [(store, 1.0), (store, 2.0), (store, 3.0)]) == [""] * 3
        assert verify_store(store) == []
        assert toy.tree_bytes(store) in ends
    assert not list(tmp_path.rglob("*.tmp"))
