"""BT.601 luma in integers."""

from __future__ import annotations

import numpy as np
import pytest

from mer_pipe.stages.gray import Gray, gray
from mer_pipe.types import ClipError


def test_luma_is_the_rounded_weighted_sum():
    image = np.random.default_rng(0).integers(0, 256, (300, 200, 3), dtype=np.uint8)
    exact = image @ np.array([0.299, 0.587, 0.114])
    assert np.abs(gray(image) - exact).max() < 0.5 + 255 * 3 / 65536


def test_grey_stays_grey():
    levels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(gray(levels[:, None, None].repeat(3, axis=2))[:, 0], levels)


def test_one_channel_is_its_own_luma():
    image = np.random.default_rng(1).integers(0, 256, (5, 4, 1), dtype=np.uint8)
    assert np.array_equal(gray(image), image[..., 0])


def test_the_stage_keeps_its_contract():
    image = np.random.default_rng(2).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    Gray().returns["image"].check(Gray()(image=image)["image"])


def test_what_is_no_image_is_refused():
    with pytest.raises(ClipError, match="no luma"):
        gray(np.zeros((4, 4, 2), np.uint8))
    with pytest.raises(ClipError, match="no luma"):
        gray(np.zeros((4, 4, 3), np.float32))
