"""The numba kernels of the demo: bicubic sampling at real positions, in plain IEEE order of operations."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(error_model="numpy")
def _weights(t):
    """Catmull-Rom weights of the four taps around a fraction t in 0..1 (Keys 1981, a = -1/2)."""
    t2, t3 = t * t, t * t * t
    return (
        -0.5 * t + t2 - 0.5 * t3,
        1.0 - 2.5 * t2 + 1.5 * t3,
        0.5 * t + 2.0 * t2 - 1.5 * t3,
        -0.5 * t2 + 0.5 * t3,
    )


# fastmath stays off: fused multiply-adds would make the pixels depend on the processor.
@numba.njit(error_model="numpy")
def sample(picture, xs, ys, out):
    """Sample `picture` (y, x, channel) at columns `xs` and rows `ys` (float64, any shape (h, w)) into `out`.

    Positions beyond the border read the nearest border pixel.
    """
    rows, columns, channels = picture.shape
    for i in range(xs.shape[0]):
        for j in range(xs.shape[1]):
            x, y = xs[i, j], ys[i, j]
            x0, y0 = int(np.floor(x)), int(np.floor(y))
            wx, wy = _weights(x - x0), _weights(y - y0)
            for c in range(channels):
                total = 0.0
                for k in range(4):
                    row = min(max(y0 - 1 + k, 0), rows - 1)
                    line = 0.0
                    for m in range(4):
                        column = min(max(x0 - 1 + m, 0), columns - 1)
                        line += wx[m] * picture[row, column, c]
                    total += wy[k] * line
                out[i, j, c] = total


@numba.njit(error_model="numpy")
def render(base, margin, expression, strength, back, gain, out):
    """One frame: out(y) = gain * base(B (y - strength * expression(y))), with B the 2 x 3 matrix `back`.

    `base` (h + 2 margin, w + 2 margin, 3) float64; `expression` (h, w, 2) float64, x then y, px; `out` (h, w, 3)
    float64. The margin must cover the motion.
    """
    height, width = expression.shape[0], expression.shape[1]
    last_row, last_column = base.shape[0] - 3, base.shape[1] - 3
    for i in range(height):
        for j in range(width):
            px = j - strength * expression[i, j, 0]
            py = i - strength * expression[i, j, 1]
            x = back[0, 0] * px + back[0, 1] * py + back[0, 2] + margin
            y = back[1, 0] * px + back[1, 1] * py + back[1, 2] + margin
            x0, y0 = int(np.floor(x)), int(np.floor(y))
            wx, wy = _weights(x - x0), _weights(y - y0)
            x0, y0 = min(max(x0, 1), last_column), min(max(y0, 1), last_row)
            for c in range(3):
                total = 0.0
                for k in range(4):
                    row = base[y0 - 1 + k]
                    total += wy[k] * (
                        wx[0] * row[x0 - 1, c] + wx[1] * row[x0, c] + wx[2] * row[x0 + 1, c] + wx[3] * row[x0 + 2, c]
                    )
                out[i, j, c] = gain * total
