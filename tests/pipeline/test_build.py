"""What a build makes again and what it leaves alone; what a bad clip costs; what a store holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import mer_pipe
from mer_pipe.pipeline.events import Failed, Remade
from mer_pipe.pipeline.explain import reasons
from mer_pipe.store.cache import Cache
from mer_pipe.store.journal import Journal
from mer_pipe.store.open import open_store, read_facts
from mer_pipe.types import MachineError, MerError
from tests import toy


@pytest.fixture
def place(tmp_path):
    return {"cache": tmp_path / "cache", "store": tmp_path / "toy.zarr"}


@pytest.fixture
def clips(tmp_path):
    return [toy.make_sample(tmp_path / "data", s, c) for s in (1, 2) for c in (1, 2)]


def test_a_build_makes_every_cell_once_and_publishes_them(clips, place):
    built = toy.run(clips, **place)
    assert built.made == {"cut": 24, "grow": 8, "pool": 4}
    assert built.changed
    tree = open_store(place["store"])
    assert tree["grow/image"].dims == ("sample", "af", "y", "x")
    assert tree["grow"].af.values.tolist() == [2.0, 4.0]
    assert tree["sample"].values.tolist() == sorted(c.id for c in clips)
    first = toy.load(clips[0].frames, range(6))
    cut = [f[:4, :4].astype(np.float32) for f in first]
    want = (cut[0] + 4 * (cut[3] - cut[0])).astype(np.float16)
    np.testing.assert_array_equal(tree["grow/image"].sel(sample=clips[0].id, af=4.0), want)
    np.testing.assert_array_equal(tree["pool/image"].sel(sample=clips[0].id), np.mean(cut, 0))


def test_values_of_one_coordinate_are_made_in_one_call_and_big_stacks_are_split(clips, place):
    toy.run(clips[:1], **place)
    assert [c for c in toy.CALLS if c[0] == "grow"] == [("grow", 2)]
    assert [c for c in toy.CALLS if c[0] == "cut"] == [("cut", 4), ("cut", 2)]


def test_a_second_build_makes_nothing_and_leaves_the_store_alone(clips, place):
    toy.run(clips, **place)
    before = {p: p.stat().st_mtime_ns for p in place["store"].rglob("*")}
    built = toy.run(clips, **place)
    assert built.made == {}
    assert not built.changed
    assert {p: p.stat().st_mtime_ns for p in place["store"].rglob("*")} == before


def test_another_af_makes_only_that_af(clips, place):
    toy.run(clips, **place)
    built = toy.run(clips, **place, af=(2.0, 3.0, 4.0))
    assert built.made == {"grow": 4}
    assert all(count == 1 for _, count in toy.CALLS)
    assert open_store(place["store"])["grow"].af.values.tolist() == [2.0, 3.0, 4.0]


def test_an_apex_edit_redoes_only_what_reads_the_apex(clips, place):
    toy.run(clips, **place)
    edited = [replace(clips[0], apex=1), *clips[1:]]
    assert toy.run(edited, **place).made == {"grow": 2}


def test_a_label_edit_remakes_nothing_but_the_store_tells_the_new_label(clips, place):
    toy.run(clips, **place)
    built = toy.run([replace(clips[0], label="disgust"), *clips[1:]], **place)
    assert built.made == {}
    assert built.changed
    assert open_store(place["store"])["label"].values.tolist() == ["disgust", "others", "others", "others"]


def test_two_recipes_share_every_common_node(clips, place):
    toy.run(clips, **place, only=("pool",))
    built = toy.run(clips, place["cache"], place["store"].with_name("b.zarr"), gain=2.0)
    assert built.made == {"grow": 8}


def test_a_subset_of_products_plans_only_what_it_needs(clips, place):
    assert toy.plan(clips[:1], place["cache"], only=("grow",)).missing == {"cut": 2, "grow": 2}


def test_intermediate_cells_may_be_gone_while_the_products_are_there(clips, place):
    built = toy.run(clips, **place)
    cache = Cache(place["cache"])
    for cell in toy.plan(clips, place["cache"]).clips[0].graph.cells.values():
        if cell.node.name == "cut":
            cache.discard(cell.key)
    assert built.made["cut"] == 24
    assert toy.run(clips, **place).made == {}
    # One more AF needs the onset and the apex of the first clip again, and nothing else.
    assert toy.run(clips, **place, af=(2.0, 4.0, 5.0)).made == {"cut": 2, "grow": 4}


def test_one_bad_clip_fails_alone_with_its_stage_and_reason(clips, place, tmp_path):
    bad = toy.make_sample(tmp_path / "data", 3, 1, peak=256.0)
    built = toy.run([*clips, bad], **place)
    assert len(built.clips) == 4
    assert built.failed == (Failed(bad.id, "pool", "a frame is saturated", "film it again"),)
    facts = read_facts(place["store"])
    assert facts["failed"][0]["sample"] == bad.id
    assert str(built.failed[0]) == f"{bad.id}, pool: a frame is saturated. Film it again"


def test_a_failed_clip_is_tried_again_and_the_same_failure_changes_no_byte(clips, place, tmp_path):
    bad = toy.make_sample(tmp_path / "data", 3, 1, peak=256.0)
    toy.run([*clips, bad], **place)
    before = toy.tree_bytes(place["store"])
    built = toy.run([*clips, bad], **place)
    assert built.failed
    assert not built.changed
    assert toy.tree_bytes(place["store"]) == before


def test_running_out_of_memory_fails_the_clip_and_not_the_build(clips, place, tmp_path):
    big = toy.make_sample(tmp_path / "data", 3, 1, peak=239.0, frames=12)
    built = toy.run([*clips, big], **place)
    assert built.failed[0].reason == "out of memory"
    assert len(built.clips) == 4


def test_a_missing_system_library_stops_the_build_with_the_line_that_installs_it(clips, place, monkeypatch):
    def broken(self, clip):
        raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(toy.Pool, "__call__", broken)
    with pytest.raises(MachineError, match=r"libGL.so.1.*apt-get install -y libgl1"):
        toy.run(clips, **place)


def test_a_frame_that_vanished_fails_its_clip_before_any_stage(clips, place, tmp_path):
    clip = toy.make_sample(tmp_path / "data", 3, 1)
    (tmp_path / "data/sub03/clip1/img3.npy").unlink()
    built = toy.run([*clips, clip], **place)
    assert "cannot read frame file clip1/img3.npy" in built.failed[0].reason


def test_when_nothing_can_be_built_no_store_is_published(place, tmp_path):
    bad = toy.make_sample(tmp_path / "data", 3, 1, peak=256.0)
    with pytest.raises(MerError, match="no clip could be built.*saturated"):
        toy.run([bad], **place)
    assert not place["store"].exists()


def test_a_damaged_entry_is_found_set_aside_and_made_again(clips, place):
    toy.run(clips, **place)
    reference = toy.tree_bytes(place["store"])
    cache = Cache(place["cache"])
    graph = toy.plan(clips, place["cache"]).clips[0].graph
    product, between = graph.targets["pool/image"][0].key, graph.cell("cut", (1.0,)).key
    for key in (product, between):
        _flip_a_pixel(cache, key)
    told = []
    # A new label makes the store be packed again, which reads every product; the lost product needs the frame before it.
    toy.run([replace(clips[0], label="x"), *clips[1:]], **place, tell=told.append)
    assert {e.key for e in told if isinstance(e, Remade)} == {between}
    assert {p.stem for p in (place["cache"] / "damaged").iterdir()} == {product, between}
    toy.run(clips, **place)
    assert toy.tree_bytes(place["store"]) == reference


def _flip_a_pixel(cache, key):
    data = bytearray(cache.path(key).read_bytes())
    data[data.index(b"\x93NUMPY") + 128 + 5] ^= 4
    cache.path(key).write_bytes(data)


def test_reasons_name_the_cause(clips, place):
    toy.run(clips, **place)
    journal = Journal(place["cache"], place["store"])
    cache = Cache(place["cache"])

    def why(samples, **recipe):
        clip = toy.plan(samples, place["cache"], **recipe).clips[0]
        return reasons(clip.graph, clip.missing, journal.read(clip.sample.id), cache.document)

    assert why(clips[:1]) == {}
    assert why(clips[:1], af=(2.0, 7.0)) == {"grow[af=7]": "af=7 is new"}
    assert why(clips[:1], gain=2.0)["grow[af=2]"] == "grow.gain 1.0 -> 2.0"
    assert why([replace(clips[0], apex=1)]) == {f"grow[af={a}]": "target is cut[frame=1] now" for a in (2, 4)}
    assert set(why([toy.make_sample(place["cache"].parent / "data", 9, 9)]).values()) == {"never built"}
    assert "mer_pipe" in mer_pipe.__name__


def test_a_changed_frame_file_rebuilds_what_reads_it_and_says_so(clips, place, tmp_path):
    toy.run(clips, **place)
    path = tmp_path / "data/sub01/clip1/img2.npy"
    np.save(path, np.full((6, 6), 7, np.uint8))
    clip = toy.plan(clips, place["cache"]).clips[0]
    assert {c.name for c in clip.missing.values()} == {"cut[frame=1]", "pool"}
    told = reasons(clip.graph, clip.missing, Journal(place["cache"], place["store"]).read(clip.sample.id),
                   Cache(place["cache"]).document)  # fmt: skip
    assert told["cut[frame=1]"] == "frame is frame 2 now, or that frame's bytes changed"
    assert told["pool"] == "cut[frame=1] changed"


def test_an_observer_that_fails_stops_nothing(clips, place):
    def full_log(event):
        raise OSError("no space for the log")

    with pytest.warns(UserWarning, match="goes on unseen.*no space for the log"):
        built = toy.run(clips, **place, tell=full_log)
    assert len(built.clips) == 4
    assert not built.failed


def test_an_entry_removed_in_mid_build_is_made_again(clips, place, monkeypatch):
    cache = Cache(place["cache"])
    real = toy.Pool.__call__
    removed = []

    def thief(self, clip):
        if not removed:
            first = next(iter(cache.keys()))
            removed.append(first)
            for key in list(cache.keys()):
                cache.discard(key)
        return real(self, clip)

    monkeypatch.setattr(toy.Pool, "__call__", thief)
    built = toy.run(clips, **place)
    assert removed
    assert len(built.clips) == 4
    assert not built.failed


def test_nothing_in_a_store_tells_where_it_was_made(clips, place, tmp_path):
    toy.run(clips, **place)
    for name, data in toy.tree_bytes(place["store"]).items():
        assert str(tmp_path).encode() not in data, name
