"""The pictures that scenes are made of: photographs that scikit-image ships, and generated textures.

The demo's faces are not among them: they are made of a photograph on which magnifiers are judged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

LICENCES = {
    "chelsea": "CC0, Stefan van der Walt",
    "coffee": "CC0, Rachel Michetti",
    "hubble_deep_field": "public domain, NASA",
    "grass": "CC0, linolafett",
    "clock": "public domain, Stefan van der Walt",
    "cell": "CC0, Paul Müller et al.",
    "text": "public domain",
    "rocket": "public domain, SpaceX",
    "gravel": "CC0, CC0Textures",
}
"""Photographs in scikit-image's package, with the licences that its documentation tells."""

TRAINING = {"chelsea": 4, "coffee": 4, "grass": 2, "hubble_deep_field": 1, "clock": 1, "cell": 1, "text": 1}
"""Photographs to train on, and how often each is shown."""

VALIDATION = ("rocket", "gravel")
SIDE = 192
"""Rows and columns of a generated texture."""


@dataclass(frozen=True)
class Source:
    """A continuous picture.

    Attributes
    ----------
    name : what it shows.
    spline : (rows, columns, 3) float32, cubic B-spline coefficients of grey levels 0..255.
    """

    name: str
    spline: np.ndarray


def photographs(names: Iterable[str]) -> list[Source]:
    """Photographs by name, gray ones with three equal channels."""
    import skimage.data

    found = []
    for name in names:
        image = getattr(skimage.data, name)()
        image = image[..., None].repeat(3, axis=2) if image.ndim == 2 else image[..., :3]
        found.append(_source(name, image.astype(np.float32)))
    return found


def digests() -> dict[str, str]:
    """Name -> ``"sha256:..."`` of the pixels of every photograph used, so that another release's would not pass for it."""
    import hashlib

    import skimage.data

    return {
        name: f"sha256:{hashlib.sha256(getattr(skimage.data, name)().tobytes()).hexdigest()}"
        for name in (*TRAINING, *VALIDATION)
    }


def textures(count: int, rng: np.random.Generator) -> list[Source]:
    """Generated textures: noise of several spectra, overlapping shapes, waves and gradients, folds of skin, and mixtures."""
    ways = (_noise, _leaves, _skin, _waves, _mixed, _skin)
    return [_source("texture", _softened(ways[i % len(ways)](rng), rng)) for i in range(count)]


def _source(name: str, image: np.ndarray) -> Source:
    from scipy.ndimage import spline_filter1d

    for axis in (0, 1):
        image = spline_filter1d(image, 3, axis, output=np.float32, mode="mirror")
    return Source(name, np.ascontiguousarray(image))


def _noise(rng: np.random.Generator) -> np.ndarray:
    """Noise whose amplitude falls as a power of the frequency, its three channels more or less alike."""
    rows, columns = np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None]
    turn, stretch = rng.uniform(0, np.pi), rng.uniform(0.4, 1.0)
    along = np.cos(turn) * columns + np.sin(turn) * rows
    across = (np.cos(turn) * rows - np.sin(turn) * columns) * stretch
    fall = np.maximum(np.hypot(along, across), 1 / SIDE) ** -rng.uniform(0.4, 2.0)
    fall[0, 0] = 0
    white = rng.standard_normal((4, SIDE, SIDE)).astype(np.float32)
    fields = np.fft.irfft2(np.fft.rfft2(white) * fall, (SIDE, SIDE))
    fields /= fields.std((1, 2), keepdims=True)
    shared = rng.uniform(0.3, 1.0)
    mixed = shared * fields[:1] + (1 - shared) * fields[1:]
    return _coloured(np.moveaxis(mixed, 0, 2), rng)


