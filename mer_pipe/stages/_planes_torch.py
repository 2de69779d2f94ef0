"""Filters over stacks of planes (..., y, x) float32 in torch, as OpenCV defines them. Imports torch: import it lazily.

All are gathers and elementwise operations in a fixed order: on the CPU a value depends, to the bit, on its own plane alone,
whatever lies beside it in the stack and however many threads work. That rules out convolutions and library reductions.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from mer_pipe.stages._tvl1_scheme import ANTIALIAS


def blurred(planes: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian blur, reflected at the borders without repeating them: cv2.GaussianBlur of float images."""
    for axis in (-1, -2):
        planes = _filtered(planes, axis, *_gaussian(planes.shape[axis], sigma, planes.device))
    return planes


def halved(planes: torch.Tensor) -> torch.Tensor:
    """Half the size, rounded up: blurred against aliasing, then interpolated linearly."""
    planes = blurred(planes, ANTIALIAS)
    for axis in (-1, -2):
        size = planes.shape[axis]
        planes = _filtered(planes, axis, *_linear(size, (size + 1) // 2, planes.device))
    return planes


def enlarged(planes: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Cubic interpolation to another size: cv2.INTER_CUBIC."""
    for axis, size in ((-1, width), (-2, height)):
        planes = _filtered(planes, axis, *_cubic(planes.shape[axis], size, planes.device))
    return planes


def bordered(planes: torch.Tensor, before: int, after: int) -> torch.Tensor:
    """So many px more before and after each axis, repeating the border."""
    for axis in (-1, -2):
        size = planes.shape[axis]
        planes = planes.index_select(axis, _repeating(size, before, after, planes.device))
    return planes


def median5(wide: torch.Tensor) -> torch.Tensor:
    """The median of each window of 5 x 5 px: 4 px less along each axis. cv2.medianBlur of planes `bordered` by 2.

    Sort each column of a window, then each row of what results. Rows and columns are then in order, so that the value at
    (i, j) has at least (i + 1)(j + 1) - 1 others below or beside it, and (5 - i)(5 - j) - 1 above: 12 of the 25 are out,
    six at each end, and the median of the 13 that are left is the median of all.
    """
    height, width = (size - 4 for size in wide.shape[-2:])
    rows = _sorted([wide[..., i : i + height, :] for i in range(5)])  # columns sorted: once for all windows they are in
    matrix = [_sorted([row[..., j : j + width] for j in range(5)]) for row in rows]
    places = [(i, j) for i in range(5) for j in range(5) if max((5 - i) * (5 - j), (i + 1) * (j + 1)) <= 13]
    return _middle([matrix[i][j] for i, j in places])


def _sorted(values: list[torch.Tensor]) -> list[torch.Tensor]:
    """Five stacks into order, value by value."""
    values = list(values)
    for end in range(4, 0, -1):
        for i in range(end):
            _exchange(values, i, i + 1)
    return values


def _middle(values: list[torch.Tensor]) -> torch.Tensor:
    """The median of an odd number of stacks. Of more than half of them, the least and the greatest are never it."""
    half = len(values) // 2 + 2
    kept, rest = values[:half], values[half:]
    while True:
        for i in range(len(kept) - 1):
            _exchange(kept, i, i + 1)  # the greatest goes to the end
        for i in range(len(kept) - 3, -1, -1):
            _exchange(kept, i, i + 1)  # the least to the front
        if not rest:
            return kept[1]
        kept, rest = [*kept[1:-1], rest[0]], rest[1:]


def _exchange(values: list[torch.Tensor], i: int, j: int) -> None:
    values[i], values[j] = torch.minimum(values[i], values[j]), torch.maximum(values[i], values[j])


def _filtered(planes: torch.Tensor, axis: int, places: tuple, weights: tuple) -> torch.Tensor:
    """Sum of weights[k] * planes at places[k] along an axis."""
    total = None
    for place, weight in zip(places, weights, strict=True):
        term = planes.index_select(axis, place) * (weight if axis == -1 else weight[:, None])
        total = term if total is None else total + term
    return total


def _on(device: torch.device, places: list[np.ndarray], weights: list[np.ndarray]) -> tuple[tuple, tuple]:
    return (
        tuple(torch.from_numpy(place.astype(np.int64)).to(device) for place in places),
        tuple(torch.from_numpy(weight.astype(np.float32)).to(device) for weight in weights),
    )


# The constants below are never let go: a CUDA graph that was recorded with them reads them where they lie.


@cache
def _repeating(size: int, before: int, after: int, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.clip(np.arange(-before, size + after), 0, size - 1)).to(device)


@cache
def _gaussian(size: int, sigma: float, device: torch.device) -> tuple[tuple, tuple]:
    radius = round(8 * sigma + 1) // 2  # OpenCV's support for float images: 4 sigma to either side
    steps = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (steps / sigma) ** 2)
    around = max(2 * size - 2, 1)
    places = [np.abs(np.arange(size) + step) % around for step in steps]
    return _on(
        device,
        [np.minimum(place, around - place) if size > 1 else place for place in places],
        [np.full(size, weight) for weight in weights / weights.sum()],
    )


@cache
def _linear(size: int, target: int, device: torch.device) -> tuple[tuple, tuple]:
    first, part = _positions(size, target)
    return _on(device, _inside(first, size, range(2)), [1 - part, part])


@cache
def _cubic(size: int, target: int, device: torch.device) -> tuple[tuple, tuple]:
    first, part = _positions(size, target)
    inner = [(1.25 * d - 2.25) * d * d + 1 for d in (part, 1 - part)]  # Keys 1981, a = -3/4
    before = ((-0.75 * (part + 1) + 3.75) * (part + 1) - 6) * (part + 1) + 3
    return _on(device, _inside(first, size, range(-1, 3)), [before, *inner, 1 - before - inner[0] - inner[1]])


def _positions(size: int, target: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the px of a resized axis lie on the old one: the px before, and the part of a px behind it."""
    position = (np.arange(target) + 0.5) * (size / target) - 0.5
    first = np.floor(position)
    return first.astype(np.int64), position - first


def _inside(first: np.ndarray, size: int, steps: range) -> list[np.ndarray]:
    return [np.clip(first + step, 0, size - 1) for step in steps]
