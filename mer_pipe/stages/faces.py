"""Where the face is, without a learned landmark model: an LBP cascade at all sizes and rolls, and a vote of its windows.

A face is written as an eye pair: x, y of the point midway between the eyes, and dx, dy from one eye to the other, px.
The constants were set on the tuning faces of docs/align.md, not on those it holds out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

# Where the eyes lie in the cascade's window, as shares of its side: their middle, half their distance, their height.
_MIDDLE, _EYE_X, _EYE_Y = 0.49, 0.19, 0.39
# The search looks at the frame in a square of this many px, so that its time does not depend on the frame's size.
_SEARCH = 256
_SEARCH_SIZES = tuple(int(256 / 1.15**k) for k in range(16))  # the last makes a window of the whole frame's side
_SEARCH_ROLLS = (-40, -20, 0, 20, 40)  # degrees; the cascade alone accepts about 12 either way
_LOCAL = 96
_LOCAL_SIZES = tuple(range(66, 38, -3))  # of a view of 1.8 windows: windows of 0.65 to 1.1 of the expected side
_LOCAL_ROLLS = (-15, -10, -5, 0, 5, 10, 15)
_WIDTH = 0.25  # of the mean shift's kernel, in eye distances
_CANDIDATES = 5
_LEAST_SUPPORT = 20.0  # windows that agree in the denser scan: textures reach 12, rarely 23, faces mostly 30 to 90


def main_face(frame: np.ndarray) -> np.ndarray | None:
    """The main face of a frame (H, W, 3) uint8 RGB as an eye pair (4,) float64 in px of the frame; None without a face.

    Of the faces with at least half of the best one's votes, the main one has the largest
    (eye distance)^2 x (1 - distance from the frame's centre / half its diagonal).
    """
    height, width = frame.shape[:2]
    scale = min(1.0, _SEARCH / max(height, width))
    grid = max(1, round(height * scale)), max(1, round(width * scale))
    small = np.stack([shrink(frame[..., channel], *grid) for channel in range(3)], axis=-1)
    middle = ((small.shape[1] - 1) / 2, (small.shape[0] - 1) / 2)
    found = [_settle(small, pair) for pair in _candidates(small, middle)]
    enough = max([_LEAST_SUPPORT, *(0.5 * support for _, support in found)])
    faces = [pair for pair, support in found if support >= enough]
    if not faces:
        return None

    def value(pair: np.ndarray) -> float:
        x, y, dx, dy = pair.tolist()
        away2 = (x - middle[0]) ** 2 + (y - middle[1]) ** 2
        return (dx * dx + dy * dy) * (1 - math.sqrt(away2 / (middle[0] ** 2 + middle[1] ** 2)))

    pair = max(faces, key=value)
    to_frame = np.array([width / small.shape[1], height / small.shape[0]])
    return np.concatenate([(pair[:2] + 0.5) * to_frame - 0.5, pair[2:] * to_frame])


def _candidates(small: np.ndarray, middle: tuple[float, float]) -> list[np.ndarray]:
    """Up to `_CANDIDATES` places where windows of a search at all sizes and rolls agree, the best first."""
    from mer_pipe.stages._cascade import mean_shift, support

    side = max(small.shape[:2])
    votes = np.concatenate([_votes(small, middle, side, roll, _SEARCH, _SEARCH_SIZES) for roll in _SEARCH_ROLLS])
    votes = votes[:: max(1, -(-len(votes) // 3000))]  # the support of n votes takes n * n steps
    strength = support(votes, _WIDTH)
    places: list[np.ndarray] = []
    while len(places) < _CANDIDATES and len(votes) and strength.max() >= 1.5:
        pair = mean_shift(votes, votes[int(np.argmax(strength))], _WIDTH, 10)
        places.append(pair)
        distance2 = ((votes[:, :2] - pair[:2]) ** 2).sum(1)
        strength[distance2 < 4 * (pair[2] ** 2 + pair[3] ** 2)] = 0
    return places


def _settle(small: np.ndarray, pair: np.ndarray) -> tuple[np.ndarray, float]:
    """The mean of a denser scan around a candidate, and how many windows support it (0 for none)."""
    from mer_pipe.stages._cascade import mean_shift, support

    x, y, dx, dy = pair.tolist()
    side = math.sqrt(dx * dx + dy * dy) / (2 * _EYE_X)
    down = (0.5 - _EYE_Y) / (2 * _EYE_X)  # from the eyes to the middle of the window, in eye distances
    middle = (x - down * dy, y + down * dx)
    votes = np.concatenate(
        [_votes(small, middle, 1.8 * side, roll, _LOCAL, _LOCAL_SIZES, (dx, dy)) for roll in _LOCAL_ROLLS]
    )
    if not len(votes):
        return pair, 0.0
    strength = support(votes, _WIDTH)
    best = int(np.argmax(strength))
    return mean_shift(votes, votes[best], _WIDTH, 5), float(strength[best])


def _votes(
    picture: np.ndarray,
    middle: tuple[float, float],
    side: float,
    roll: float,
    size: int,
    sizes: Sequence[int],
    level: tuple[float, float] = (1.0, 0.0),
) -> np.ndarray:
    """Eye pairs (n, 4) in px of the picture, one for each window that the cascade accepts.

    It looks at the square of `side` px round `middle`, turned by `roll` degrees from the direction `level`, through a
    view of `size` px shrunk to each of `sizes`.
    """
    from mer_pipe.stages._cascade import WINDOW, frontal_face, integral, scan
    from mer_pipe.stages.crop import crop

    length = math.sqrt(level[0] ** 2 + level[1] ** 2)
    cos, sin = math.cos(math.radians(roll)), math.sin(math.radians(roll))
    c, s = (cos * level[0] - sin * level[1]) / length, (cos * level[1] + sin * level[0]) / length
    x, y = middle
    transform = np.array([[c, s, 0.5 * side - (c * x + s * y)], [-s, c, 0.5 * side - (c * y - s * x)]]) / side
    view = luma(crop([picture], transform, size)[0])
    pairs = []
    for n in sizes:
        rows, columns = np.nonzero(scan(integral(shrink(view, n, n)), *frontal_face()))
        across = ((columns + WINDOW * _MIDDLE) / n - 0.5) * side
        down = ((rows + WINDOW * _EYE_Y) / n - 0.5) * side
        apart = np.full(len(rows), 2 * _EYE_X * WINDOW / n * side)
        pairs.append(np.stack([x + c * across - s * down, y + s * across + c * down, c * apart, s * apart], axis=1))
    return np.concatenate(pairs)


def luma(picture: np.ndarray) -> np.ndarray:
    """(..., 3) uint8 RGB to uint8 luma (Rec. 601), in integers."""
    wide = picture.astype(np.int32)
    return ((77 * wide[..., 0] + 150 * wide[..., 1] + 29 * wide[..., 2] + 128) >> 8).astype(np.uint8)


def shrink(gray: np.ndarray, height: int, width: int) -> np.ndarray:
    """The exact area average of (H, W) uint8 on a smaller grid, rounded to uint8."""
    from mer_pipe.stages._cascade import area_average

    return area_average(np.ascontiguousarray(gray), height, width)
