"""The numba kernel under crop: separable weights at every output pixel, one pass over a frame."""

from __future__ import annotations

import numpy as np
from numba import njit


def tap_weights(position: np.ndarray, cover: float) -> tuple[np.ndarray, np.ndarray]:
    """First tap (int64) and weights (..., taps) float32, summing to 1, of the cubic kernel widened by `cover` >= 1."""
    taps = 2 * int(np.ceil(2 * cover))
    first = np.floor(position).astype(np.int64) - taps // 2 + 1
    distance = np.abs(position[..., None] - (first[..., None] + np.arange(taps))) / cover
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    weights = np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
    return first, (weights / weights.sum(-1, keepdims=True)).astype(np.float32)


@njit(cache=True, nogil=True, error_model="numpy")
def resample(region, x0, y0, wx, wy, out):
    """Weighted sums of `region` (h, w, 3) uint8 at taps x0.., y0.. into `out` (size, size, 3) uint8, rounded."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            r = g = b = np.float32(0)
            for ty in range(wy.shape[2]):
                y = y0[i, j] + ty
                rr = rg = rb = np.float32(0)
                for tx in range(wx.shape[2]):
                    x = x0[i, j] + tx
                    w = wx[i, j, tx]
                    rr += w * np.float32(region[y, x, 0])
                    rg += w * np.float32(region[y, x, 1])
                    rb += w * np.float32(region[y, x, 2])
                w = wy[i, j, ty]
                r += w * rr
                g += w * rg
                b += w * rb
            out[i, j, 0] = np.uint8(min(max(r, np.float32(0)), np.float32(255)) + np.float32(0.5))
            out[i, j, 1] = np.uint8(min(max(g, np.float32(0)), np.float32(255)) + np.float32(0.5))
            out[i, j, 2] = np.uint8(min(max(b, np.float32(0)), np.float32(255)) + np.float32(0.5))
