"""A build whose crops follow the head: what changes, what stays, and how a clip that cannot be compared is told."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

import mer_pipe
from mer_pipe import api
from mer_pipe.datasets import demo
from mer_pipe.report.inspect import overview


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    root = tmp_path_factory.mktemp("database") / "demo"
    demo.generate(root, subjects=1, clips=2, frames=(9, 10))
    return root


def build(database, place, method):
    request = api.make_request(
        "casme2",
        database,
        store=place / f"{method}.zarr",
        cache=place / "cache",
        recipe="demo",
        values={"register.method": method, "msmmt.size": "64"},
        only=("msmmt",),
    )
    return api.build(api.prepare(request))


@pytest.fixture(scope="module")
def both(database, tmp_path_factory):
    """Both builds over one cache."""
    place = tmp_path_factory.mktemp("both")
    return {method: build(database, place, method) for method in ("none", "similarity")}


def test_crops_follow_the_head_and_the_onset_stays(both):
    plain, moved = (mer_pipe.open(both[method].store) for method in ("none", "similarity"))
    for row in range(2):
        before, after = plain["travel/head"][row].values, moved["travel/head"][row].values
        taken = moved["register/head"][row].sel(mark="apex").values
        np.testing.assert_array_equal(plain["crop/image"][row, 0].values, moved["crop/image"][row, 0].values)
        assert before[0] > 0.1
        assert after[0] < 0.05
        assert taken == pytest.approx(before, abs=0.05)
        assert not np.array_equal(plain["dynamic/image"][row].values, moved["dynamic/image"][row].values)


def test_what_does_not_read_a_crop_is_shared_and_transforms_are_published(both):
    made = both["similarity"].made
    assert "align" not in made
    assert made["register"] == made["crop_msmmt"] > 2 * made["crop"]  # every frame; the marks
    assert made["crop_aligned"] == made["register"] - made["crop"]  # those of the marks lay in the cache
    moved = mer_pipe.open(both["similarity"].store)
    onset = moved["register/transform"].sel(mark="onset").values
    np.testing.assert_array_equal(onset, moved["align/transform"].values)
    assert "register" not in mer_pipe.open(both["none"].store)


def test_inspect_tells_the_heads_motion_before_and_after(both):
    assert "px (at most" in overview(both["none"].store).head
    told = overview(both["similarity"].store).head
    assert "left from onset to apex" in told
    assert told.endswith("taken out")


@pytest.mark.parametrize("method", ["none", "similarity"])
def test_an_apex_frame_of_another_size_costs_its_clip_and_names_both_sizes(database, tmp_path, method):
    root = shutil.copytree(database, tmp_path / "edited")
    folder = sorted((root / demo_tree(root)).glob("*/*"))[0]
    frames = sorted(folder.iterdir(), key=lambda path: int(path.stem[3:]))
    with Image.open(frames[3]) as image:
        image.resize((200, 150)).save(frames[4])
    built = build(root, tmp_path, method)
    (failure,) = built.failed
    assert failure.sample.endswith(f"{folder.parent.name}/{folder.name}")
    assert "150" in failure.reason
    assert "300" in failure.reason
    assert len(built.clips) == 1


def demo_tree(root):
    return next(path.name for path in root.iterdir() if path.is_dir() and path.name.startswith("CASME2"))
