"""Float frames are magnified as finely as they are given, and come back so."""

from __future__ import annotations

import numpy as np
import pytest

from mer_pipe.stages.magnify import Eulerian, FlowWarp, Mer, Phase, Pixel, magnify
from mer_pipe.types import ClipError
from tests.stages.test_magnify_pair import SIZE, as_frame, carried, local_field, measured_shift, shifted, texture

METHODS = ["mer", "flow", "phase", "eulerian", "pixel"]
STAGES = [Mer(), FlowWarp(), Phase(), Eulerian(), Pixel()]


def faint(channels=3):
    """A texture whose darkest and brightest places are two grey levels apart, float in 0..1; and itself 0.2 px on."""
    image = (127.5 + (texture(channels=channels) - 127.5) / 87.5) / 255.0
    return image, shifted(image, 0.2, 0.0)


def rounded(frame):
    return np.rint(frame * 255.0) / 255.0


def eight_bits():
    """A pair of uint8 frames with a local motion in noise."""
    rng, image = np.random.default_rng(2), texture()
    return (as_frame(f + rng.normal(0, 1, f.shape)) for f in (image, carried(image, local_field(), 1.0)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("method", ["mer", "flow", "phase"])
def test_a_motion_of_less_than_a_grey_level_is_magnified_in_float_and_lost_in_8_bits(method, channels, dtype):
    image, target = faint(channels)
    assert np.abs(target - image).max() < 0.5 / 255
    pair = [(f if channels == 3 else f[..., 0]).astype(dtype) for f in (image, target)]
    fine = magnify(*pair, 6, method=method).reshape(image.shape)
    coarse = magnify(*(rounded(f) for f in pair), 6, method=method).reshape(image.shape)
    assert measured_shift(255 * image, 255 * fine, (1.2, 0.0)) == pytest.approx((1.2, 0.0), abs=0.06)
    assert measured_shift(255 * image, 255 * coarse, (1.2, 0.0))[0] < 1.0


@pytest.mark.parametrize(("method", "parameters"), [("pixel", {}), ("eulerian", {"lambda_c": 0.0, "chroma": 1.0})])
def test_a_change_of_less_than_a_grey_level_is_multiplied_exactly_in_float_and_lost_in_8_bits(method, parameters):
    image, target = faint()
    exact = image + 6.0 * (target - image)
    fine, coarse = (
        magnify(*(f.astype(np.float32) for f in pair), 6, method=method, **parameters)
        for pair in ((image, target), (rounded(image), rounded(target)))
    )
    assert np.abs(fine - exact).max() < 1e-6
    assert np.abs(coarse - exact).mean() > exact.std()  # rounding errs by more than there is to see


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("method", METHODS)
def test_an_8_bit_pair_in_float_gives_the_uint8_result_before_it_is_rounded(method, channels):
    pair = [f if channels == 3 else f[..., 1] for f in eight_bits()]
    mask = np.hypot(*np.indices((SIZE, SIZE)) - 70) < 50
    for where in (None, mask):
        whole = magnify(*pair, [0, 0.5, 1, 6.25, 13.4], method=method, mask=where)
        for dtype in (np.float32, np.float64):
            fine = magnify(*((f / 255).astype(dtype) for f in pair), [0, 0.5, 1, 6.25, 13.4], method=method, mask=where)
            assert fine.dtype == dtype
            assert np.abs(fine.astype(float) * 255 - whole).max() < 0.501
            moving = fine[3:][:, mask].astype(float) * 255
            assert np.abs(moving - np.rint(moving)).mean() > 0.1  # it is not rounded


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("method", METHODS)
def test_what_does_not_change_keeps_its_value_to_the_last_bit(method, dtype):
    rng = np.random.default_rng(1)
    onset, apex = (rng.random((40, 52, 3)).astype(dtype) for _ in range(2))
    assert np.array_equal(magnify(onset, apex, 1, method=method), apex)
    assert np.array_equal(magnify(apex, apex.copy(), [0, 0.5, 1, 7, 50], method=method), np.stack([apex] * 5))
    mask = np.zeros((40, 52))
    mask[10:20, 10:20] = 1.0
    part, whole = (magnify(onset, apex, [0, 6], method=method, mask=m) for m in (mask, None))
    assert part.dtype == whole.dtype == dtype
    assert np.array_equal(part[:, mask == 0], np.stack([apex] * 2)[:, mask == 0])
    assert np.allclose(part[:, mask == 1], whole[:, mask == 1], rtol=0, atol=1e-7)
    half = magnify(onset, apex, 6, method=method, mask=0.5 * mask).astype(float)
    middle = 0.5 * (part[1].astype(float) + apex)
    assert np.abs(half - middle).max() < (1e-3 if dtype == np.float16 else 1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_the_result_stays_in_0_to_1_and_the_frames_as_they_were(method):
    rng = np.random.default_rng(0)
    pair = rng.integers(0, 2, (2, 35, 50, 3)).astype(np.float32)
    pair[:, :, 20:] = rng.random((2, 35, 30, 3))
    kept = pair.copy()
    pair.flags.writeable = False
    strided = [np.ascontiguousarray(f[:, ::-1])[:, ::-1] for f in pair]
    out = magnify(*pair, [0, 2.5, 50], method=method)
    assert out.min() >= 0.0
    assert out.max() <= 1.0
    assert np.array_equal(out, magnify(*strided, [0, 2.5, 50], method=method))
    assert np.array_equal(pair, kept)


@pytest.mark.parametrize("method", ["mer", "flow", "phase"])
def test_a_static_noisy_pair_is_held_still_in_float_too(method):
    rng, image = np.random.default_rng(4), texture()
    parameters = {"blend": 0.0} if method == "mer" else {}
    onset, apex = ((image + rng.normal(0, 0.5, image.shape)) / 255 for _ in range(2))
    out = magnify(onset, apex, 13, method=method, **parameters)
    unsteady = magnify(onset, apex, 13, method=method, noise_floor=0.0, **parameters)
    changed = np.abs(out - apex).mean()
    assert changed < 0.05 * 0.5 / 255
    assert np.abs(unsteady - apex).mean() > 10 * changed  # it is the floor that does it


@pytest.mark.parametrize("stage", STAGES, ids=lambda s: s.name)
def test_grey_levels_that_are_none_are_clip_errors(stage):
    good = np.full((16, 16, 3), 100.0, np.float32)
    for value in (np.nan, np.inf, -1.0, 255.5):
        bad = good.copy()
        bad[3, 4, 1] = value
        for pair in ((bad, good), (good, bad)):
            with pytest.raises(ClipError, match=r"not 0\.\.255"):
                stage(reference=pair[0], target=pair[1], af=(2.0,))
    with pytest.raises(ClipError, match="float32 and target frame uint8"):
        stage(reference=good, target=good.astype(np.uint8), af=(2.0,))


@pytest.mark.parametrize("method", ["mer", "flow"])
@pytest.mark.parametrize("contrast", [1.0, 0.01])
def test_faint_stripes_move_as_bold_ones_do(method, contrast):
    y, x = np.mgrid[:96, :96]
    onset, apex, wanted = (0.5 + 0.49 * contrast * np.sin(2 * np.pi * (x + y - d) / 20) for d in (0.0, 0.3, 1.8))
    inside = (slice(20, -20), slice(20, -20))
    error = np.abs(magnify(onset, apex, 6, method=method) - wanted)[inside].mean()
    assert error < 0.01 * np.abs(wanted - apex)[inside].mean() + 0.005 * contrast
