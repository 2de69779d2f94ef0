"""No magnifier crashes, and none returns what is no picture, whatever frames it is given."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mer_pipe.stages.magnify.pair import METHODS, magnify
from mer_pipe.stages.weights import file_digest
from mer_pipe.types import ClipError, Weights
from tests.stages.test_magnify_learned import random_state

AF = (0.0, 1.0, 2.5, 13.0)


def made(name):
    """Onset and apex, uint8 (y, x, 3)."""
    rng = np.random.default_rng(0)
    if name == "constant":
        return np.full((64, 64, 3), 90, np.uint8), np.full((64, 64, 3), 92, np.uint8)
    if name == "black and white":
        return np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8)
    if name == "saturated":
        onset = np.where(rng.random((64, 64, 1)) < 0.5, 0, 255).astype(np.uint8).repeat(3, 2)
        return onset, np.roll(onset, 1, axis=1)
    if name == "identical":
        return (rng.integers(0, 256, (64, 64, 3), dtype=np.uint8),) * 2
    if name == "one pixel":
        onset, apex = np.zeros((2, 64, 64, 3), np.uint8)
        onset[30, 30] = apex[30, 31] = 255
        return onset, apex
    if name == "torn":  # every pixel moves anywhere: AF x motion folds
        return tuple(rng.integers(0, 256, (2, 64, 64, 3), dtype=np.uint8))
    height, width = (int(side) for side in name.split("x"))
    onset = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return onset, np.roll(onset, 1, axis=0)


NAMES = ("constant", "black and white", "saturated", "identical", "one pixel", "torn", "16x16", "32x48")
AWKWARD = ("1x1", "1x40", "3x2", "4x4", "33x47", "61x64")
"""Sizes that no crop has: a method may refuse them, with a ClipError."""


@pytest.fixture(scope="module")
def parameters(tmp_path_factory):
    """What a method cannot do without: for one that reads a checkpoint, a file of random values."""
    path = tmp_path_factory.mktemp("weights") / "random.pt"
    torch.save(random_state("resblks"), path)
    weights = Weights(file_digest(path), str(path))
    return lambda method: {"weights": weights} if "weights" in METHODS[method].__dataclass_fields__ else {}


@pytest.mark.filterwarnings("error")  # no division by zero, no overflow
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NAMES + AWKWARD)
@pytest.mark.parametrize("method", METHODS)
def test_any_frames_give_pictures_or_a_clip_error(method, name, channels, parameters):
    onset, apex = (frame[..., :channels] for frame in made(name))
    stage = METHODS[method](**parameters(method))
    try:
        image = stage(reference=onset, target=apex, af=AF)["image"]
    except ClipError:
        if name in AWKWARD:
            return
        raise
    assert image.shape == (len(AF), *apex.shape)
    stage.returns["image"].check(image[0])
    assert image.dtype == np.uint8


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", METHODS)
def test_floats_stay_finite_and_within_0_and_1(method, parameters):
    for name in ("constant", "black and white", "saturated", "one pixel", "torn"):
        onset, apex = (frame / np.float32(255) for frame in made(name))
        image = magnify(onset, apex, AF, method, **parameters(method))
        assert image.dtype == np.float32
        assert image.shape == (len(AF), *apex.shape)
        assert 0 <= image.min() <= image.max() <= 1  # False for NaN


@pytest.mark.parametrize("method", [name for name in METHODS if "weights" not in METHODS[name].__dataclass_fields__])
def test_identical_frames_stay_as_they_are_at_every_factor(method):
    """A network renders even the identity anew; every other way must give the frame itself."""
    for name in ("identical", "constant"):
        onset = made(name)[0]
        image = METHODS[method]()(reference=onset, target=onset.copy(), af=AF)["image"]
        assert np.abs(image.astype(int) - onset).max() <= 1


@pytest.mark.parametrize("method", METHODS)
def test_frames_of_different_sizes_are_refused_with_both(method, parameters):
    onset, apex = made("16x16")[0], made("33x47")[0]
    with pytest.raises(ClipError, match=r"\(16, 16, 3\).*\(33, 47, 3\)"):
        METHODS[method](**parameters(method))(reference=onset, target=apex, af=AF)
