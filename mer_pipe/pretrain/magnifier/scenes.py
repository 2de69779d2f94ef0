"""Pairs of frames whose magnified motion is known exactly, drawn at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mer_pipe.pretrain.magnifier.settings import Settings
from mer_pipe.pretrain.magnifier.sources import Source

MARGIN = 16
"""Pixels around a frame in which the motion is tabled, so that what comes in from outside moves as it should."""

STEEPEST = 0.85
"""Highest AF x gradient of a motion: below 1 nothing folds over, and the inverse is exact."""


@dataclass(frozen=True)
class Layer:
    """A picture that moves.

    Attributes
    ----------
    source : the picture.
    to_source : (2, 3) from a place in the frame, before it moves, to a place in the picture.
    field : (h + 2 MARGIN, w + 2 MARGIN, 2) float32, the motion f of each place, x then y, px.
    fine : points across a pixel that a camera averages.
    """

    source: Source
    to_source: np.ndarray
    field: np.ndarray
    fine: int


@dataclass(frozen=True)
class Outline:
    """The outline of an object: an ellipse with waves, and the softness of its edge in px."""

    centre: tuple[float, float]
    axes: tuple[float, float]
    turn: float
    waves: int
    depth: float
    soft: float

    def cover(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """How much of the places (x, y) of the object's own frame it covers, 0..1."""
        dx, dy = x - self.centre[0], y - self.centre[1]
        u = np.cos(self.turn) * dx + np.sin(self.turn) * dy
        v = np.cos(self.turn) * dy - np.sin(self.turn) * dx
        u, v = u / self.axes[0], v / self.axes[1]
        edge = 1 + self.depth * np.sin(self.waves * np.arctan2(v, u))
        far = (edge - np.hypot(u, v)) * min(self.axes)
        return np.clip(far / self.soft + 0.5, 0, 1)


@dataclass(frozen=True)
class Scene:
    """A background, perhaps an object over it, and their motion between two frames.

    Attributes
    ----------
    back, front : layers; `front` may be None.
    outline : of the object.
    af : the highest AF at which nothing folds over or moves further than it should.
    """

    back: Layer
    front: Layer | None
    outline: Outline | None
    af: float

    def frame(self, af: float) -> np.ndarray:
        """The frame when everything has moved by AF times its motion (0: the reference, 1: the target).

        (h, w, 3) float32, grey levels, neither noisy nor rounded.
        """
        image, _ = _drawn(self.back, af)
        if self.front is None or self.outline is None:
            return image
        over, places = _drawn(self.front, af)
        cover = self.outline.cover(places[..., 0], places[..., 1]).astype(np.float32)
        return image + cover[..., None] * (over - image)

    def known(self, af: float) -> np.ndarray:
        """Where the target frame shows what the frame at AF does: (h, w) bool. Elsewhere it came in from outside."""
        places = _places(self.back, af)
        seen = _in_target(self.back, places)
        if self.front is None or self.outline is None:
            return seen
        places = _places(self.front, af)
        return np.where(self.outline.cover(places[..., 0], places[..., 1]) > 0.5, _in_target(self.front, places), seen)

    def moving(self, af: float, least: float = 0.05) -> np.ndarray:
        """Where the frame at AF shows what moves by `least` px or more between reference and target: (h, w) bool."""
        places = _places(self.back, af)
        moves = _length(_motion_at(self.back, places)) >= least
        if self.front is None or self.outline is None:
            return moves
        places = _places(self.front, af)
        over = _length(_motion_at(self.front, places)) >= least
        return np.where(self.outline.cover(places[..., 0], places[..., 1]) > 0.05, over, moves)


