"""Films of a clip: what comes when, for how long, and what is left of it after GIF and MP4."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageSequence

from mer_pipe.report.sweep import HOLD, STEP, TICK, clip_sweep, write_sweep
from mer_pipe.types import StoreError
from tests.report.made_store import AFS, make_store
from tests.report.test_inspect import FIRST, image
from tests.report.test_inspect import make_store as coloured_store

CLIP = "sub01/EP01_01"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("sweep") / "demo.zarr", clips=1)


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """A store whose every picture is of one colour that tells what it is."""
    return coloured_store(tmp_path_factory.mktemp("colours") / "demo.zarr")


def middle(frame):
    return tuple(int(v) for v in np.median(frame[150:300, 50:300].reshape(-1, 3), axis=0))


def colour(*code):
    return tuple(int(v) for v in image(0, *code)[0, 0])


def test_a_sweep_goes_from_onset_over_apex_through_the_afs_and_back(colours):
    sweep = clip_sweep(colours, FIRST)
    up = [colour(0, 0), colour(0, 1), colour(0, 5), colour(0, 6), colour(0, 7)]
    assert [middle(frame) for frame in sweep.frames] == up + up[-2:0:-1]
    assert sweep.times == (HOLD, HOLD, STEP, STEP, HOLD, STEP, STEP, HOLD)


def test_afs_are_chosen_and_their_number_sets_the_length(colours):
    sweep = clip_sweep(colours, FIRST, af=[8.0])
    assert [middle(f) for f in sweep.frames] == [colour(0, 0), colour(0, 1), colour(0, 7)]


def test_the_knob_lies_where_the_motion_is(colours):
    """The rail is linear in the motion: apex at 1/8 of the way from onset to AF 8."""
    places = []
    for frame in clip_sweep(colours, FIRST).frames[:5]:
        row = frame[-30:].min(axis=(0, 2)) < 60
        places.append(float(np.flatnonzero(row).mean()))
    steps = (np.array(places) - places[0]) / (places[-1] - places[0])
    np.testing.assert_allclose(steps, [0, 1 / 8, 2 / 8, (2 + 10 / 31) / 8, 1], atol=0.006)


def test_interpolated_frames_go_forward_in_time(colours):
    sweep = clip_sweep(colours, FIRST, "interpolate")
    assert [middle(frame) for frame in sweep.frames] == [colour(0, 10 + i) for i in range(4)]
    assert sweep.times == (HOLD, STEP, STEP, HOLD)


def test_the_marks_of_a_crop_are_held_alike(colours):
    sweep = clip_sweep(colours, FIRST, "crop")
    assert [middle(frame) for frame in sweep.frames] == [colour(0, i) for i in range(3)]
    assert set(sweep.times) == {HOLD}


def test_features_of_frames_and_afs_need_one_af(colours):
    with pytest.raises(StoreError, match="one AF with --af"):
        clip_sweep(colours, FIRST, "features_aman")
    assert len(clip_sweep(colours, FIRST, "features_aman", [8.0]).frames) == 6


def test_a_stage_with_one_picture_is_no_film(colours):
    with pytest.raises(StoreError, match=r"one picture.*-o strip\.png"):
        clip_sweep(colours, FIRST, "flow_onset")
    with pytest.raises(StoreError, match="no AF 3"):
        clip_sweep(colours, FIRST, af=[3.0])
    with pytest.raises(StoreError, match="no AF axis"):
        clip_sweep(colours, FIRST, "interpolate", af=[2.0])


def test_every_picture_has_one_even_size(store):
    for width in (200, 333, 336):
        sizes = {frame.shape for frame in clip_sweep(store, CLIP, width=width).frames}
        assert len(sizes) == 1
        assert all(side % 2 == 0 for side in next(iter(sizes))[:2])


def test_a_gif_holds_every_picture_for_its_time_in_nearly_its_colours(store, tmp_path):
    sweep = clip_sweep(store, CLIP)
    assert "GIF" in write_sweep(tmp_path / "a.gif", sweep)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.info["loop"] == 0
        frames = [(np.asarray(f.convert("RGB")), f.info["duration"]) for f in ImageSequence.Iterator(gif)]
    assert [time for _, time in frames] == list(sweep.times)
    assert len(frames) == 2 * (2 + len(AFS)) - 2
    for (got, _), want in zip(frames, sweep.frames, strict=True):
        assert np.sqrt(np.square(got.astype(float) - want).mean()) < 4


def test_still_parts_of_a_gif_do_not_flicker(store, tmp_path):
    """What is equal in two pictures is equal in the GIF: one palette, and no dithering."""
    sweep = clip_sweep(store, CLIP)
    write_sweep(tmp_path / "a.gif", sweep)
    with Image.open(tmp_path / "a.gif") as gif:
        got = np.stack([np.asarray(f.convert("RGB")) for f in ImageSequence.Iterator(gif)])
    still = (np.stack(sweep.frames) == sweep.frames[0]).all(axis=(0, 3))
    assert still.mean() > 0.5
    assert (got[:, still] == got[0][still]).all()


def test_an_mp4_reads_back_as_long_as_the_sweep_in_its_order(store, tmp_path):
    import cv2

    sweep = clip_sweep(store, CLIP)
    told = write_sweep(tmp_path / "a.mp4", sweep)
    video = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    codec = int(video.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode()
    assert ("VP9" in told) == (codec.upper() in ("VP90", "VP09"))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(1000 / TICK)
    got = []
    while (read := video.read())[0]:
        got.append(read[1][..., ::-1])
    want = [f for f, time in zip(sweep.frames, sweep.times, strict=True) for _ in range(time // TICK)]
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        assert np.abs(a.astype(float) - b).mean() < 6


def test_another_suffix_is_refused_and_nothing_is_written(store, tmp_path):
    with pytest.raises(StoreError, match="no .gif or .mp4"):
        write_sweep(tmp_path / "a.avi", clip_sweep(store, CLIP))
    assert not list(tmp_path.iterdir())
