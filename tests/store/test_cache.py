"""Entries are whole or absent, and never read as anything but what was written."""

from __future__ import annotations

import json
import zipfile
import zlib

import numpy as np
import pytest

from mer_pipe.store import durable
from mer_pipe.store.cache import Cache, DamagedEntry
from mer_pipe.types import StoreError

KEY = "ab" * 32


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path)


def test_what_is_put_comes_back_and_the_document_with_it(cache):
    arrays = {"image": np.arange(12, dtype=np.uint8).reshape(3, 4), "gap": np.array(1e-9)}
    cache.put([(KEY, '{"stage":"x"}', arrays)])
    found = cache.get(KEY)
    assert found.keys() == arrays.keys()
    for name in arrays:
        np.testing.assert_array_equal(found[name], arrays[name])
        assert (found[name].dtype, found[name].shape) == (arrays[name].dtype, arrays[name].shape)
    assert json.loads(cache.document(KEY)) == {"stage": "x"}
    assert list(cache.keys()) == [KEY]


def test_an_entry_is_read_by_numpy_and_unzip_alone(cache):
    cache.put([(KEY, "{}", {"image": np.ones(3)})])
    np.testing.assert_array_equal(np.load(cache.path(KEY))["image"], np.ones(3))
    assert zipfile.ZipFile(cache.path(KEY)).testzip() is None


def test_the_same_arrays_give_the_same_bytes(cache, tmp_path):
    other = Cache(tmp_path / "other")
    for c in (cache, other):
        c.put([(KEY, "{}", {"image": np.arange(5.0)})])
    assert cache.path(KEY).read_bytes() == other.path(KEY).read_bytes()


def test_an_absent_entry_is_a_key_error(cache):
    assert not cache.has(KEY)
    assert cache.document(KEY) is None
    with pytest.raises(KeyError):
        cache.get(KEY)


def test_a_flipped_bit_anywhere_in_an_entry_is_damage(cache):
    cache.put([(KEY, "{}", {"image": np.arange(6, dtype=np.int16), "gap": np.array(0.5)})])
    whole = cache.path(KEY).read_bytes()
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        cache.path(KEY).write_bytes(data)
        with pytest.raises(DamagedEntry):
            cache.get(KEY)


@pytest.mark.parametrize("size", [0, 1, 40, 300])
def test_a_truncated_entry_is_damage_and_is_set_aside(cache, size):
    cache.put([(KEY, "{}", {"image": np.arange(64.0)})])
    cache.path(KEY).write_bytes(cache.path(KEY).read_bytes()[:size])
    with pytest.raises(DamagedEntry, match=KEY[:12]):
        cache.get(KEY)
    assert not cache.has(KEY)
    assert (cache.root / "damaged" / f"{KEY}.npz").exists()


def test_a_full_disk_is_told_and_leaves_no_temporary_file(cache, monkeypatch):
    def full(handle, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable.os, "write", full)
    with pytest.raises(StoreError, match="disk is full.*Free space"):
        cache.put([(KEY, "{}", {"image": np.arange(64.0)})])
    monkeypatch.undo()
    assert not cache.has(KEY)
    assert [p for p in cache.root.rglob("*") if p.is_file()] == []


def test_pickled_objects_are_never_read(cache):
    cache.put([(KEY, "{}", {"image": np.ones(1)})])
    data = cache.path(KEY).read_bytes().replace(b"'<f8'", b"'|O' ")[:-14]
    cache.path(KEY).write_bytes(data + b"crc32:%08x" % zlib.crc32(data))
    with pytest.raises(DamagedEntry):
        cache.get(KEY)
