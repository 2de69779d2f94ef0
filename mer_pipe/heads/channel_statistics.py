"""Means and scales of the training clips, by which inputs are standardised. Imports torch: import it lazily."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mer_pipe.heads.head import Batch, Clips

CHUNK = 32
"""Clips read at once."""


def moments(clips: Clips, pictures: Callable[[Batch], Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and mean square of every channel over all pixels of all training clips, (channels,) float64 each.

    Parameters
    ----------
    clips : the training clips of one fold; nothing else is read.
    pictures : makes (n, channels, y, x) of some clips.
    """
    totals, squares, count = 0.0, 0.0, 0
    for positions in torch.arange(len(clips)).split(CHUNK):
        images = pictures(clips.batch(positions)).double()
        totals = totals + images.sum((0, 2, 3))
        squares = squares + images.square().sum((0, 2, 3))
        count += images[:, 0].numel()
    return totals / count, squares / count


def spread(mean: Tensor, square: Tensor) -> Tensor:
    """The standard deviation of each channel; 1 for a channel that never changes, so that it can divide."""
    variance = (square - mean.square()).clamp(min=0)
    return torch.where(variance > 1e-12 * square, variance, 1).sqrt()
