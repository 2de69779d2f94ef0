"""A published store is whole, plain Zarr v3, and says when it is not what was published."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from mer_pipe.store import publish as publishing
from mer_pipe.store.durable import temporary_name
from mer_pipe.store.open import open_store, read_facts
from mer_pipe.store.verify import verify_cache, verify_store
from mer_pipe.types import StoreError
from tests import toy


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    root = tmp_path_factory.mktemp("built")
    clips = [toy.make_sample(root / "data", s, c) for s in (1, 2) for c in (1, 2)]
    toy.run(clips, root / "cache", root / "toy.zarr")
    return root


@pytest.fixture
def store(built, tmp_path):
    return shutil.copytree(built / "toy.zarr", tmp_path / "toy.zarr")


def test_arrays_are_raw_one_sample_a_chunk_with_checksums_and_named_axes(store):
    meta = json.loads((store / "grow/image/zarr.json").read_text())
    assert meta["zarr_format"] == 3
    assert meta["dimension_names"] == ["sample", "af", "y", "x"]
    sharding = meta["codecs"][0]["configuration"]
    assert sharding["chunk_shape"] == [1, 2, 4, 4]
    assert [c["name"] for c in sharding["codecs"]] == ["bytes", "crc32c"]
    assert meta["attributes"]["units"] == "grey level"


def test_labels_subjects_and_marks_are_coordinates(store):
    tree = open_store(store)
    assert set(tree.coords) >= {"sample", "subject", "label", "onset", "apex", "offset", "fps", "aus"}
    assert tree["subject"].values.tolist() == ["toy/sub01", "toy/sub01", "toy/sub02", "toy/sub02"]
    assert tree["apex"].values.tolist() == [4] * 4  # the number in the file's name, not the position
    assert tree["grow"]["sample"].values.tolist() == tree["sample"].values.tolist()


def test_arrays_are_read_only_when_indexed(store):
    tree = open_store(store)
    (store / "pool/image/c/0/0/0").write_bytes(b"no shard at all")
    assert tree["pool/image"].shape == (4, 4, 4)
    with pytest.raises(ValueError):
        _ = tree["pool/image"].values


def test_zarr_refuses_a_flipped_bit_in_the_data(store):
    shard = store / "pool/image/c/0/0/0"
    data = bytearray(shard.read_bytes())
    data[3] ^= 1
    shard.write_bytes(data)
    with pytest.raises(ValueError, match="(?i)crc|checksum"):
        _ = open_store(store)["pool/image"].values


def test_verify_names_the_file_of_every_flipped_byte(store):
    for path in [p for p in store.rglob("*") if p.is_file() and p != store / "zarr.json"]:
        data = path.read_bytes()
        path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        assert verify_store(store) == [f"{path.relative_to(store).as_posix()} differs from what was published"]
        path.write_bytes(data)
    assert verify_store(store) == []


def test_verify_names_a_file_that_does_not_belong(store):
    (store / "grow/notes.txt").write_text("hello")
    assert verify_store(store) == ["grow/notes.txt was added after publishing"]


def test_a_missing_chunk_is_refused_on_opening_not_read_as_zeros(store):
    (store / "pool/image/c/0/0/0").unlink()
    with pytest.raises(StoreError, match=r"pool/image/c/0/0/0 is missing.*again from the cache"):
        open_store(store)


def test_a_short_shard_is_refused_on_opening(store):
    shard = store / "pool/image/c/0/0/0"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(StoreError, match="bytes instead of"):
        open_store(store)


def test_an_edited_root_is_refused(store):
    text = (store / "zarr.json").read_text()
    (store / "zarr.json").write_text(text.replace('"toy"', '"tampered"'))
    with pytest.raises(StoreError, match=r"zarr.json does not match"):
        open_store(store)


def test_a_newer_format_is_refused(store):
    root = json.loads((store / "zarr.json").read_text())
    root["attributes"]["format_version"] = 99
    (store / "zarr.json").write_text(json.dumps(root))
    with pytest.raises(StoreError, match="store format 99, newer"):
        open_store(store)


def test_a_folder_that_is_no_store_is_neither_opened_nor_replaced(tmp_path):
    (tmp_path / "x.zarr").mkdir()
    (tmp_path / "x.zarr/precious.txt").write_text("mine")
    with pytest.raises(StoreError, match="not a mer-pipe store"):
        open_store(tmp_path / "x.zarr")
    clip = toy.make_sample(tmp_path / "data", 1, 1)
    with pytest.raises(StoreError, match="Choose another --store"):
        toy.run([clip], tmp_path / "cache", tmp_path / "x.zarr")
    assert (tmp_path / "x.zarr/precious.txt").read_text() == "mine"
    with pytest.raises(StoreError, match="there is no store"):
        open_store(tmp_path / "nowhere.zarr")


def test_a_store_that_is_being_replaced_is_never_missing(store, monkeypatch, tmp_path):
    """Between the old and the new there is no moment without a store, where the system can exchange names."""
    seen = []
    real = publishing.replace_folder

    def watched(new, target):
        seen.append(target.exists())
        real(new, target)
        seen.append(target.exists())

    monkeypatch.setattr(publishing, "replace_folder", watched)
    clips = [toy.make_sample(tmp_path / "data", 1, 1)]
    toy.run(clips, tmp_path / "cache", store)
    assert seen == [True, True]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", "data", "toy.zarr"]


def test_without_an_exchange_in_one_step_the_store_is_still_replaced(store, monkeypatch, tmp_path):
    monkeypatch.setattr("mer_pipe.store.durable._exchange", lambda a, b: False)
    toy.run([toy.make_sample(tmp_path / "data", 1, 1)], tmp_path / "cache", store)
    assert len(open_store(store)["sample"]) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", "data", "toy.zarr"]


def test_what_a_killed_build_left_beside_the_store_is_swept(store, tmp_path):
    mine = store.parent / temporary_name(store.name)
    dead = store.parent / temporary_name(store.name).replace(f".{publishing_pid()}.", ".999999999.")
    mine.mkdir()
    dead.mkdir()
    assert publishing.sweep(store) == 1
    assert mine.exists()
    assert not dead.exists()


def publishing_pid() -> int:
    import os

    return os.getpid()


def test_several_shards_hold_the_same_values_as_one(built, tmp_path, monkeypatch):
    clips = [toy.make_sample(tmp_path / "data", s, c) for s in (1, 2) for c in (1, 2)]
    monkeypatch.setattr(publishing, "SHARD_BYTES", 200)
    toy.run(clips, tmp_path / "cache", tmp_path / "small.zarr")
    assert len([p for p in (tmp_path / "small.zarr/pool/image/c").rglob("*") if p.is_file()]) == 2
    for name in ("pool/image", "grow/image"):
        np.testing.assert_array_equal(
            open_store(tmp_path / "small.zarr")[name].values, open_store(built / "toy.zarr")[name].values
        )


def test_clips_of_different_shapes_cannot_share_an_array(tmp_path):
    clips = [toy.make_sample(tmp_path / "data", 1, c) for c in (1, 2)]
    for path in (tmp_path / "data/sub01/clip2").iterdir():
        np.save(path, np.load(path)[:3])
    with pytest.raises(StoreError, match=r"grow/image: clip 1 has shape \(3, 4\), the first has \(4, 4\)"):
        toy.run(clips, tmp_path / "cache", tmp_path / "toy.zarr")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", "data"]


def test_facts_hold_recipe_versions_and_a_digest_of_every_file(store):
    facts = read_facts(store)
    assert facts["recipe"] == "toy"
    assert facts["libraries"]["numpy"] == np.__version__
    assert set(facts["files"]) == {
        p.relative_to(store).as_posix() for p in store.rglob("*") if p.is_file()
    } - {"zarr.json"}  # fmt: skip


def test_verify_reads_every_cache_entry_and_sets_damage_aside(built, tmp_path):
    cache = shutil.copytree(built / "cache", tmp_path / "cache")
    assert verify_cache(cache) == []
    entry = next((cache / "entries").rglob("*.npz"))
    entry.write_bytes(entry.read_bytes()[:-30])
    assert len(verify_cache(cache)) == 1
    assert verify_cache(cache) == []
