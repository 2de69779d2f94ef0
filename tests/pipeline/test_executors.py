"""Every executor gives the same bytes, and a worker that dies costs one clip."""

from __future__ import annotations

import pytest

from mer_pipe.pipeline.events import Failed, Suspected
from mer_pipe.pipeline.executors.cluster import Cluster
from mer_pipe.types import MerError, StoreError
from tests import toy


@pytest.fixture
def clips(tmp_path):
    return [toy.make_sample(tmp_path / "data", s, c) for s in (1, 2, 3) for c in (1, 2)]


def test_serial_and_one_and_two_workers_give_the_same_bytes(clips, tmp_path):
    found = {}
    for name, executor in (("serial", toy.serial), ("one", Cluster(1)), ("two", Cluster(2))):
        told = []
        built = toy.run(clips, tmp_path / name, tmp_path / f"{name}.zarr", executor, told.append)
        assert built.made == {"cut": 36, "grow": 12, "pool": 6}
        assert told
        entries = {p: b for p, b in toy.tree_bytes(tmp_path / name).items() if p.startswith("entries/")}
        found[name] = entries, toy.tree_bytes(tmp_path / f"{name}.zarr")
    assert found["serial"] == found["one"] == found["two"]


def test_a_clip_that_kills_its_worker_twice_fails_alone(clips, tmp_path):
    killer = toy.make_sample(tmp_path / "data", 2, 9, peak=249.0, frames=12)
    told = []
    built = toy.run([*clips, killer], tmp_path / "cache", tmp_path / "toy.zarr", Cluster(2), told.append)
    assert len(built.clips) == len(clips)
    assert [f.sample for f in built.failed] == [killer.id]
    assert built.failed[0].stage == "pool"
    assert "worker process died twice" in built.failed[0].reason
    assert [e for e in told if isinstance(e, Suspected)] == [Suspected(killer.id, "pool")]
    assert [e for e in told if isinstance(e, Failed)] == list(built.failed)


def test_a_full_disk_on_a_worker_stops_the_build_with_one_line(clips, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/entries").write_text("a file where a folder should be")
    with pytest.raises(StoreError, match="could not write"):
        toy.run(clips, tmp_path / "cache", tmp_path / "toy.zarr", Cluster(1))


def test_an_existing_scheduler_is_used_and_an_absent_one_is_told(clips, tmp_path):
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        built = toy.run(clips, tmp_path / "cache", tmp_path / "toy.zarr", Cluster(scheduler=address))
    assert len(built.clips) == 6
    other = toy.make_sample(tmp_path / "data", 8, 8)
    with pytest.raises(MerError, match="no dask scheduler answers at tcp://127.0.0.1:1"):
        toy.run([other], tmp_path / "cache", tmp_path / "b.zarr", Cluster(scheduler="tcp://127.0.0.1:1", timeout=2))
