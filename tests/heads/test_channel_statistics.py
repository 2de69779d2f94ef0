"""Statistics of the training clips against NumPy's over all of them."""

from __future__ import annotations

import numpy as np
import torch

from mer_pipe.heads import channel_statistics
from mer_pipe.heads.channel_statistics import moments, spread
from tests.heads.image_clips import ImageClips


def test_they_are_those_of_all_pixels_of_all_clips(monkeypatch):
    monkeypatch.setattr(channel_statistics, "CHUNK", 3)  # the last chunk is smaller
    images = torch.randn(7, 2, 5, 4, generator=torch.Generator().manual_seed(0)) * 3 + 100
    clips = ImageClips({"image": images}, torch.zeros(7, dtype=torch.int64))
    mean, square = moments(clips, lambda batch: batch.arrays["image"])
    values = images.double().numpy()
    assert np.allclose(mean, values.mean((0, 2, 3)), rtol=1e-12)
    assert np.allclose(spread(mean, square), values.std((0, 2, 3)), rtol=1e-9)
    assert sorted(clips.asked) == list(range(7))


def test_a_channel_that_never_changes_divides_by_one():
    mean, square = torch.tensor([0.3, 0.0], dtype=torch.float64), torch.tensor([0.09, 0.0], dtype=torch.float64)
    assert spread(mean, square).tolist() == [1, 1]


def test_a_small_spread_is_a_spread():
    values = torch.tensor([1e-4, 3e-4], dtype=torch.float64)
    assert np.isclose(spread(values.mean()[None], values.square().mean()[None]).item(), 1e-4)
