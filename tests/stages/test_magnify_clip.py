"""Eulerian magnification of a clip: motion in the band grows by AF, the rest is left alone."""

from __future__ import annotations

import numpy as np
import pytest

from mer_pipe.stages.magnify import EulerianClip
from mer_pipe.stages.magnify.eulerian import collapsed, laplacian_bands
from mer_pipe.stages.magnify.eulerian_clip import eulerian_clip, temporal_filter
from mer_pipe.types import ClipError, RecipeError

FPS, WAVE, WIDTH = 100.0, 64, 192


def swaying(hertz, frames=100, amplitude=0.1, channels=1):
    """A coarse pattern that sways by `amplitude` px at `hertz`, and its displacement in each frame."""
    x = np.arange(WIDTH)
    moves = amplitude * np.sin(2 * np.pi * hertz * np.arange(frames) / FPS)
    lines = 127.5 + 90 * np.sin(2 * np.pi * (x[None] - moves[:, None]) / WAVE)
    clip = np.broadcast_to(np.rint(lines)[:, None, :, None], (frames, 32, WIDTH, channels))
    return np.ascontiguousarray(clip.astype(np.uint8)), moves


def displacement(clip):
    """Displacement of the pattern in each frame, px, from the phase of its wave."""
    x = np.arange(WIDTH)
    wave = (clip[..., 0].astype(float) * np.exp(2j * np.pi * x / WAVE)).sum(axis=(1, 2))
    return np.angle(wave * np.exp(-1j * np.angle(wave.sum()))) * WAVE / (2 * np.pi)


def gain(clip, out):
    before, after = displacement(clip), displacement(out)
    return before @ after / (before @ before)


@pytest.mark.parametrize("filter", ["butterworth", "ideal"])
@pytest.mark.parametrize("af", [3.0, 11.0])
def test_motion_in_the_band_grows_by_af(filter, af):
    clip, _ = swaying(5.0)
    out = eulerian_clip(clip, af, FPS, 1.0, 15.0, filter, lambda_c=0.0)
    assert gain(clip, out) == pytest.approx(af, rel=0.07)


@pytest.mark.parametrize(("filter", "most"), [("butterworth", 1.5), ("ideal", 1.2)])
@pytest.mark.parametrize("hertz", [1.0, 45.0])
def test_motion_outside_the_band_is_left_alone(filter, most, hertz):
    clip, _ = swaying(hertz)
    out = eulerian_clip(clip, 11.0, FPS, 4.0, 12.0, filter, lambda_c=0.0)
    assert gain(clip, out) == pytest.approx(1.0, abs=most - 1.0)


def test_magnified_motion_is_in_step():
    clip, moves = swaying(5.0)
    after = displacement(eulerian_clip(clip, 11.0, FPS, 1.0, 15.0))
    shifts = range(-5, 6)
    match = [np.corrcoef(np.roll(moves, s)[10:-10], after[10:-10])[0, 1] for s in shifts]
    assert shifts[int(np.argmax(match))] == 0


def test_af_below_1_takes_motion_away():
    clip, _ = swaying(5.0, amplitude=0.5)
    out = eulerian_clip(clip, 0.0, FPS, 1.0, 15.0, "ideal")
    assert abs(gain(clip, out)) < 0.15


@pytest.mark.parametrize("frames", [2, 3, 20])
@pytest.mark.parametrize("af", [0.0, 11.0, 50.0])
def test_a_static_clip_is_unchanged(frames, af):
    one = np.random.default_rng(0).integers(0, 256, (40, 44, 3)).astype(np.uint8)
    clip = np.repeat(one[None], frames, axis=0)
    assert np.array_equal(EulerianClip(af=af)(clip=clip)["image"], clip)


def test_af_1_returns_the_clip():
    clip = np.random.default_rng(0).integers(0, 256, (5, 40, 44, 3)).astype(np.uint8)
    assert np.array_equal(EulerianClip(af=1.0)(clip=clip)["image"], clip)


