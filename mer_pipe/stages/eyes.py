"""Eye centres without a learned landmark model: a face cascade says where to look, gradients say where the eyes are."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from mer_pipe.stages.crop import crop
from mer_pipe.stages.faces import luma, main_face
from mer_pipe.stages.geometry import apply, inverse, similarity
from mer_pipe.types import ClipError

_VIEW, _APART = 100, 40  # px: the view in which eyes are sought, and the distance of the eyes in it
_VIEW_EYES = np.array([[30.0, 42.0], [70.0, 42.0]])
_REACH = 16  # px: no gradient further away votes for an eye
# Upper lids cover the top of the iris: gradients point this share of the eye distance above the middle of the lids.
_LID = 0.03
# Share of the gradients in the result, for the midpoint along and across the eyes' line, the distance and the roll. The
# rest is the cascade's: it knows the middle of the face, which gaze does not move; gradients know the eyes' height.
# Eyes whose votes stand out clearly (`_clarity` between the two values and above) leave it nothing.
_SHARES = (0.3, 0.9, 0.4, 0.8)
_CLEAR = (1.3, 1.5)


def find_eyes(frame: np.ndarray) -> np.ndarray:
    """The eye centres of the main face of a frame.

    1. `faces.main_face`: an LBP face cascade runs over the frame at all sizes and at rolls of -40..40 degrees, each
       accepted window votes for an eye pair, and mean shift over a denser second scan gives the face's eye pair.
    2. In an upright view of that face, gradients vote for the centre of each eye (Timm & Barth 2011, weighted by
       darkness); pairs of peaks are weighed by their distance, level and place.
    3. Both answers are fused: the middle mostly from the cascade, height and roll mostly from the gradients; all of it
       from the gradients where both eyes stand out clearly.

    An eye centre is the middle of the lids, as in the 68-point convention; while the eye looks aside the pupil is not
    there. Integers or IEEE operations in a fixed order all the way, and the result is rounded to 1/64 px.

    Parameters
    ----------
    frame : (H, W, 3) uint8 RGB.

    Returns
    -------
    (2, 2) float32: x, y in px of the eye on the picture's left, then of the other; pixel centres at integers.

    Raises
    ------
    ClipError : no face is found.
    """
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise ClipError(f"the onset frame is {frame.dtype} of shape {frame.shape}, not uint8 of shape (H, W, 3)")
    pair = main_face(frame)
    if pair is None:
        height, width = frame.shape[:2]
        raise ClipError(
            f"no face found in the onset frame ({height}x{width})",
            "Look at the frame: faces turned aside, tilted by more than 45 degrees or smaller than a tenth of the frame "
            "are not found. Try align.method=mediapipe, or align.method=none for frames already cropped to the face.",
        )
    pupils = _pupils(frame, pair)
    trust = min(max((_clarity(frame, pupils) - _CLEAR[0]) / (_CLEAR[1] - _CLEAR[0]), 0.0), 1.0)
    pair = _fuse(pair, pupils, [share + (1 - share) * trust for share in _SHARES])
    return np.round(_ends(pair) * 64).astype(np.float32) / np.float32(64)


def _pupils(frame: np.ndarray, pair: np.ndarray) -> np.ndarray:
    """The eye pair by gradient votes, in two rounds: the second looks from where the first arrived."""
    for near in (1.0, 0.5):
        view, transform = _upright(frame, pair)
        peaks = (_peaks(view, x, y, near) for x, y in _VIEW_EYES)
        left, right = apply(inverse(transform), (_best_pair(*peaks, near) + 0.5) / _VIEW)
        pair = np.concatenate([(left + right) / 2, right - left])
    x, y, dx, dy = pair.tolist()
    return np.array([x - _LID * dy, y + _LID * dx, dx, dy])


def _upright(frame: np.ndarray, pair: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The view (float64) in which an eye pair lies at `_VIEW_EYES`, and the transform from px to its unit square."""
    transform = similarity(_ends(pair), (_VIEW_EYES + 0.5) / _VIEW)
    return luma(crop([frame], transform, _VIEW)[0]).astype(np.float64), transform


