"""Plane transforms as (2, 3) float64 matrices. Plain IEEE arithmetic only: the same bytes on every machine."""

from __future__ import annotations

import math

import numpy as np

from mer_pipe.types import ClipError


def similarity(points: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The rotation, uniform scale and shift that carry `points` onto `targets` with the least squared error.

    The closed form of Umeyama (1991) in the plane, without reflection; exact for two points.

    Parameters
    ----------
    points, targets : (n, 2) x, y; n >= 2.

    Returns
    -------
    (2, 3) float64: target = A @ (x, y, 1).

    Raises
    ------
    ClipError : all points coincide, or one is not finite.
    """
    x, y = np.asarray(points, np.float64).T.tolist()
    u, v = np.asarray(targets, np.float64).T.tolist()
    n = len(x)
    x0, y0, u0, v0 = (math.fsum(values) / n for values in (x, y, u, v))
    x, y, u, v = [a - x0 for a in x], [a - y0 for a in y], [a - u0 for a in u], [a - v0 for a in v]
    spread = math.fsum(a * a + b * b for a, b in zip(x, y, strict=True))
    if not 1e-12 < spread < math.inf:
        raise ClipError(f"the points to align by coincide or are not finite: {np.asarray(points).tolist()}")
    pairs = list(zip(x, y, u, v, strict=True))
    a = math.fsum(x * u + y * v for x, y, u, v in pairs) / spread
    b = math.fsum(x * v - y * u for x, y, u, v in pairs) / spread
    return np.array([[a, -b, u0 - (a * x0 - b * y0)], [b, a, v0 - (b * x0 + a * y0)]])


def inverse(transform: np.ndarray) -> np.ndarray:
    """(2, 3) float64: the transform that undoes `transform`.

    Raises
    ------
    ClipError : `transform` is not six finite numbers, or squeezes the plane onto a line.
    """
    transform = np.asarray(transform, np.float64)
    if transform.shape != (2, 3) or not np.isfinite(transform).all():
        raise ClipError(f"transform of shape {transform.shape} is not (2, 3) finite numbers")
    (a, b, u), (c, d, v) = transform.tolist()
    det = a * d - b * c
    if abs(det) <= 1e-6 * (a * a + b * b + c * c + d * d):
        raise ClipError(f"transform cannot be inverted: {transform.tolist()}")
    a, b, c, d = d / det, -b / det, -c / det, a / det
    return np.array([[a, b, -(a * u + b * v)], [c, d, -(c * u + d * v)]])


def apply(transform: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(n, 2) float64: the points (n, 2) x, y carried by a (2, 3) transform."""
    x, y = np.asarray(points, np.float64).T
    (a, b, u), (c, d, v) = np.asarray(transform, np.float64).tolist()
    return np.stack([a * x + b * y + u, c * x + d * y + v], axis=1)