@pytest.mark.parametrize("filter", ["butterworth", "ideal"])
@pytest.mark.parametrize("fps", [25.0, 200.0])
def test_two_frames_move_apart_by_af(filter, fps):
    clip, _ = swaying(0.0, frames=2)
    clip[1] = swaying(FPS / 4, frames=2, amplitude=0.3)[0][1]
    out = EulerianClip(af=6.0, fps=fps, filter=filter, lambda_c=0.0)(clip=clip)["image"]
    assert np.ptp(displacement(out)) == pytest.approx(6.0 * np.ptp(displacement(clip)), rel=0.1)


@pytest.mark.parametrize(
    ("filter", "passes"),
    [("butterworth", {1: 0.0016, 11: 0.8752, 45: 0.0374}), ("ideal", {1: 0.0, 4: 0.0, 5: 1.0, 20: 1.0, 21: 0.0})],
)
def test_the_filter_passes_its_band_and_no_constant(filter, passes):
    weights = temporal_filter(50, FPS, 5.0, 20.0, filter)
    assert np.abs(weights.sum(axis=1)).max() < 1e-5
    assert np.allclose(weights, weights.T)
    t = np.arange(50)
    for hertz, wanted in passes.items():
        cosine = np.cos(np.pi * hertz * (t + 0.5) / 50)
        assert cosine @ weights @ cosine / (cosine @ cosine) == pytest.approx(wanted, abs=1e-4)


def test_the_clip_is_filtered_alike_however_it_is_cut(monkeypatch):
    import mer_pipe.stages.magnify.eulerian_clip as module

    clip = np.random.default_rng(1).integers(0, 256, (37, 24, 28, 3)).astype(np.uint8)
    whole = EulerianClip()(clip=clip)["image"]
    monkeypatch.setattr(module, "GROUP", 5)
    monkeypatch.setattr(module, "BLOCK", 97)
    assert np.array_equal(EulerianClip()(clip=clip)["image"], whole)


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (9, 35), (33, 30)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_works_and_comes_back(size, channels):
    clip = np.random.default_rng(2).integers(0, 256, (4, *size, channels)).astype(np.uint8)
    stage = EulerianClip()
    out = stage(clip=clip)["image"]
    assert out.shape == clip.shape
    stage.returns["image"].check(out)


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (9, 35), (33, 30), (64, 64)])
def test_the_pyramid_gives_back_the_image_it_was_made_of(size):
    image = np.random.default_rng(3).normal(0, 50, (*size, 3)).astype(np.float32)
    assert np.abs(collapsed(laplacian_bands(image)) - image).max() < 1e-4


def test_chroma_is_attenuated():
    clip = np.full((20, 32, 32, 3), 100, np.uint8)
    clip[10:] += np.array([0, 0, 8], np.uint8)
    blue = {c: np.ptp(EulerianClip(chroma=c, lambda_c=0.0)(clip=clip)["image"][:, 16, 16, 2]) for c in (0.0, 1.0)}
    assert blue[1.0] > 2 * blue[0.0]


def test_clips_that_cannot_be_magnified_are_clip_errors():
    stage = EulerianClip()
    clip = np.zeros((5, 16, 16, 3), np.uint8)
    with pytest.raises(ClipError, match="1 frame"):
        stage(clip=clip[:1])
    with pytest.raises(ClipError, match="float32"):
        stage(clip=clip.astype(np.float32))
    with pytest.raises(ClipError, match=r"2\.5\.\.10 Hz\) lies in 40\.\.60 Hz"):
        EulerianClip(fps=25.0, low=40.0, high=60.0)(clip=clip)
    with pytest.raises(ClipError, match="frame rate"):
        EulerianClip(fps=0.0)(clip=clip)


def test_impossible_parameters_are_recipe_errors():
    for values in ({"low": 5.0, "high": 5.0}, {"low": -1.0}, {"filter": "fir"}, {"af": -1.0}, {"lambda_c": -1.0}):
        with pytest.raises(RecipeError):
            EulerianClip(**values)