def draw(picture: Callable[[], Source], settings: Settings, rng: np.random.Generator, size: int | None = None) -> Scene:
    """A scene of pictures that `picture` picks, of `settings.size` px or another size."""
    size = size or settings.size
    strength = rng.uniform(settings.least, settings.most)
    if rng.random() < 0.5:
        strength = np.exp(rng.uniform(np.log(settings.least), np.log(settings.most)))
    af = min(settings.af, settings.reach / strength)
    kind = rng.random()
    if kind < 0.07:
        still = np.zeros((size + 2 * MARGIN, size + 2 * MARGIN, 2), np.float32)
        return Scene(_layer(picture(), still, size, rng), None, None, settings.af)
    if kind < 0.20:
        field = _shift(strength, size, rng)
        return Scene(_layer(picture(), field, size, rng), None, None, af)
    if kind < 0.70:
        field = _bumps(strength, af, size, rng)
        if rng.random() < 0.25:
            field = field + _shift(strength * rng.uniform(0.1, 0.5), size, rng)
        elif rng.random() < 0.3:
            field = field + _turn(strength, size, rng)
        return Scene(_layer(picture(), field, size, rng), None, None, _bounded(field, af, settings))
    behind = np.zeros((size + 2 * MARGIN, size + 2 * MARGIN, 2), np.float32)
    if rng.random() < 0.3:
        behind = _shift(strength * rng.uniform(0.1, 0.8), size, rng)
    field = _shift(strength, size, rng)
    if rng.random() < 0.4:
        field = field + _turn(strength, size, rng)
    back, front = _layer(picture(), behind, size, rng), _layer(picture(), field, size, rng)
    return Scene(back, front, _outline(size, rng), _bounded(field, af, settings))


def _bounded(field: np.ndarray, af: float, settings: Settings) -> float:
    """AF, or less where the motion would fold over or move too far."""
    rows, columns = (np.diff(field, axis=axis) for axis in (0, 1))
    steepest = np.hypot(_length(rows[:, :-1]), _length(columns[:-1])).max()
    longest = _length(field).max()
    return float(max(1.0, min(af, STEEPEST / max(steepest, 1e-6), settings.reach / max(longest, 1e-6))))


def _direction(rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)], np.float32)


def _shift(strength: float, size: int, rng: np.random.Generator) -> np.ndarray:
    field = np.empty((size + 2 * MARGIN, size + 2 * MARGIN, 2), np.float32)
    field[:] = np.float32(strength) * _direction(rng)
    return field


def _bumps(strength: float, af: float, size: int, rng: np.random.Generator) -> np.ndarray:
    """One to four smooth bumps of motion, wide enough that most can be magnified by AF."""
    at = np.arange(-MARGIN, size + MARGIN, dtype=np.float32)
    field = np.zeros((len(at), len(at), 2), np.float32)
    narrowest = float(np.clip(0.75 * af * strength, 4.0, 16.0))
    for _ in range(int(rng.integers(1, 5))):
        x, y = rng.uniform(0.05 * size, 0.95 * size, 2)
        width = narrowest * np.exp(rng.uniform(0, np.log(3)))
        tall = width * np.exp(rng.uniform(-0.4, 0.4))
        bump = np.exp(-0.5 * ((at - y) / tall) ** 2)[:, None] * np.exp(-0.5 * ((at - x) / width) ** 2)
        field += bump[..., None] * (_direction(rng) * np.float32(rng.uniform(0.3, 1)))
    longest = _length(field).max()
    return field * np.float32(strength / max(longest, 1e-6))


def _turn(strength: float, size: int, rng: np.random.Generator) -> np.ndarray:
    """A small linear motion (a turn, a stretch, a shear) about a point, of `strength` px half a frame away."""
    at = np.arange(-MARGIN, size + MARGIN, dtype=np.float32)
    centre = rng.uniform(0.25 * size, 0.75 * size, 2)
    linear = rng.normal(0, 0.6, (2, 2)) * strength / (0.5 * size)
    x, y = np.meshgrid(at - centre[0], at - centre[1])
    return np.stack([linear[0, 0] * x + linear[0, 1] * y, linear[1, 0] * x + linear[1, 1] * y], 2).astype(np.float32)