def _coloured(field: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.clip(rng.uniform(50, 205, 3) + field * rng.uniform(15, 60), 0, 255).astype(np.float32)


def _leaves(rng: np.random.Generator) -> np.ndarray:
    """Shapes of many sizes, each over those before it (the dead leaves model)."""
    import cv2

    image = np.empty((2 * SIDE, 2 * SIDE, 3), np.uint8)
    image[:] = rng.integers(0, 256, 3)
    middle, spread = rng.uniform(40, 215, 3), rng.uniform(20, 70)
    for size in np.sort(rng.pareto(1.5, int(rng.integers(60, 250))) * 8 + 5)[::-1]:
        colour = np.clip(middle + rng.normal(0, spread, 3), 0, 255).tolist()
        centre, size = rng.uniform(0, 2 * SIDE, 2), min(size, SIDE)
        if rng.random() < 0.5:
            axes = size * rng.uniform(0.4, 1.0, 2)
            cv2.ellipse(image, (centre, 2 * axes, rng.uniform(0, 180)), colour, -1, cv2.LINE_AA)
        else:
            angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))))
            corners = centre + size * np.stack([np.cos(angles), np.sin(angles)], 1)
            cv2.fillPoly(image, [np.rint(corners).astype(np.int32)], colour, cv2.LINE_AA)
    return cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)


def _waves(rng: np.random.Generator) -> np.ndarray:
    """A gradient, and sine or square waves that bend."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) / SIDE
    field = np.zeros((SIDE, SIDE, 1), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        turn, count = rng.uniform(0, 2 * np.pi), np.exp(rng.uniform(np.log(2), np.log(45)))
        bend = rng.uniform(0, 0.15) * np.sin(2 * np.pi * (rng.uniform(0, 3) * (x - y) + rng.random()))
        wave = np.sin(2 * np.pi * count * (np.cos(turn) * x + np.sin(turn) * y + bend))
        field += (np.tanh(3 * wave) if rng.random() < 0.4 else wave)[..., None]
    slope = rng.uniform(-60, 60, (2, 3))
    image = rng.uniform(70, 185, 3) + x[..., None] * slope[0] + y[..., None] * slope[1]
    return np.clip(image + field * rng.uniform(10, 45) * rng.uniform(0.4, 1.0, 3), 0, 255).astype(np.float32)


def _skin(rng: np.random.Generator) -> np.ndarray:
    """Smooth shading with fine grain, soft dark strokes as of brows and folds, and a few spots."""
    import cv2

    shade = np.zeros((SIDE, SIDE), np.float32)
    for _ in range(int(rng.integers(10, 40))):
        centre, away = rng.uniform(0, SIDE, 2), rng.uniform(-1, 1, 2) * rng.uniform(5, 60)
        bend = centre + away / 2 + rng.normal(0, 8, 2)
        t = np.linspace(0, 1, 12)[:, None]
        points = (1 - t) ** 2 * centre + 2 * t * (1 - t) * bend + t**2 * (centre + away)
        stroke = np.zeros_like(shade)
        width = int(rng.integers(1, 6))
        cv2.polylines(stroke, [np.rint(points * 8).astype(np.int32)], False, 1.0, width, cv2.LINE_AA, shift=3)
        stroke = cv2.GaussianBlur(stroke, (0, 0), np.exp(rng.uniform(np.log(0.6), np.log(5))))
        shade += stroke * rng.uniform(-110, 50)
    broad = cv2.resize(rng.standard_normal((4, 4, 1)).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    grain = cv2.GaussianBlur(rng.standard_normal((SIDE, SIDE)).astype(np.float32), (0, 0), rng.uniform(0.6, 2.0))
    shade += broad * rng.uniform(5, 35) + grain * (rng.uniform(1, 10) / grain.std())
    tint = np.sort(rng.uniform(60, 220, 3))[::-1] if rng.random() < 0.7 else rng.uniform(60, 220, 3)
    return np.clip(tint + shade[..., None] * rng.uniform(0.6, 1.0, 3), 0, 255).astype(np.float32)


def _mixed(rng: np.random.Generator) -> np.ndarray:
    """Shapes filled with noise."""
    grain = _noise(rng)
    return np.clip(_leaves(rng) + rng.uniform(0.2, 0.8) * (grain - grain.mean((0, 1))), 0, 255)


def _softened(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    import cv2

    return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.2))
