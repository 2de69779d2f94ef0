"""Spline coefficients and their sampling, against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from mer_pipe.stages.magnify._warp_kernels import draw, follow, sample
from mer_pipe.stages.magnify.spline import LUMA, spline, with_luma

SIZES = [(40, 60), (13, 5), (4, 3), (2, 9), (1, 7), (1, 1)]


def pictures(height, width, channels=3, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (height, width, channels)).astype(np.float32)


def wanted(image, x, y):
    """Cubic B-spline of the mirrored image at the positions, those outside at the border: float64 (y, x, c)."""
    y, x = np.clip(y, 0, image.shape[0] - 1), np.clip(x, 0, image.shape[1] - 1)
    planes = np.moveaxis(image.astype(np.float64), 2, 0)
    # A line of one sample is that sample everywhere; SciPy's filter leaves such lines unfiltered.
    return np.stack([map_coordinates(plane, [y, x], order=3, mode="mirror") for plane in planes], axis=2)


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_lane_is_the_cubic_spline_of_its_channel(height, width, channels):
    image = pictures(height, width, channels)
    flow = np.random.default_rng(1).normal(0, 2, (height, width, 2)).astype(np.float32)
    rows, columns = np.mgrid[:height, :width]
    surface = spline(image)
    assert surface.shape == (height + 3, width + 3, 4)
    assert surface.dtype == np.float32
    found = np.stack([follow(surface, flow, lane) for lane in range(channels)], axis=2)
    assert np.abs(found - wanted(image, columns + flow[..., 0], rows + flow[..., 1])).max() < 2e-3
    assert not surface[..., channels:].any()


@pytest.mark.parametrize("channels", [1, 3])
def test_the_last_lane_is_the_luma(channels):
    image = pictures(20, 30, channels)
    still = np.zeros((20, 30, 2), np.float32)
    luma = image[..., 0] if channels == 1 else image @ np.float32([0.299, 0.587, 0.114])
    assert np.abs(follow(spline(with_luma(image)), still, LUMA) - luma).max() < 1e-3


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_sampling_on_a_pixel_returns_its_value_and_rounds_elsewhere(dtype):
    image = np.rint(pictures(20, 30)).astype(dtype)
    rows, columns = np.mgrid[:20, :30]
    places = np.stack([columns, rows], axis=2).astype(np.float32)
    half = np.float32(0.5 if dtype == np.uint8 else 0.0)
    assert np.array_equal(sample(spline(image), image, places, half), image)
    found = sample(spline(image), image, places + np.float32(0.25), half)
    exact = np.clip(wanted(image, columns + 0.25, rows + 0.25), 0, 255)
    assert np.abs(found - exact).max() < (0.501 if dtype == np.uint8 else 2e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_magnified_pixel_mixes_both_frames_by_the_share(dtype, channels):
    before, after = pictures(20, 30, channels, 2), pictures(20, 30, channels, 3)
    shared = spline(before)
    shared[..., -1] = np.linspace(
        0, 1, shared.shape[1], dtype=np.float32
    )  # along the columns: lane at x is x + 1 knots
    motion = np.random.default_rng(4).normal(0, 1, (20, 30, 2)).astype(np.float32)
    rows, columns = np.mgrid[:20, :30]
    out = np.empty((20, 30, channels), dtype)
    draw(out, spline(after), shared, motion, 3.0, np.float32(0.5 if dtype == np.uint8 else 0.0))
    x, y = columns - 3.0 * motion[..., 0], rows - 3.0 * motion[..., 1]
    now, then = wanted(after, x + motion[..., 0], y + motion[..., 1]), wanted(before, x, y)
    share = (np.clip(x, 0, 29)[..., None] + 1.0) / (shared.shape[1] - 1)
    exact = np.clip(now + share * (then - now), 0, 255)
    assert np.abs(out - exact).max() < (0.501 if dtype == np.uint8 else 5e-3)
