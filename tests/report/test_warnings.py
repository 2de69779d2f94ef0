"""Clips that magnification cannot serve are named with what was measured."""

from __future__ import annotations

import numpy as np
import pytest

from mer_pipe.report.warnings import clip_warnings, head_told

zarr = pytest.importorskip("zarr")
RECIPE = {"ruan": {"af": 6.0}}
QUIET = {"head": 0.1, "change": 40, "clipped": (0.0, 0.01), "contrast": (50.0, 51.0)}


def root(distances, **measures):
    """A store's root; `measures` of each clip by name, none for a store of before they were taken."""
    group = zarr.create_group(store=zarr.storage.MemoryStore())
    names = np.array([f"x/s/{i}" for i in range(len(distances))], dtype=object)
    group.create_array("sample", shape=names.shape, dtype="string")[...] = names
    group.create_group("travel").create_array("distance", data=np.array(distances, np.float32))
    group.create_group("magnify").create_array("af", data=np.array([2.0, 13.0]))
    if "head" in measures:
        measures["head"] = [(length, length, 0, 0, 0) for length in measures["head"]]
    for name, values in measures.items():
        group["travel"].create_array(name, data=np.array(values, np.uint8 if name == "change" else np.float32))
    return group


@pytest.mark.parametrize(
    ("middle", "most", "told"),
    [
        (0.1, 0.9, None),
        (1.2, 2.0, "the head moves 1.2 px, 16 px at AF 13: magnified images may be torn"),
        (18.0, 47.0, "moves 47.0 px from onset to apex: no micro-motion"),
        (0.0, 0.0, "is the apex the onset"),
    ],
)
def test_each_kind_of_motion_is_judged_in_stores_that_hold_the_distance_alone(middle, most, told):
    found = [w for w in clip_warnings(root([(0.1, 0.9), (middle, most)]), RECIPE) if w.sample]
    assert [w.sample for w in found] == (["x/s/1"] if told else [])
    assert all(told in w.text for w in found)


@pytest.mark.parametrize(
    ("distance", "measured", "told"),
    [
        ((0.1, 0.9), {}, []),
        ((1.2, 2.0), {"head": 0.1}, []),  # the face moves, not the head
        (
            (0.1, 0.9),
            {"head": 1.0},
            ["the head moves 1.0 px, 13 px at AF 13: magnified images may be torn; register.me"],
        ),
        ((18, 47), {"head": 18}, ["moves 47.0 px from onset to apex: no micro-motion; are the marks right?"]),
        ((0, 0), {"change": 0}, ["onset and apex are the same picture: is the apex the onset?"]),
        ((0, 0.04), {"change": 1}, ["moves 0.04 px from onset to apex: is the apex the onset?"]),
        ((0.1, 0.9), {"clipped": (0.3, 0.02)}, ["30 % of the face are black or white in the onset frame"]),
        (
            (0.1, 0.9),
            {"contrast": (50, 0.4)},
            ["the apex frame has a contrast of 0.4 grey levels: nothing can be seen"],
        ),
        (
            (0, 0),
            {"change": 0, "contrast": (0, 0), "clipped": (1, 1)},
            ["onset and apex are the same picture", "the onset frame has a contrast", "the apex frame has a contrast"],
        ),
    ],
)
def test_each_guard_tells_what_was_measured_of_its_clip(distance, measured, told):
    one = QUIET | measured
    store = root([(0.1, 0.9), distance], **{name: [QUIET[name], value] for name, value in one.items()})
    found = [w for w in clip_warnings(store, RECIPE) if w.sample]
    assert [w.sample for w in found] == ["x/s/1"] * len(told)
    assert all(w.text.startswith(start) for w, start in zip(found, told, strict=True))


def test_a_head_that_registration_follows_already_gets_no_advice_to_do_so():
    store = root([(1.2, 2.0)], head=[1.2])
    (head, _) = clip_warnings(store, RECIPE | {"register": {"method": "similarity"}})
    assert head.text.endswith("magnified images may be torn")


def test_motion_that_the_largest_factor_carries_too_far_is_told_once_for_all_clips():
    found = clip_warnings(root([(0.1, 0.9), (0.1, 0.95), (0.2, 1.5)], head=[0.1, 0.1, 0.2]), RECIPE)
    assert [str(w) for w in found] == [
        "2 of 3 clips move over 12 px at AF 13 (the fastest 5 % of their pixels): magnified images may be torn there"
    ]


def test_a_store_without_distances_has_no_warnings():
    empty = zarr.create_group(store=zarr.storage.MemoryStore())
    assert clip_warnings(empty, RECIPE) == ()
    assert head_told(empty) == ""


def test_measures_that_cannot_be_read_are_a_warning_not_a_crash():
    group = root([(0.1, 0.9)])
    del group["sample"]
    (found,) = clip_warnings(group, RECIPE)
    assert "travel cannot be read" in str(found)


def test_the_heads_motion_is_told_before_and_after_registration():
    store = root([(0.1, 0.9)] * 3, head=[0.1, 0.2, 0.9])
    assert head_told(store) == "0.20 px (at most 0.90) from onset to apex; median of the clips"
    taken = np.zeros((3, 3, 5), np.float32)
    taken[:, 1, 0] = 1, 3, 2
    store.create_group("register").create_array("head", data=taken)
    marks = np.array(["onset", "apex", "offset"], dtype=object)
    store["register"].create_array("mark", shape=(3,), dtype="string")[...] = marks
    assert head_told(store) == "0.20 px (at most 0.90) left from onset to apex, 2.00 px (at most 3.00) taken out"
