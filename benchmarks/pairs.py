"""Pairs of images with exactly known flow, made of photographs that scikit-image ships. Used by the benchmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SIZE = 224
TUNING = ("astronaut", "coffee", "rocket", "coins")
HELD_OUT = ("chelsea", "camera", "retina", "moon")


@dataclass(frozen=True)
class Pair:
    """Two (y, x, 3) uint8 images and the (y, x, 2) float64 flow with target(x + flow(x)) = source(x)."""

    name: str
    source: np.ndarray
    target: np.ndarray
    flow: np.ndarray


def make(
    photographs: tuple[str, ...],
    count: int,
    seed: int,
    noise: float = 1.0,
    widths: tuple[float, float] = (12, 40),
    still: bool = False,
) -> list[Pair]:
    """Return `count` pairs of 224 x 224 px, one photograph after the other.

    The flow is that of a face that twitches: a shift of at most 1 px and a turn of at most 0.5 degrees, left out if `still`,
    and two to five Gaussian bumps of `widths` px (standard deviation) and 0.3 px to 3 px height, at most a quarter of the
    narrowest width, lest the flow fold. Both images are sampled with quintic splines from one blurred photograph, at their
    own positions, and get their own noise (standard deviation in grey levels).
    """
    return [_pair(photographs[i % len(photographs)], seed + i, noise, widths, still) for i in range(count)]


def _pair(name: str, seed: int, noise: float, widths: tuple[float, float], still: bool) -> Pair:
    rng = np.random.default_rng(seed)
    photograph = _photograph(name)
    height, width = photograph.shape[:2]
    margin = 12
    scale = rng.uniform(1.0, min(2.0, (min(height, width) - 1) / (SIZE + 2 * margin)))
    extent = scale * (SIZE - 1 + 2 * margin)
    corner = rng.uniform((0, 0), (height - 1 - extent, width - 1 - extent)) + scale * margin
    flow = smooth_flow(rng, widths, still=still)
    grid = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE)), axis=-1).astype(np.float64)
    target = _sample(photograph, scale, corner, grid)
    source = _sample(photograph, scale, corner, grid + flow)
    return Pair(name, _exposed(source, noise, rng), _exposed(target, noise, rng), flow)


def clip(name: str, frames: int, seed: int, size: int = SIZE, noise: float = 1.0) -> np.ndarray:
    """Return a (frames, size, size, 3) uint8 clip that moves from rest to its apex and part of the way back."""
    rng = np.random.default_rng(seed)
    photograph = _photograph(name)
    flow = smooth_flow(rng, (12, 40), size)
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=-1).astype(np.float64)
    corner = (np.array(photograph.shape[:2]) - size) / 2
    strength = np.sin(np.linspace(0, 0.8 * np.pi, frames))
    return np.stack([_exposed(_sample(photograph, 1.0, corner, grid + s * flow), noise, rng) for s in strength])


def smooth_flow(
    rng: np.random.Generator, widths: tuple[float, float], size: int = SIZE, still: bool = False
) -> np.ndarray:
    """Return the (size, size, 2) float64 flow that `make` describes."""
    x, y = np.meshgrid(np.arange(size) - (size - 1) / 2, np.arange(size) - (size - 1) / 2)
    turn = np.deg2rad(rng.uniform(-0.5, 0.5))
    shift = rng.uniform(0, 1) * _direction(rng)
    if still:
        turn, shift = 0.0, np.zeros(2)
    flow = np.stack([shift[0] - turn * y, shift[1] + turn * x], axis=-1)
    for _ in range(rng.integers(2, 6)):
        centre, width = rng.uniform(-0.35 * size, 0.35 * size, 2), rng.uniform(*widths)
        bump = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * width**2))
        flow += bump[..., None] * rng.uniform(0.3, min(3.0, widths[0] / 4)) * _direction(rng)
    return flow


def _direction(rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)])


def _photograph(name: str) -> np.ndarray:
    from skimage import data

    image = getattr(data, name)()
    image = image[..., None].repeat(3, axis=2) if image.ndim == 2 else image[..., :3]
    return image.astype(np.float64)


def _sample(photograph: np.ndarray, scale: float, corner: np.ndarray, at: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter, map_coordinates

    sigma = 0.5 * scale  # what a pixel `scale` times as large would blur
    rows, columns = corner[0] + scale * at[..., 1], corner[1] + scale * at[..., 0]
    channels = [
        map_coordinates(gaussian_filter(photograph[..., c], sigma), (rows, columns), order=5, mode="mirror")
        for c in range(3)
    ]
    return np.stack(channels, axis=-1)


def _exposed(image: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    return np.clip(np.rint(image + rng.normal(0, noise, image.shape)), 0, 255).astype(np.uint8)