def _clarity(frame: np.ndarray, pair: np.ndarray) -> float:
    """How far the votes at the fainter eye exceed the upper quartile of the votes around it: 1.4 and more when clear."""
    from mer_pipe.stages._gradients import gradient_votes

    view = blur(_upright(frame, pair)[0], 1)
    ratios = []
    for x, y in _VIEW_EYES.astype(int).tolist():
        # The pupil lies _LID above the pair, about one px here.
        votes = gradient_votes(view, x - 14, y - 11, x + 15, y + 10, _REACH)
        quartile = np.sort(votes, axis=None)[-(votes.size // 4)]
        ratios.append(float(votes[7:14, 10:19].max()) / max(float(quartile), 1e-9))
    return min(ratios)


def _peaks(view: np.ndarray, x: float, y: float, near: float) -> list[tuple[float, float, float]]:
    """Up to six peaks (score, x, y) of the gradient votes round an expected eye."""
    from mer_pipe.stages._gradients import gradient_votes

    half_x, half_y = (14, 10) if near == 1.0 else (10, 7)
    left, top, right, bottom = int(x) - half_x, int(y) - half_y, int(x) + half_x + 1, int(y) + half_y + 1
    votes = gradient_votes(blur(view, 1), left, top, right, bottom, _REACH)
    gray = blur(view, 2)[top:bottom, left:right]
    dark = (gray.max() - gray) / max(gray.max() - gray.min(), 1.0)
    score = blur(votes / max(votes.max(), 1e-9) * dark, 1) + 0.02
    across, down = np.arange(left, right) - x, np.arange(top, bottom) - y
    score = score * score * _doubt((across / (8 * near)) ** 2 + ((down / (5 * near)) ** 2)[:, None])
    padded = np.pad(score, 2, constant_values=-1.0)
    around = np.lib.stride_tricks.sliding_window_view(padded, (5, 5)).max((2, 3))
    rows, columns = np.nonzero(score == around)
    peaks = []
    for k in np.argsort(-score[rows, columns], kind="stable")[:6].tolist():
        i, j = int(rows[k]), int(columns[k])
        to_x, to_y = _vertex(padded[i + 2, j + 1 : j + 4]), _vertex(padded[i + 1 : i + 4, j + 2])
        peaks.append((float(score[i, j]), left + j + to_x, top + i + to_y))
    return peaks


def _doubt(cost: np.ndarray | float) -> np.ndarray | float:
    """exp(-cost / 2) with a longer tail, in IEEE operations."""
    return 1 / (1 + cost / 4) ** 2


def _vertex(three: np.ndarray) -> float:
    """Where between -1/2 and 1/2 the parabola through three values has its top; 0 beside a border (-1)."""
    a, b, c = three.tolist()
    bend = a - 2 * b + c
    return 0.0 if min(a, c) < 0 or bend >= 0 else min(max((a - c) / (2 * bend), -0.5), 0.5)


def _best_pair(left: list, right: list, near: float) -> np.ndarray:
    """(2, 2) x, y: the peaks with the best product of scores, less where eyes are not so far apart or not so level."""

    def value(pair: tuple) -> float:
        (score_a, xa, ya), (score_b, xb, yb) = pair
        cost = ((xb - xa - _APART) / (6 * near)) ** 2 + ((yb - ya) / (5 * near)) ** 2
        return score_a * score_b * _doubt(cost)

    return np.array(max(itertools.product(left, right), key=value))[:, 1:]


def _fuse(cascade: np.ndarray, gradients: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """The eye pair between two, by the second one's shares, in axes along and across the first one's line."""
    x, y, dx, dy = cascade.tolist()
    length2 = dx * dx + dy * dy
    mx, my, gx, gy = (gradients - (x, y, 0, 0)).tolist()
    along, across = (mx * dx + my * dy) / length2 * shares[0], (my * dx - mx * dy) / length2 * shares[1]
    stretch, turn = (gx * dx + gy * dy) / length2, (gy * dx - gx * dy) / length2
    size = 1 + (math.sqrt(stretch * stretch + turn * turn) - 1) * shares[2]
    turn = turn / stretch * shares[3]
    c = size / math.sqrt(1 + turn * turn)
    s = turn * c
    return np.array([x + along * dx - across * dy, y + along * dy + across * dx, c * dx - s * dy, c * dy + s * dx])


def _ends(pair: np.ndarray) -> np.ndarray:
    """(2, 2) eye centres of an eye pair."""
    return np.stack([pair[:2] - pair[2:] / 2, pair[:2] + pair[2:] / 2])


def blur(values: np.ndarray, times: int) -> np.ndarray:
    """(H, W) float64 under the binomial kernel [1 4 6 4 1] / 16 (sigma 1 px), `times` times; edges repeat."""
    for _ in range(times):
        for axis in (0, 1):
            p = np.moveaxis(np.pad(values, [(2, 2) if k == axis else (0, 0) for k in (0, 1)], mode="edge"), axis, 0)
            n = values.shape[axis]
            mixed = (p[:n] + 4 * p[1 : n + 1] + 6 * p[2 : n + 2] + 4 * p[3 : n + 3] + p[4 : n + 4]) / 16
            values = np.moveaxis(mixed, 0, axis)
    return values
