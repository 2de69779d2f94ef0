"""The numba kernels under crop: separable weights at every output pixel, then one pass over each frame.

No fast-math: sums run in the order written, so that every machine gives the same bytes.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_ZERO, _HALF, _TOP = np.float32(0), np.float32(0.5), np.float32(255)


@njit(cache=True, nogil=True, error_model="numpy")
def taps(across, down, start, cover, size):
    """Taps along one raw axis: where they start, (size, size) int64, and their weights, (size, size, n) float32.

    The raw coordinate of output pixel (i, j) is start + across * j + down * i. The weights are the Catmull-Rom kernel
    (Keys 1981, a = -1/2) widened by `cover` >= 1, normalised to sum 1.
    """
    n = 2 * int(np.ceil(2 * cover))
    first = np.empty((size, size), np.int64)
    weights = np.empty((size, size, n), np.float32)
    row = np.empty(n)
    for i in range(size):
        for j in range(size):
            position = start + across * j + down * i
            begin = int(np.floor(position)) - n // 2 + 1
            total = 0.0
            for k in range(n):
                d = abs(position - (begin + k)) / cover
                if d < 1:
                    row[k] = (1.5 * d - 2.5) * d * d + 1
                elif d < 2:
                    row[k] = ((-0.5 * d + 2.5) * d - 4) * d + 2
                else:
                    row[k] = 0.0
                total += row[k]
            for k in range(n):
                weights[i, j, k] = row[k] / total
            first[i, j] = begin
    return first, weights


@njit(cache=True, nogil=True, error_model="numpy")
def resample(region, x0, y0, wx, wy, out):
    """Weighted sums of `region` (h, w, 3) float32 at taps x0.., y0.. into `out` (size, size, 3) uint8, rounded."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            x, y = np.uint32(x0[i, j]), np.uint32(y0[i, j])
            r = g = b = _ZERO
            for v in range(wy.shape[2]):
                row = y + np.uint32(v)
                rr = rg = rb = _ZERO
                for u in range(wx.shape[2]):
                    column = x + np.uint32(u)
                    w = wx[i, j, u]
                    rr += w * region[row, column, 0]
                    rg += w * region[row, column, 1]
                    rb += w * region[row, column, 2]
                w = wy[i, j, v]
                r += w * rr
                g += w * rg
                b += w * rb
            out[i, j, 0] = np.uint8(min(max(r, _ZERO), _TOP) + _HALF)
            out[i, j, 1] = np.uint8(min(max(g, _ZERO), _TOP) + _HALF)
            out[i, j, 2] = np.uint8(min(max(b, _ZERO), _TOP) + _HALF)


@njit(cache=True, nogil=True, error_model="numpy")
def resample_plane(region, x0, y0, wx, wy, out):
    """`resample` of one channel, (h, w) float32 into (size, size) uint8: the same sums in the same order."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            x, y = np.uint32(x0[i, j]), np.uint32(y0[i, j])
            total = _ZERO
            for v in range(wy.shape[2]):
                row = y + np.uint32(v)
                line = _ZERO
                for u in range(wx.shape[2]):
                    line += wx[i, j, u] * region[row, x + np.uint32(u)]
                total += wy[i, j, v] * line
            out[i, j] = np.uint8(min(max(total, _ZERO), _TOP) + _HALF)