def _outline(size: int, rng: np.random.Generator) -> Outline:
    return Outline(
        tuple(rng.uniform(0.25 * size, 0.75 * size, 2).tolist()),
        tuple((size * np.exp(rng.uniform(np.log(0.12), np.log(0.45), 2))).tolist()),
        rng.uniform(0, np.pi),
        int(rng.integers(2, 6)),
        rng.uniform(0, 0.3) if rng.random() < 0.6 else 0.0,
        float(np.exp(rng.uniform(np.log(0.7), np.log(2.5)))),
    )


def _layer(source: Source, field: np.ndarray, size: int, rng: np.random.Generator) -> Layer:
    rows, columns = source.spline.shape[:2]
    widest = max(0.7, min(2.2, min(rows, columns) / (1.1 * size)))
    scale = np.exp(rng.uniform(np.log(0.7), np.log(widest)))
    turn = rng.uniform(0, 2 * np.pi) if rng.random() < 0.6 else np.pi / 2 * rng.integers(4)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    if rng.random() < 0.5:
        linear[:, 0] *= -1
    half = np.abs(linear).sum(1) * size / 2
    middle = max((_middle(half, rows, columns, rng) for _ in range(2)), key=lambda at: _contrast(source, at, half))
    centre = (size - 1) / 2
    to_source = np.column_stack([linear, middle - linear @ (centre, centre)])
    return Layer(source, to_source, field, 2 if scale > 1.2 else 1)


def _middle(half: np.ndarray, rows: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    """Where in a picture the middle of the frame lies; the whole frame, where that is possible."""
    extent = np.array([columns, rows])
    inside = half + rng.random(2) * np.maximum(extent - 2 * half, 0)
    return np.where(2 * half < extent, inside, extent * rng.uniform(0.3, 0.7, 2))


def _contrast(source: Source, middle: np.ndarray, half: np.ndarray) -> float:
    """How much of anything is there to be seen about a place."""
    low, high = np.maximum(middle - half, 0).astype(int), (middle + half).astype(int)
    return float(source.spline[low[1] : high[1] : 4, low[0] : high[0] : 4, 1].std())


def _length(vectors: np.ndarray) -> np.ndarray:
    return np.sqrt(vectors[..., 0] ** 2 + vectors[..., 1] ** 2)


def _drawn(layer: Layer, af: float) -> tuple[np.ndarray, np.ndarray]:
    from mer_pipe.pretrain.magnifier._scene_kernels import picture

    places = _framed(layer, af)
    out = np.empty((places.shape[0] - 2, places.shape[1] - 2, 3), np.float32)
    picture(layer.source.spline, layer.to_source, places, layer.fine, out)
    return out, places[1:-1, 1:-1]


def _places(layer: Layer, af: float) -> np.ndarray:
    return _framed(layer, af)[1:-1, 1:-1]


def _framed(layer: Layer, af: float) -> np.ndarray:
    """Where each pixel of the frame at AF comes from, with a border of one pixel."""
    from mer_pipe.pretrain.magnifier._scene_kernels import origins

    size = layer.field.shape[0] - 2 * MARGIN
    places = np.empty((size + 2, size + 2, 2), np.float32)
    origins(layer.field, MARGIN, af, places)
    return places


def _motion_at(layer: Layer, places: np.ndarray) -> np.ndarray:
    """f, to the nearest pixel."""
    last = layer.field.shape[0] - 1
    at = np.clip(np.rint(places).astype(np.int32) + MARGIN, 0, last)
    return layer.field[at[..., 1], at[..., 0]]


def _in_target(layer: Layer, places: np.ndarray) -> np.ndarray:
    size = layer.field.shape[0] - 2 * MARGIN
    far = np.abs(places + _motion_at(layer, places) - (size - 1) / 2)
    return np.maximum(far[..., 0], far[..., 1]) < size / 2 + 0.25
