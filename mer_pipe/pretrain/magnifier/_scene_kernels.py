"""The numba kernels of the scenes: where a pixel of a moved picture comes from, and what lies there."""

from __future__ import annotations

import numba
import numpy as np

STEPS = 80
NEAR = 2e-3


# fastmath stays off: the pixels must not depend on how a loop was vectorised.
@numba.njit(error_model="numpy", cache=True)
def origins(field, margin, af, out):
    """For every pixel p the point x with x + af f(x) = p, by fixed point from the neighbour's answer.

    `field` (h + 2 margin, w + 2 margin, 2) float32, x then y, px: f, bilinear between its points and constant beyond them.
    `out` (h + 2, w + 2, 2) float32, x then y, with a border of one pixel. af |grad f| must be below 1.
    """
    rows, columns = field.shape[0], field.shape[1]
    for i in range(out.shape[0]):
        u, v = 0.0, 0.0
        if i > 0:
            u, v = out[i - 1, 0, 0] + 1.0, out[i - 1, 0, 1] - (i - 2.0)
        for j in range(out.shape[1]):
            for _ in range(STEPS):
                x, y = j - 1.0 + u + margin, i - 1.0 + v + margin
                x = min(max(x, 0.0), columns - 1.001)
                y = min(max(y, 0.0), rows - 1.001)
                x0, y0 = int(x), int(y)
                tx, ty = x - x0, y - y0
                fx = (1.0 - ty) * ((1.0 - tx) * field[y0, x0, 0] + tx * field[y0, x0 + 1, 0]) + ty * (
                    (1.0 - tx) * field[y0 + 1, x0, 0] + tx * field[y0 + 1, x0 + 1, 0]
                )
                fy = (1.0 - ty) * ((1.0 - tx) * field[y0, x0, 1] + tx * field[y0, x0 + 1, 1]) + ty * (
                    (1.0 - tx) * field[y0 + 1, x0, 1] + tx * field[y0 + 1, x0 + 1, 1]
                )
                du, dv = -af * fx - u, -af * fy - v
                u, v = u + du, v + dv
                if abs(du) < NEAR and abs(dv) < NEAR:
                    break
            out[i, j, 0] = j - 1.0 + u
            out[i, j, 1] = i - 1.0 + v


@numba.njit(error_model="numpy", cache=True)
def _weights(t):
    """Cubic B-spline weights of the four taps around a fraction t in 0..1."""
    s = 1.0 - t
    return (
        np.float32(s * s * s / 6.0),
        np.float32(2.0 / 3.0 - 0.5 * t * t * (2.0 - t)),
        np.float32(2.0 / 3.0 - 0.5 * s * s * (2.0 - s)),
        np.float32(t * t * t / 6.0),
    )


@numba.njit(error_model="numpy", cache=True)
def _mirrored(i, size):
    period = 2 * (size - 1)
    i = i % period
    return i if i < size else period - i


@numba.njit(error_model="numpy", cache=True)
def picture(spline, to_source, places, fine, out):
    """What a camera sees: the mean of `fine` x `fine` points of the continuous picture in each pixel.

    `spline` (rows, columns, 3) float32, cubic B-spline coefficients, mirrored beyond the border. `to_source` (2, 3)
    float64 from a place to a point of it. `places` (h + 2, w + 2, 2) from `origins`; within a pixel they are linear.
    `out` (h, w, 3) float32.
    """
    rows, columns = spline.shape[0], spline.shape[1]
    flat = spline.reshape(rows, 3 * columns)
    column = np.empty(12, np.float32)
    share = np.float32(1.0 / (fine * fine))
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            px, py = places[i + 1, j + 1, 0], places[i + 1, j + 1, 1]
            xx = 0.5 * (places[i + 1, j + 2, 0] - places[i + 1, j, 0])
            yx = 0.5 * (places[i + 1, j + 2, 1] - places[i + 1, j, 1])
            xy = 0.5 * (places[i + 2, j + 1, 0] - places[i, j + 1, 0])
            yy = 0.5 * (places[i + 2, j + 1, 1] - places[i, j + 1, 1])
            a = b = c = np.float32(0.0)
            for k in range(fine * fine):
                right, down = (k % fine + 0.5) / fine - 0.5, (k // fine + 0.5) / fine - 0.5
                x, y = px + xx * right + xy * down, py + yx * right + yy * down
                sx = to_source[0, 0] * x + to_source[0, 1] * y + to_source[0, 2]
                sy = to_source[1, 0] * x + to_source[1, 1] * y + to_source[1, 2]
                x0, y0 = int(np.floor(sx)), int(np.floor(sy))
                w0, w1, w2, w3 = _weights(sx - x0)
                v0, v1, v2, v3 = _weights(sy - y0)
                if x0 >= 1 and x0 < columns - 2 and y0 >= 1 and y0 < rows - 2:
                    first = 3 * (x0 - 1)
                    for n in range(12):
                        column[n] = (
                            v0 * flat[y0 - 1, first + n]
                            + v1 * flat[y0, first + n]
                            + v2 * flat[y0 + 1, first + n]
                            + v3 * flat[y0 + 2, first + n]
                        )
                else:
                    r0, r1 = _mirrored(y0 - 1, rows), _mirrored(y0, rows)
                    r2, r3 = _mirrored(y0 + 1, rows), _mirrored(y0 + 2, rows)
                    for n in range(12):
                        at = 3 * _mirrored(x0 - 1 + n // 3, columns) + n % 3
                        column[n] = v0 * flat[r0, at] + v1 * flat[r1, at] + v2 * flat[r2, at] + v3 * flat[r3, at]
                a += w0 * column[0] + w1 * column[3] + w2 * column[6] + w3 * column[9]
                b += w0 * column[1] + w1 * column[4] + w2 * column[7] + w3 * column[10]
                c += w0 * column[2] + w1 * column[5] + w2 * column[8] + w3 * column[11]
            out[i, j, 0], out[i, j, 1], out[i, j, 2] = a * share, b * share, c * share
