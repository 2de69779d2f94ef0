"""Pairs of pictures whose exact magnification is known, for `benchmarks/magnify.py`.

Public-domain photographs of scikit-image, 224 x 224. "Local": smooth motions of 0.1 to 0.8 px carry parts of the picture
(a brow, a corner of the mouth). "Occluding": a disc of one photograph moves as a whole over another, so that motion has an
edge, and background is covered and uncovered. "Still": nothing moves. What a camera does (noise, flicker, JPEG) is done to
onset and apex, never to the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import skimage.data
from scipy.ndimage import map_coordinates

SEEN = ("chelsea", "coffee", "rocket")  # parameters were chosen on these
HELD_OUT = ("astronaut", "camera", "coins", "retina", "brick")
FACTORS = (2.0, 4.0, 6.0, 8.0, 10.0, 13.0)
SIZE, BORDER = 224, 8


@dataclass(frozen=True)
class Scene:
    """One pair without a camera's faults.

    Attributes
    ----------
    onset, apex : float64 (y, x, 3), grey levels.
    truths : float64 (af, y, x, 3), what each of `FACTORS` should give.
    inside : bool (y, x), where likeness is measured.
    """

    onset: np.ndarray
    apex: np.ndarray
    truths: np.ndarray
    inside: np.ndarray


@cache
def photograph(name: str) -> np.ndarray:
    """The middle square of a scikit-image photograph, float64 (224, 224, 3) in 0..255."""
    image = np.atleast_3d(getattr(skimage.data, name)())[..., :3]
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    square = cv2.resize(image[top : top + side, left : left + side], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return np.repeat(square.reshape(SIZE, SIZE, -1), 3 // (square.size // SIZE**2), axis=2).astype(np.float64)


def local_motion(rng: np.random.Generator, strongest: float, widths: tuple[float, float]) -> np.ndarray:
    """Four bumps of motion at random places, float64 (y, x, 2) in px."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(float)
    field = np.zeros((SIZE, SIZE, 2))
    for _ in range(4):
        cx, cy = rng.uniform(0.2 * SIZE, 0.8 * SIZE, 2)
        width, size, angle = rng.uniform(*widths), rng.uniform(0.3, 1.0) * strongest, rng.uniform(0, 2 * np.pi)
        bump = size * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * width**2))
        field += bump[..., None] * [np.cos(angle), np.sin(angle)]
    return field


def carried(image: np.ndarray, field: np.ndarray, af: float) -> np.ndarray:
    """Every point x of `image` carried to x + af * field(x), the inverse iterated to convergence."""
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(float)
    x, y = columns.copy(), rows.copy()
    for _ in range(120):
        u, v = (map_coordinates(field[..., i], [y, x], order=3, mode="nearest") for i in (0, 1))
        next_x, next_y = 0.5 * (x + columns - af * u), 0.5 * (y + rows - af * v)
        step = max(np.abs(next_x - x).max(), np.abs(next_y - y).max())
        x, y = next_x, next_y
        if step < 1e-6:
            break
    return np.stack([map_coordinates(image[..., c], [y, x], order=5, mode="mirror") for c in range(3)], axis=2)


def _disc(front: np.ndarray, back: np.ndarray, move: np.ndarray, radius: float, af: float) -> np.ndarray:
    """A disc of `front` over `back`, moved by af * move px, its edge 1.5 px soft."""
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(float)
    x, y = columns - af * move[0], rows - af * move[1]
    cover = np.clip((radius - np.hypot(x - SIZE / 2, y - SIZE / 2)) / 1.5 + 0.5, 0.0, 1.0)[..., None]
    moved = np.stack([map_coordinates(front[..., c], [y, x], order=5, mode="mirror") for c in range(3)], axis=2)
    return cover * moved + (1.0 - cover) * back


def scenes(names: tuple[str, ...], seed: int = 20) -> dict[str, list[Scene]]:
    """The scenes of some photographs by kind: two "local" a photograph, one "occluding", one "shifted", one "still"."""
    rng = np.random.default_rng(seed)
    made: dict[str, list[Scene]] = {"local": [], "occluding": [], "still": []}
    for name in names:
        image = photograph(name)
        for strongest, widths in ((0.3, (8.0, 16.0)), (0.8, (12.0, 25.0))):
            field = local_motion(rng, strongest, widths)
            inside = np.hypot(*np.moveaxis(field, 2, 0)) > 0.05
            inside[:BORDER] = inside[-BORDER:] = inside[:, :BORDER] = inside[:, -BORDER:] = False
            truths = np.stack([carried(image, field, af) for af in FACTORS])
            made["local"].append(Scene(image, carried(image, field, 1.0), truths, inside))
        back = photograph(names[names.index(name) - 1])
        angle, length, radius = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.7), rng.uniform(25, 45)
        move = length * np.array([np.cos(angle), np.sin(angle)])
        truths = np.stack([_disc(image, back, move, radius, af) for af in FACTORS])
        inside = np.hypot(*(np.mgrid[:SIZE, :SIZE] - SIZE / 2)) < radius + 12
        onset, apex = (_disc(image, back, move, radius, af) for af in (0.0, 1.0))
        made["occluding"].append(Scene(onset, apex, truths, inside))
        made["still"].append(Scene(image, image, np.stack([image] * len(FACTORS)), np.ones((SIZE, SIZE), bool)))
    return made


def noisy(image: np.ndarray, rng: np.random.Generator, sigma: float = 1.0) -> np.ndarray:
    """`image` as a camera with noise `sigma` would store it, uint8."""
    return np.clip(np.rint(image + rng.normal(0, sigma, image.shape)), 0, 255).astype(np.uint8)


def _jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    coded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1]


Camera = Callable[[Scene, np.random.Generator], tuple[np.ndarray, np.ndarray]]


def camera(sigma: float = 1.0, gain: float = 1.0, quality: int = 0) -> Camera:
    """What stores a scene as onset and apex: noise, onset brighter by `gain`, JPEG of `quality` (0 for none)."""

    def store(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        pair = noisy(gain * scene.onset, rng, sigma), noisy(scene.apex, rng, sigma)
        return (_jpeg(pair[0], quality), _jpeg(pair[1], quality)) if quality else pair

    return store


CONDITIONS: dict[str, tuple[str, Camera]] = {
    "local": ("local", camera()),
    "occluding": ("occluding", camera()),
    "no noise": ("local", camera(sigma=0.0)),
    "noise 2": ("local", camera(sigma=2.0)),
    "noise 4": ("local", camera(sigma=4.0)),
    "flicker 2 %": ("local", camera(gain=1.02)),
    "JPEG 90": ("local", camera(quality=90)),
}
"""Name to kind of scene and camera. Noise is of sigma 1 where nothing else is told."""
