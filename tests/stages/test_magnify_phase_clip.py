"""Phase-based magnification of a clip: motion in the band grows by AF, the rest is left alone."""

from __future__ import annotations

import numpy as np
import pytest

from mer_pipe.stages.magnify.phase_clip import PhaseClip, phase_clip
from mer_pipe.types import ClipError, RecipeError
from tests.stages.test_magnify_pair import as_frame, texture
from tests.stages.test_magnify_pair import shifted as shifted_square

FPS, WAVE, WIDTH, HEIGHT = 100.0, 16, 96, 32


def swaying(hertz, frames=60, amplitude=0.1, channels=1, mean=0.0):
    """Oblique waves that sway by `amplitude` px at `hertz` round `mean`, and their displacement in each frame."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    moves = mean + amplitude * np.sin(2 * np.pi * hertz * np.arange(frames) / FPS)
    waves = 127.5 + 90 * np.sin(2 * np.pi * (x + 0.25 * y - moves[:, None, None]) / WAVE)
    return as_frame(np.repeat(waves[..., None], channels, axis=3)), moves


def displacement(clip):
    """Displacement of the waves in each frame, px, from their phase in the middle."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    window = np.hanning(WIDTH) * np.hanning(HEIGHT)[:, None]
    wave = ((clip[..., 0] - 127.5) * window * np.exp(2j * np.pi * (x + 0.25 * y) / WAVE)).sum(axis=(1, 2))
    return np.unwrap(np.angle(wave) - np.pi / 2) * WAVE / (2 * np.pi)


def gain(clip, out):
    before, after = (d - d.mean() for d in (displacement(clip), displacement(out)))
    return before @ after / (before @ before)


@pytest.mark.parametrize("filter", ["butterworth", "ideal"])
@pytest.mark.parametrize("af", [0.0, 3.0, 11.0])
def test_motion_in_the_band_grows_by_af(filter, af):
    clip, _ = swaying(5.0)
    out = phase_clip(clip, af, FPS, 0.8, 20.0, filter)
    assert gain(clip, out) == pytest.approx(af, abs=0.08 + 0.06 * af)


@pytest.mark.parametrize(("filter", "most"), [("butterworth", 0.5), ("ideal", 0.2)])
@pytest.mark.parametrize("hertz", [0.8333, 45.0])
def test_motion_outside_the_band_is_left_alone(filter, most, hertz):
    clip, _ = swaying(hertz)
    out = phase_clip(clip, 11.0, FPS, 4.0, 12.0, filter)
    assert gain(clip, out) == pytest.approx(1.0, abs=most)


def test_of_two_motions_at_once_the_one_in_the_band_grows():
    t = (np.arange(100) + 0.5) / FPS
    fast, slow = 0.1 * np.cos(2 * np.pi * 10.0 * t), 0.75 * np.cos(2 * np.pi * 1.0 * t)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    clip = as_frame(127.5 + 90 * np.sin(2 * np.pi * (x + 0.25 * y - (fast + slow)[:, None, None]) / WAVE)[..., None])
    found = displacement(phase_clip(clip, 6.0, FPS, 5.0, 20.0, "ideal"))
    fast_gain, slow_gain, _ = np.linalg.lstsq(np.stack([fast, slow, np.ones(100)], axis=1), found, rcond=None)[0]
    assert fast_gain == pytest.approx(6.0, abs=0.2)
    assert slow_gain == pytest.approx(1.0, abs=0.02)


def test_motion_beyond_half_a_wavelength_is_unwrapped():
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    drift = np.linspace(0.0, 1.5 * WAVE, 80)
    drifting = np.sin(2 * np.pi * (x + 0.25 * y - drift[:, None, None]) / WAVE)[..., None]
    clip = as_frame(127.5 + 90 * drifting)
    for af in (0.5, 1.5):  # factors that are no whole numbers: a whole turn too few would show
        out = phase_clip(clip, af, FPS, 0.0, 49.0, "ideal")
        assert np.ptp(displacement(out)[10:70]) == pytest.approx(af * np.ptp(drift[10:70]), rel=0.1)


def test_magnified_motion_is_in_step():
    clip, moves = swaying(5.0)
    after = displacement(phase_clip(clip, 11.0, FPS, 1.0, 15.0))
    shifts = range(-5, 6)
    match = [np.corrcoef(np.roll(moves, s)[8:-8], after[8:-8])[0, 1] for s in shifts]
    assert shifts[int(np.argmax(match))] == 0


@pytest.mark.parametrize("filter", ["butterworth", "ideal"])
@pytest.mark.parametrize("fps", [25.0, 200.0])
def test_two_frames_move_apart_by_af(filter, fps):
    clip, _ = swaying(0.0, frames=2)
    clip[1] = swaying(FPS / 4, frames=2, amplitude=0.3)[0][1]
    out = PhaseClip(af=6.0, fps=fps, filter=filter)(clip=clip)["image"]
    assert np.ptp(displacement(out)) == pytest.approx(6.0 * np.ptp(displacement(clip)), rel=0.1)


