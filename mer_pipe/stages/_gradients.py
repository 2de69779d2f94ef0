"""The numba kernel under the eye finder: gradients vote for what they point away from."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def gradient_votes(gray, left, top, right, bottom, reach):
    """Timm and Barth (2011): how well dark-to-bright gradients point away from each pixel of a rectangle.

    gray : (H, W) float64, smoothed. The score of a centre c is the sum over pixels p with 0 < |p - c| <= reach inside
    the image of |g| max(0, g.(p - c) / |g||p - c|)^2. Returns (bottom - top, right - left) float64.
    """
    score = np.zeros((bottom - top, right - left))
    reach = int(reach)
    for y in range(top, bottom):
        for x in range(left, right):
            total = 0.0
            for v in range(max(y - reach, 1), min(y + reach + 1, gray.shape[0] - 1)):
                for u in range(max(x - reach, 1), min(x + reach + 1, gray.shape[1] - 1)):
                    dx, dy = u - x, v - y
                    r2 = dx * dx + dy * dy
                    if r2 == 0 or r2 > reach * reach:
                        continue
                    gx = 0.5 * (gray[v, u + 1] - gray[v, u - 1])
                    gy = 0.5 * (gray[v + 1, u] - gray[v - 1, u])
                    dot = gx * dx + gy * dy
                    if dot > 0:
                        total += dot * dot / (r2 * np.sqrt(gx * gx + gy * gy))
            score[y - top, x - left] = total
    return score
