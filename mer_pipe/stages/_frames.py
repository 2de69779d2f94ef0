"""The two sweeps over the frames in rank pooling: inner products, and a weighted sum. Imports numba: import it lazily."""

from __future__ import annotations

import numpy as np
from numba import int32 as I

from mer_pipe.stages._kernel import kernel

BLOCK = 4096  # columns a block: as many products of two pixels, at most 255**2 each, add up to less than 2**31


@kernel
def _tile(w, x, y, z, p, q, r, s):
    """Inner products of four rows of pixels with four others, as sixteen sums that stay in registers."""
    wp = wq = wr = ws = xp = xq = xr = xs = yp = yq = yr = ys = zp = zq = zr = zs = I(0)
    for k in range(len(w)):
        a, b, c, d = I(w[k]), I(x[k]), I(y[k]), I(z[k])
        e, f, g, h = I(p[k]), I(q[k]), I(r[k]), I(s[k])
        wp, wq, wr, ws = I(wp + I(a * e)), I(wq + I(a * f)), I(wr + I(a * g)), I(ws + I(a * h))
        xp, xq, xr, xs = I(xp + I(b * e)), I(xq + I(b * f)), I(xr + I(b * g)), I(xs + I(b * h))
        yp, yq, yr, ys = I(yp + I(c * e)), I(yq + I(c * f)), I(yr + I(c * g)), I(ys + I(c * h))
        zp, zq, zr, zs = I(zp + I(d * e)), I(zq + I(d * f)), I(zr + I(d * g)), I(zs + I(d * h))
    return (wp, wq, wr, ws), (xp, xq, xr, xs), (yp, yq, yr, ys), (zp, zq, zr, zs)


@kernel
def gram_of_pixels(flat):
    """Inner products of the rows of a (T, n) uint8 array: (T, T) float64, exact (integers)."""
    frames, size = flat.shape
    last = frames - 1
    total = np.zeros((frames + 3, frames + 3))  # the last tiles repeat the last frame, and what they find is not read
    for start in range(0, size, BLOCK):
        x = flat[:, start : start + BLOCK]
        for i in range(0, frames, 4):
            i1, i2, i3 = min(i + 1, last), min(i + 2, last), min(i + 3, last)
            for j in range(0, i + 1, 4):
                j1, j2, j3 = min(j + 1, last), min(j + 2, last), min(j + 3, last)
                tile = _tile(x[i], x[i1], x[i2], x[i3], x[j], x[j1], x[j2], x[j3])
                for p in range(4):
                    for q in range(4):
                        total[i + p, j + q] += tile[p][q]
    for i in range(frames):
        for j in range(i):
            total[j, i] = total[i, j]
    return total[:frames, :frames].copy()


@kernel
def _dot(x, y):
    total = 0.0
    for k in range(len(x)):
        total += x[k] * y[k]
    return total


@kernel
def gram_of_values(flat):
    """Inner products of the rows of a (T, n) float64 array: (T, T) float64, added in an order that no thread changes."""
    frames, size = flat.shape
    total = np.zeros((frames, frames))
    for start in range(0, size, BLOCK):
        x = flat[:, start : start + BLOCK]
        for i in range(frames):
            for j in range(i + 1):
                total[i, j] += _dot(x[i], x[j])
                total[j, i] = total[i, j]
    return total


@kernel
def _add_weighted(row, weight, total):
    for k in range(len(row)):
        total[k] += weight * row[k]


@kernel
def weighted_sum(flat, weights):
    """The sum over t of weights[t] flat[t], a (T, n) uint8 or float64 array: (n,) float64."""
    frames, size = flat.shape
    total = np.zeros(size)
    for start in range(0, size, BLOCK):
        stop = min(start + BLOCK, size)
        for t in range(frames):
            _add_weighted(flat[t, start:stop], weights[t], total[start:stop])
    return total
