"""Clips that magnification cannot serve are named with what was measured."""

from __future__ import annotations

import numpy as np
import pytest

from mer_pipe.report.warnings import clip_warnings

zarr = pytest.importorskip("zarr")
RECIPE = {"ruan": {"af": 6.0}}


def root(distances):
    group = zarr.create_group(store=zarr.storage.MemoryStore())
    names = np.array([f"x/s/{i}" for i in range(len(distances))], dtype=object)
    group.create_array("sample", shape=names.shape, dtype="string")[...] = names
    group.create_group("travel").create_array("distance", data=np.array(distances, np.float32))
    group.create_group("magnify").create_array("af", data=np.array([2.0, 13.0]))
    return group


@pytest.mark.parametrize(
    ("middle", "most", "told"),
    [
        (0.1, 0.9, None),
        (1.2, 2.0, "the head moves 1.2 px, 16 px at AF 13"),
        (18.0, 47.0, "moves 47.0 px from onset to apex: no micro-motion"),
        (0.0, 0.0, "is the apex the onset"),
    ],
)
def test_each_kind_of_motion_is_judged(middle, most, told):
    found = clip_warnings(root([(0.1, 0.9), (middle, most)]), RECIPE)
    assert [w.sample for w in found] == (["x/s/1"] if told else [])
    assert all(told in w.text for w in found)


def test_a_store_without_distances_has_no_warnings():
    assert clip_warnings(zarr.create_group(store=zarr.storage.MemoryStore()), RECIPE) == ()


def test_distances_that_cannot_be_read_are_a_warning_not_a_crash():
    group = root([(0.1, 0.9)])
    del group["sample"]
    assert "cannot be read" in clip_warnings(group, RECIPE)[0].text
