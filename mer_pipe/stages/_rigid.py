"""The compiled sums under register: one pass over a frame, gathered in square blocks, in the order written.

No fast-math: every machine adds in the same order.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def displacement(motion, height, width):
    """How far a plane motion, (2, 3) in px, carries each pixel: float32 (y, x, 2), right and down."""
    out = np.empty((height, width, 2), np.float32)
    for i in range(height):
        for j in range(width):
            out[i, j, 0] = (motion[0, 0] - 1.0) * j + motion[0, 1] * i + motion[0, 2]
            out[i, j, 1] = motion[1, 0] * j + (motion[1, 1] - 1.0) * i + motion[1, 2]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def light(before, moved, weight, block):
    """Gain, within 1/2 .. 2, and bias for which ``gain * before + bias`` is nearest to `moved`.

    A pixel counts by the weight of its block; a face without contrast gets gain 1.
    """
    total = x = y = xx = xy = 0.0
    for i in range(weight.shape[0] * block):
        for j in range(weight.shape[1] * block):
            w = weight[i // block, j // block]
            a, b = np.float64(before[i, j]), np.float64(moved[i, j])
            total += w
            x += w * a
            y += w * b
            xx += w * a * a
            xy += w * a * b
    if total <= 0.0:
        return 1.0, 0.0
    x, y = x / total, y / total
    spread = xx / total - x * x
    gain = 1.0
    if spread > 1.0:  # a contrast of one grey level
        gain = min(max((xy / total - x * y) / spread, 0.5), 2.0)
    return gain, y - gain * x


@njit(cache=True, nogil=True, error_model="numpy")
def stiffness(right, down, block):
    """Sums of the slopes' products in each block, float64 (3, rows, columns): right^2, right * down, down^2."""
    rows, columns = right.shape[0] // block, right.shape[1] // block
    out = np.zeros((3, rows, columns))
    for i in range(rows * block):
        for j in range(columns * block):
            x, y = np.float64(right[i, j]), np.float64(down[i, j])
            out[0, i // block, j // block] += x * x
            out[1, i // block, j // block] += x * y
            out[2, i // block, j // block] += y * y
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def pull(right, down, residual, block):
    """Sums of slope times residual in each block, float64 (2, rows, columns): by the slopes right and down."""
    rows, columns = right.shape[0] // block, right.shape[1] // block
    out = np.zeros((2, rows, columns))
    for i in range(rows * block):
        for j in range(columns * block):
            left = np.float64(residual[i, j])
            out[0, i // block, j // block] += right[i, j] * left
            out[1, i // block, j // block] += down[i, j] * left
    return out


@njit(cache=True, nogil=True)
def around(sums):
    """Sums over the 3 x 3 blocks around each block, of float64 (n, rows, columns)."""
    n, rows, columns = sums.shape
    out = np.zeros((n, rows, columns))
    for k in range(n):
        for i in range(rows):
            for j in range(columns):
                for y in range(max(i - 1, 0), min(i + 2, rows)):
                    for x in range(max(j - 1, 0), min(j + 2, columns)):
                        out[k, i, j] += sums[k, y, x]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def distances(basis, local, sure, common):
    """Squared Mahalanobis distance of each block's `local` motion, (2, rows, columns), from the `common` one.

    `basis` is (parameter, 2, rows, columns), `sure` (3, rows, columns) the inverse covariances: xx, xy, yy.
    """
    rows, columns = local.shape[1:]
    out = np.empty((rows, columns))
    for i in range(rows):
        for j in range(columns):
            x, y = local[0, i, j], local[1, i, j]
            for p in range(len(common)):
                x -= common[p] * basis[p, 0, i, j]
                y -= common[p] * basis[p, 1, i, j]
            out[i, j] = sure[0, i, j] * x * x + 2 * sure[1, i, j] * x * y + sure[2, i, j] * y * y
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def normal_equations(basis, sure, said, weight):
    """The matrix and right side of weighted least squares: `said` (2, rows, columns) is `sure` times local motion."""
    count, _, rows, columns = basis.shape
    matrix, right = np.zeros((count, count)), np.zeros(count)
    for i in range(rows):
        for j in range(columns):
            w = weight[i, j]
            if w == 0:
                continue
            for p in range(count):
                x, y = w * basis[p, 0, i, j], w * basis[p, 1, i, j]
                right[p] += x * said[0, i, j] + y * said[1, i, j]
                a = x * sure[0, i, j] + y * sure[1, i, j]
                b = x * sure[1, i, j] + y * sure[2, i, j]
                for q in range(count):
                    matrix[p, q] += a * basis[q, 0, i, j] + b * basis[q, 1, i, j]
    return matrix, right