@pytest.mark.parametrize("frames", [2, 3, 20])
@pytest.mark.parametrize("af", [0.0, 11.0, 50.0])
def test_a_static_clip_is_unchanged(frames, af):
    one = np.random.default_rng(0).integers(0, 256, (40, 44, 3)).astype(np.uint8)
    clip = np.repeat(one[None], frames, axis=0)
    for noise_floor in (0.0, 0.07):
        assert np.array_equal(PhaseClip(af=af, noise_floor=noise_floor)(clip=clip)["image"], clip)


def test_af_1_returns_the_clip():
    clip = np.random.default_rng(0).integers(0, 256, (5, 40, 44, 3)).astype(np.uint8)
    assert np.array_equal(PhaseClip(af=1.0)(clip=clip)["image"], clip)


def test_a_flicker_moves_nothing():
    gains = 1.0 + 0.03 * np.sin(2 * np.pi * 5.0 * np.arange(20) / FPS)
    image = texture(size=64)
    clip = np.stack([as_frame(100 + k * (image - 127.5)) for k in gains])
    out = phase_clip(clip, 11.0, FPS)
    assert np.abs(out.astype(float) - clip).mean() < 0.05
    bare = phase_clip(clip, 11.0, FPS, noise_floor=0.0)
    assert np.abs(bare.astype(float) - clip).mean() < 1.0  # rounding to grey levels, magnified


def test_a_static_noisy_clip_is_held_still():
    rng = np.random.default_rng(4)
    image = texture(size=64)
    clip = np.stack([as_frame(image + rng.normal(0, 1, image.shape)) for _ in range(30)])
    changed = np.abs(phase_clip(clip, 11.0, FPS).astype(float) - clip).mean()
    unsteady = np.abs(phase_clip(clip, 11.0, FPS, noise_floor=0.0).astype(float) - clip).mean()
    assert changed < 0.15
    assert unsteady > 5 * changed  # it is the floor that does it


def test_every_frame_of_a_moving_noisy_picture_is_like_the_truth():
    rng = np.random.default_rng(5)
    image = texture(size=64, channels=1)
    moves = 0.15 * np.sin(2 * np.pi * 5.0 * np.arange(40) / FPS)
    clip = np.stack([as_frame(shifted_square(image, m, 0.0) + rng.normal(0, 1, image.shape)) for m in moves])
    out = phase_clip(clip, 8.0, FPS, 1.0, 20.0, "ideal")
    errors = {}
    for name, frames in (("out", out), ("copy", clip)):
        truths = (shifted_square(image, 8.0 * m, 0.0) for m in moves)
        errors[name] = [np.abs(f - truth)[8:-8, 8:-8].mean() for f, truth in zip(frames, truths, strict=True)]
    assert np.mean(errors["out"]) < 0.55 * np.mean(errors["copy"])


def test_the_clip_is_filtered_alike_however_it_is_cut(monkeypatch):
    import mer_pipe.stages.magnify.phase_clip as module

    clip = np.random.default_rng(1).integers(0, 256, (17, 24, 28, 3)).astype(np.uint8)
    whole = PhaseClip()(clip=clip)["image"]
    monkeypatch.setattr(module, "BLOCK", 97)
    assert np.array_equal(PhaseClip()(clip=clip)["image"], whole)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [(1, 1), (4, 4), (16, 20), (9, 35), (33, 30)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_works_and_comes_back(size, channels):
    clip = np.random.default_rng(2).integers(0, 256, (4, *size, channels)).astype(np.uint8)
    stage = PhaseClip()
    out = stage(clip=clip)["image"]
    assert out.shape == clip.shape
    stage.returns["image"].check(out)


@pytest.mark.filterwarnings("error")
def test_flat_and_saturated_frames_in_a_clip_give_an_image():
    clip = np.repeat(as_frame(texture(size=48))[None], 6, axis=0)
    clip[1], clip[3], clip[4] = 0, 255, 127
    for noise_floor in (0.0, 0.07):
        out = phase_clip(clip, 50.0, FPS, noise_floor=noise_floor)
        assert (out[[1, 3, 4]] == clip[[1, 3, 4]]).all()  # what is flat has no phase


def test_clips_that_cannot_be_magnified_are_clip_errors():
    stage = PhaseClip()
    clip = np.zeros((5, 16, 16, 3), np.uint8)
    with pytest.raises(ClipError, match="1 frame"):
        stage(clip=clip[:1])
    with pytest.raises(ClipError, match="float32"):
        stage(clip=clip.astype(np.float32))
    with pytest.raises(ClipError, match=r"2\.5\.\.10 Hz\) lies in 40\.\.60 Hz"):
        PhaseClip(fps=25.0, low=40.0, high=60.0)(clip=clip)
    with pytest.raises(ClipError, match="frame rate"):
        PhaseClip(fps=0.0)(clip=clip)


def test_impossible_parameters_are_recipe_errors():
    for values in ({"low": 5.0, "high": 5.0}, {"filter": "fir"}, {"af": -1.0}, {"blur": -1.0}, {"noise_floor": -1.0}):
        with pytest.raises(RecipeError):
            PhaseClip(**values)
