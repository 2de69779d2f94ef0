"""Fields as grey levels: the mean over areas, and 8 bits with what they cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mer_pipe.export.settings import Scaling

CHANNELS = ("u", "v", "strain")


def area_mean(field: np.ndarray, size: int) -> np.ndarray:
    """The mean of a field (y, x) or (y, x, channel) over size x size areas that tile it: (size, size[, channel]) float64.

    Every value counts by its share of an area, so nothing aliases and the mean of the whole stays. Values keep their unit:
    px stay px of the field's own grid. Sums of float16 values are exact here, so the bytes do not depend on how they are
    added.
    """
    rows, columns = (_shares(n, size) for n in field.shape[:2])
    channels = np.moveaxis(np.asarray(field, np.float64).reshape(*field.shape[:2], -1), -1, 0)
    mean = rows @ channels @ columns.T / (field.shape[0] * field.shape[1])
    return np.moveaxis(mean, 0, -1).reshape(size, size, *field.shape[2:])


def _shares(n: int, size: int) -> np.ndarray:
    """(size, n): how much of each of n cells lies in each of `size` areas, in units of 1 / size cell; rows sum to n."""
    cells, areas = np.arange(n + 1) * size, np.arange(size + 1) * n
    low = np.maximum(cells[None, :-1], areas[:-1, None])
    high = np.minimum(cells[None, 1:], areas[1:, None])
    return np.maximum(high - low, 0).astype(np.float64)


@dataclass(frozen=True)
class Levels:
    """A field in 8 bits; value = offset + step * level, channel by channel.

    Attributes
    ----------
    levels : (y, x, 3) uint8, channels u, v, strain.
    offset, step : (3,) float64; px, px, px/px.
    error : (3,) float64: the largest difference between a value within the limits and what is read back.
    clipped : (3,) int: how many values lie beyond the limits.
    beyond : (3,) float64: how far the farthest of them does.
    """

    levels: np.ndarray
    offset: np.ndarray
    step: np.ndarray
    error: np.ndarray
    clipped: np.ndarray
    beyond: np.ndarray


def to_levels(field: np.ndarray, scaling: Scaling) -> Levels:
    """Round a field (y, x, 3) of u, v (px) and strain (px/px) to grey levels, see `Scaling`; a channel of one value is 0."""
    if scaling.method == "minmax":
        low, high = field.min(axis=(0, 1)), field.max(axis=(0, 1))
        offset, step, least = low, (high - low) / 255, np.zeros(3)
    else:
        # 127 levels either way: 0 px has a level of its own, and +px and -px lie as far from it.
        step = np.array([scaling.px / 127, scaling.px / 127, scaling.strain / 255])
        offset, least = np.array([-128 * step[0], -128 * step[1], 0.0]), np.array([1.0, 1.0, 0.0])
    exact = np.divide(field - offset, step, out=np.zeros_like(field), where=step > 0)
    rounded = np.rint(exact)
    levels = np.clip(rounded, least, 255)
    away, outside = np.abs(from_levels(levels, offset, step) - field), levels != rounded
    error, beyond = (np.where(mask, away, 0).max(axis=(0, 1)) for mask in (~outside, outside))
    return Levels(levels.astype(np.uint8), offset, step, error, outside.sum(axis=(0, 1)), beyond)


def from_levels(levels: np.ndarray, offset: np.ndarray, step: np.ndarray) -> np.ndarray:
    """The values (..., 3) float64 that grey levels stand for."""
    return offset + step * levels
