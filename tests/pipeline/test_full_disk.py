"""A disk that really is full: one line, nothing torn, and the same bytes once there is space."""

from __future__ import annotations

import subprocess

import pytest

from mer_pipe.store.verify import verify_cache
from mer_pipe.types import StoreError
from tests import toy


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, and a function that resizes it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no right to mount a small file system: {mounted.stderr.decode().strip()}")
    yield disk, lambda size: subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("size", ["24k", "64k", "120k", "180k", "220k"])
def test_a_full_disk_stops_with_one_line_and_the_build_goes_on_when_there_is_space(small_disk, tmp_path, size):
    disk, resize = small_disk
    resize(size)
    clips = [toy.make_sample(tmp_path / "data", s, c) for s in (1, 2) for c in (1, 2)]
    with pytest.raises(StoreError, match=r"disk is full: could not write to .*Free space"):
        toy.run(clips, disk / "cache", disk / "toy.zarr")
    assert verify_cache(disk / "cache") == []
    assert list(disk.rglob("*.tmp")) == []
    assert not (disk / "toy.zarr").exists()
    resize("4m")
    toy.run(clips, disk / "cache", disk / "toy.zarr")
    toy.run(clips, tmp_path / "cache", tmp_path / "toy.zarr")
    assert toy.tree_bytes(disk / "toy.zarr") == toy.tree_bytes(tmp_path / "toy.zarr")
