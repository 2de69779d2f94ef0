"""Magnifying a pair of frames: motion of exact size goes in, AF times as much must come out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.ndimage import fourier_shift, gaussian_filter, map_coordinates
from scipy.optimize import least_squares

from mer_pipe.stages.magnify import Eulerian, FlowWarp, FlowWarpClip, Mer, MerClip
from mer_pipe.stages.magnify.flow_warp import flow_warp
from mer_pipe.stages.magnify.motion import illumination, luma, motion
from mer_pipe.types import ClipError, RecipeError

SIZE = 128
STAGES = [FlowWarp(), Eulerian(), Mer()]


def texture(seed=0, size=SIZE, channels=3):
    """Random skin-like texture, float in 40..215, smooth enough to be shifted exactly."""
    rng = np.random.default_rng(seed)
    image = sum(
        gaussian_filter(rng.standard_normal((size, size, channels)), (s, s, 0), mode="wrap") * s for s in (1.5, 3, 6)
    )
    return 127.5 + 87.5 * image / np.abs(image).max()


def as_frame(image):
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def shifted(image, u, v):
    """`image` moved by (u, v) px, exactly, by the Fourier shift theorem (it wraps)."""
    planes = [np.fft.ifft2(fourier_shift(np.fft.fft2(image[..., c]), (v, u))).real for c in range(image.shape[2])]
    return np.stack(planes, axis=2)


def local_field(size=SIZE, amplitude=0.5, width=14.0):
    """A bump of motion in the middle: what a brow or a corner of the mouth does."""
    y, x = np.mgrid[:size, :size] - size / 2
    bump = amplitude * np.exp(-(x**2 + y**2) / (2 * width**2))
    return np.stack([0.8 * bump, -0.6 * bump], axis=2)


def carried(image, field, af):
    """Ground truth: every point x of `image` carried to x + af * field(x), the inverse found to convergence."""
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]].astype(float)
    x, y = columns.copy(), rows.copy()
    for _ in range(100):
        u, v = (map_coordinates(field[..., i], [y, x], order=3, mode="nearest") for i in (0, 1))
        x, y = 0.5 * (x + columns - af * u), 0.5 * (y + rows - af * v)
    planes = [map_coordinates(image[..., c], [y, x], order=5, mode="mirror") for c in range(image.shape[2])]
    return np.stack(planes, axis=2)


def measured_shift(image, out, start=(0.0, 0.0), border=24):
    """The (u, v) by which exact shifts of `image` match `out` best: least squares, independent of any optical flow."""
    inside = (slice(border, SIZE - border),) * 2
    found = least_squares(lambda d: (shifted(image, *d) - out)[inside].ravel(), start, diff_step=1e-3)
    return found.x


@pytest.mark.parametrize("af", [0.5, 2.0, 2.5, 6.0, 13.0])
@pytest.mark.parametrize("move", [(0.2, 0.0), (0.0, -0.2), (0.15, 0.1)])
def test_flow_warp_multiplies_a_translation_by_af(af, move):
    image = texture()
    onset, apex = as_frame(image), as_frame(shifted(image, *move))
    out = flow_warp(onset, apex, (af,))[0]
    wanted = af * np.array(move)
    assert np.allclose(measured_shift(image, out, wanted), wanted, atol=0.02 + 0.04 * np.hypot(*wanted))


@pytest.mark.parametrize("af", [2.0, 2.5, 6.0, 13.0])
def test_flow_warp_carries_a_local_motion_to_where_it_belongs(af):
    image, field = texture(), local_field()
    onset, apex = as_frame(image), as_frame(carried(image, field, 1.0))
    truth = carried(image, field, af)
    out = flow_warp(onset, apex, (af,))[0]
    inside = np.hypot(*np.moveaxis(field, 2, 0)) > 0.1
    error = np.abs(out - truth)[inside].mean()
    assert error < 0.25 + 0.1 * np.abs(apex - truth)[inside].mean()  # rounding to grey levels alone is 0.25
    wrong = [np.abs(out - carried(image, field, af * k))[inside].mean() for k in (0.85, 1.15)]
    assert error < min(wrong)


def test_a_fractional_af_lies_between_its_neighbours():
    image = texture()
    onset, apex = as_frame(image), as_frame(shifted(image, 0.3, 0.0))
    moves = [measured_shift(image, out)[0] for out in flow_warp(onset, apex, (2.0, 2.5, 3.0))]
    assert moves[0] < moves[1] < moves[2]
    assert moves[1] == pytest.approx((moves[0] + moves[2]) / 2, abs=0.01)


@pytest.mark.parametrize("stage", STAGES, ids=lambda s: s.name)
def test_afs_together_and_alone_give_the_same_bytes(stage):
    image = texture()
    pair = {"reference": as_frame(image), "target": as_frame(carried(image, local_field(), 1.0))}
    together = stage(**pair, af=(4.0, 2.0, 2.5))["image"]
    for i, af in enumerate((4.0, 2.0, 2.5)):
        assert np.array_equal(together[i], stage(**pair, af=(af,))["image"][0])


@pytest.mark.parametrize("stage", STAGES, ids=lambda s: s.name)
def test_af_1_returns_the_targets_bytes_and_af_0_nearly_the_reference(stage):
    image = texture()
    onset, apex = as_frame(image), as_frame(shifted(image, 0.6, -0.3))
    zero, one = stage(reference=onset, target=apex, af=(0.0, 1.0))["image"]
    assert np.array_equal(one, apex)
    inside = (slice(8, -8), slice(8, -8))
    assert np.abs(zero[inside].astype(float) - onset[inside]).mean() < 1.0
    assert np.abs(apex[inside].astype(float) - onset[inside]).mean() > 3.0


@pytest.mark.parametrize("stage", STAGES, ids=lambda s: s.name)
@pytest.mark.parametrize("frame", ["texture", "black", "white", "noise", "checks"])
def test_identical_frames_stay_identical_at_every_af(stage, frame):
    frames = {
        "texture": as_frame(texture()),
        "black": np.zeros((SIZE, SIZE, 3), np.uint8),
        "white": np.full((SIZE, SIZE, 3), 255, np.uint8),
        "noise": np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8),
        "checks": np.indices((SIZE, SIZE, 3)).sum(0).astype(np.uint8) % 2 * 255,
    }
    one = frames[frame]
    out = stage(reference=one, target=one.copy(), af=(0.0, 0.5, 1.0, 7.0, 50.0))["image"]
    assert (out == one).all()


@pytest.mark.parametrize("stage", STAGES, ids=lambda s: s.name)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 5), (17, 31), (35, 150)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_works_and_comes_back(stage, size, channels):
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 256, (2, *size, channels)).astype(np.uint8)
    out = stage(reference=a, target=b, af=(0.0, 2.5, 13.0))["image"]
    assert out.shape == (3, *size, channels)
    for image in out:
        stage.returns["image"].check(image)


@pytest.mark.parametrize("stage", STAGES, ids=lambda s: s.name)
def test_read_only_and_strided_frames_give_the_same_bytes_and_stay_as_they_are(stage):
    image = texture()
    a, b = as_frame(image), as_frame(shifted(image, 0.4, 0.2))
    plain = stage(reference=a, target=b, af=(1.0, 5.0))["image"]
    kept = a.copy(), b.copy()
    strided = [np.ascontiguousarray(f[:, ::-1])[:, ::-1] for f in kept]
    for frame in strided:
        frame.flags.writeable = False
    assert np.array_equal(stage(reference=strided[0], target=strided[1], af=(1.0, 5.0))["image"], plain)
    assert np.array_equal(a, kept[0])
    assert np.array_equal(b, kept[1])


@pytest.mark.parametrize("stage", STAGES, ids=lambda s: s.name)
@pytest.mark.parametrize("level", [0, 255])
def test_saturated_against_textured_frames_give_an_image(stage, level):
    flat = np.full((SIZE, SIZE, 3), level, np.uint8)
    for a, b in ((flat, as_frame(texture())), (as_frame(texture()), flat)):
        for image in stage(reference=a, target=b, af=(0.0, 13.0))["image"]:
            stage.returns["image"].check(image)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.0])
def test_flow_warp_holds_a_static_noisy_pair_still(sigma):
    rng = np.random.default_rng(4)
    image = texture()
    onset, apex = (as_frame(image + rng.normal(0, sigma, image.shape)) for _ in range(2))
    out = flow_warp(onset, apex, (13.0,))[0]
    unsteady = flow_warp(onset, apex, (13.0,), noise_floor=0.0)[0]
    changed = np.abs(out.astype(float) - apex).mean()
    assert changed < 0.05 * sigma
    assert np.abs(unsteady.astype(float) - apex).mean() > 10 * changed  # it is the floor that does it


def test_flow_warp_sees_a_tenth_of_a_pixel_through_the_same_noise():
    rng = np.random.default_rng(5)
    image, field = texture(), local_field(amplitude=0.2)
    onset, apex = (as_frame(f + rng.normal(0, 1, f.shape)) for f in (image, carried(image, field, 1.0)))
    flow = motion(onset, apex)
    inside = np.hypot(*np.moveaxis(field, 2, 0)) > 0.1
    assert np.hypot(*np.moveaxis(flow - field, 2, 0))[inside].mean() < 0.06
    assert np.hypot(*np.moveaxis(flow, 2, 0))[np.hypot(*np.moveaxis(field, 2, 0)) < 1e-4].mean() < 0.01


def test_flow_warp_ignores_a_change_of_brightness():
    image = texture()
    onset, apex = as_frame(image), as_frame(0.96 * shifted(image, 0.3, 0.0) + 6.0)
    gain, bias = illumination(luma(onset), luma(apex))
    assert gain == pytest.approx(0.96, abs=0.01)
    assert bias == pytest.approx(6.0, abs=1.0)
    out = flow_warp(onset, apex, (6.0,))[0]
    assert measured_shift(image, (out - bias) / gain)[0] == pytest.approx(1.8, abs=0.09)
    still = flow_warp(onset, as_frame(0.96 * onset + 6.0), (13.0,))[0]
    assert np.array_equal(still, as_frame(0.96 * onset + 6.0))


@pytest.mark.parametrize("gain", [1.0, 1.03])
def test_noise_is_not_taken_for_a_loss_of_contrast(gain):
    rng = np.random.default_rng(9)
    image = 128.0 + 0.15 * (texture() - 128.0)  # a contrast of about 4 grey levels, as much as the noise
    before, after = (luma(as_frame(level * image + rng.normal(0, 4, image.shape))) for level in (1.0, gain))
    found, bias = illumination(before, after)
    levels = np.percentile(image, [5, 95])
    assert np.allclose(found * levels + bias, gain * levels, atol=0.5)


def test_flow_warp_does_not_depend_on_the_number_of_threads():
    import cv2

    image, before, outs = texture(), cv2.getNumThreads(), []
    onset, apex = as_frame(image), as_frame(carried(image, local_field(), 1.0))
    try:
        for threads in (1, 2, 4):
            cv2.setNumThreads(threads)
            outs.append(flow_warp(onset, apex, (6.0,)))
            assert cv2.getNumThreads() == threads
    finally:
        cv2.setNumThreads(before)
    assert np.array_equal(outs[0], outs[1])
    assert np.array_equal(outs[0], outs[2])


def test_frames_that_do_not_match_are_clip_errors():
    frame = np.zeros((16, 16, 3), np.uint8)
    for stage in STAGES:
        with pytest.raises(ClipError, match=r"\(16, 16, 3\) and target frame \(16, 12, 3\)"):
            stage(reference=frame, target=frame[:, :12], af=(2.0,))
        with pytest.raises(ClipError, match="float64"):
            stage(reference=frame.astype(float), target=frame, af=(2.0,))
        with pytest.raises(ClipError, match="1 or 3"):
            stage(reference=frame[..., :2], target=frame[..., :2], af=(2.0,))


@pytest.mark.parametrize("af", [(-1.0,), (float("nan"),), (float("inf"),), ()])
def test_an_impossible_af_is_a_recipe_error(af):
    frame = np.zeros((16, 16, 3), np.uint8)
    for stage in STAGES:
        with pytest.raises(RecipeError):
            stage(reference=frame, target=frame, af=af)


def test_impossible_parameters_are_recipe_errors():
    for make in (
        lambda: FlowWarp(noise_floor=-1.0),
        lambda: FlowWarp(window=0.0),
        lambda: FlowWarpClip(af=-2.0),
        lambda: Mer(noise_floor=-1.0),
        lambda: Mer(blend=0.7),
        lambda: MerClip(af=-2.0),
        lambda: Eulerian(lambda_c=-1.0),
        lambda: Eulerian(chroma=1.5),
        lambda: Eulerian(lambda_c=float("nan")),
    ):
        with pytest.raises(RecipeError):
            make()


@pytest.mark.parametrize("stage", [*STAGES, FlowWarpClip(), MerClip()], ids=lambda s: s.name)
def test_parameters_are_plain_and_the_stage_is_frozen(stage):
    assert all(isinstance(v, int | float | str) for v in stage.parameters().values())
    with pytest.raises(dataclasses.FrozenInstanceError):
        stage.af = 3.0
