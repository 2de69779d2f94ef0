"""Compiled loops of the flow-warp: inversion of the magnified displacement and cubic B-spline sampling."""

from __future__ import annotations

import math

import numpy as np
from numba import int64 as Z
from numba import njit
from numba import uint64 as N

STEPS = 24
CLOSE = 1e-3
LANES = 32


@njit(cache=True, nogil=True)
def _advance(s, live, af):
    """One step of every pixel. Returns how many have not settled; only those still better their misfit."""
    moving = 0
    for i in range(LANES):
        x, y, u, v = s[i], s[LANES + i], s[2 * LANES + i], s[3 * LANES + i]
        to_x, to_y = s[4 * LANES + i] - af * u, s[5 * LANES + i] - af * v
        misfit, best, last = abs(to_x - x) + abs(to_y - y), s[6 * LANES + i], s[10 * LANES + i]
        better = (misfit < best) & (live[i] != 0)
        s[6 * LANES + i] = misfit if better else best
        s[7 * LANES + i] = u if better else s[7 * LANES + i]
        s[8 * LANES + i] = v if better else s[8 * LANES + i]
        live[i] = 0 if better & (misfit < CLOSE) else live[i]
        moving += live[i]
        step = s[9 * LANES + i]
        damped = 0.5 * step
        damped = damped if damped > 0.125 else 0.125
        step = damped if misfit > 0.7 * last else step
        s[9 * LANES + i], s[10 * LANES + i] = step, misfit
        s[i], s[LANES + i] = x + step * (to_x - x), y + step * (to_y - y)
    return moving


@njit(cache=True, nogil=True)
def _displacement(s, flow, height, width):
    """Bilinear values of the flat flow (y, x, 2) at the positions; outside the frame the border continues."""
    right, bottom = width - 1.0, height - 1.0
    for i in range(LANES):
        x, y = s[i], s[LANES + i]
        x = x if x > 0.0 else 0.0
        x = x if x < right else right
        y = y if y > 0.0 else 0.0
        y = y if y < bottom else bottom
        x0, y0 = np.int32(x), np.int32(y)
        a, b = x - np.float64(x0), y - np.float64(y0)
        across, down = Z(2) if x0 < width - 1 else Z(0), Z(2 * width) if y0 < height - 1 else Z(0)
        at = 2 * (Z(y0) * width + Z(x0))
        p, q, r, t = N(at), N(at + across), N(at + down), N(at + across + down)
        s[2 * LANES + i] = (1 - b) * ((1 - a) * flow[p] + a * flow[q]) + b * ((1 - a) * flow[r] + a * flow[t])
        p, q, r, t = N(at + 1), N(at + across + 1), N(at + down + 1), N(at + across + down + 1)
        s[3 * LANES + i] = (1 - b) * ((1 - a) * flow[p] + a * flow[q]) + b * ((1 - a) * flow[r] + a * flow[t])


@njit(cache=True, nogil=True)
def positions_in_target(flow, af):
    """Where each pixel p of the magnified frame is sampled in the target: p - (af - 1) f(x), x + af f(x) = p.

    x is found by fixed-point steps from p. Where the magnified motion folds over itself the steps do not settle; they
    are then damped, and the position with the smallest misfit stands. Pixels go in runs of LANES, as vectors, through a
    scratch of constant layout: rows of LANES each, as named in `_advance`.
    """
    height, width = flow.shape[0], flow.shape[1]
    out = np.empty((height, width, 2), np.float32)
    flat = flow.reshape(-1)
    s, live = np.empty(11 * LANES), np.empty(LANES, np.int64)
    for row in range(height):
        for start in range(0, width, LANES):
            for i in range(LANES):  # beyond the end of the row the last pixel is repeated
                column = min(start + i, width - 1)
                u, v = float(flow[row, column, 0]), float(flow[row, column, 1])
                s[i], s[LANES + i], s[2 * LANES + i], s[3 * LANES + i] = column, row, u, v
                s[4 * LANES + i], s[5 * LANES + i], s[6 * LANES + i] = column, row, math.inf
                s[7 * LANES + i], s[8 * LANES + i], s[9 * LANES + i], s[10 * LANES + i] = u, v, 1.0, math.inf
                live[i] = 1
            for _ in range(STEPS):
                if _advance(s, live, af) == 0:
                    break
                _displacement(s, flat, height, width)
            for i in range(min(LANES, width - start)):
                out[row, start + i, 0] = start + i - (af - 1.0) * s[7 * LANES + i]
                out[row, start + i, 1] = row - (af - 1.0) * s[8 * LANES + i]
    return out


@njit(cache=True, nogil=True, inline="always")
def _line(spline, channel, y, x, w0, w1, w2, w3):
    return (
        w0 * spline[channel, y, x]
        + w1 * spline[channel, y, x + 1]
        + w2 * spline[channel, y, x + 2]
        + w3 * spline[channel, y, x + 3]
    )


@njit(cache=True, nogil=True, inline="always")
def _weights(t):
    """The four values of the cubic B-spline around a position that is `t` past its second knot."""
    s = np.float32(1.0) - t
    sixth, two_thirds, half, two = np.float32(1 / 6), np.float32(2 / 3), np.float32(0.5), np.float32(2.0)
    inner = two_thirds - half * t * t * (two - t), two_thirds - half * s * s * (two - s)
    return s * s * s * sixth, inner[0], inner[1], t * t * t * sixth


@njit(cache=True, nogil=True, inline="always")
def _value(spline, channel, y, x, a, b):
    a0, a1, a2, a3 = a
    return (
        b[0] * _line(spline, channel, y, x, a0, a1, a2, a3)
        + b[1] * _line(spline, channel, y + 1, x, a0, a1, a2, a3)
        + b[2] * _line(spline, channel, y + 2, x, a0, a1, a2, a3)
        + b[3] * _line(spline, channel, y + 3, x, a0, a1, a2, a3)
    )


@njit(cache=True, nogil=True)
def sample(spline, image, positions, half):
    """`image` (y, x, c) at `positions` (y, x, 2), from its cubic B-spline, in the image's type.

    `half` is `levels.rounding_half` of that type: what is written to uint8 is truncated.
    `spline` holds the coefficients, float32 (c, y + 3, x + 3): one mirrored sample before and two after each line. A
    position on a pixel returns that pixel's value as it is. Positions outside the frame take its border.
    """
    height, width, channels = image.shape
    rows, columns = positions.shape[0], positions.shape[1]
    out = np.empty((rows, columns, channels), image.dtype)
    low, high = np.float32(0.0), np.float32(255.0)
    right, bottom = np.float32(width - 1), np.float32(height - 1)
    for row in range(rows):
        for column in range(columns):
            x = min(max(positions[row, column, 0], low), right)
            y = min(max(positions[row, column, 1], low), bottom)
            x0, y0 = int(x), int(y)
            tx, ty = np.float32(x - np.float32(x0)), np.float32(y - np.float32(y0))
            if tx == low and ty == low:
                for channel in range(channels):
                    out[row, column, channel] = image[y0, x0, channel]
                continue
            a, b = _weights(tx), _weights(ty)
            for channel in range(channels):
                value = _value(spline, channel, y0, x0, a, b)
                out[row, column, channel] = min(max(value + half, low), high)
    return out


@njit(cache=True, nogil=True)
def follow(spline, flow):
    """Grey levels float32 (y, x) at x + flow(x), from the spline (1, y + 3, x + 3) that `sample` describes."""
    height, width = flow.shape[0], flow.shape[1]
    out = np.empty((height, width), np.float32)
    low, right, bottom = np.float32(0.0), np.float32(width - 1), np.float32(height - 1)
    for row in range(height):
        for column in range(width):
            x = min(max(np.float32(column) + flow[row, column, 0], low), right)
            y = min(max(np.float32(row) + flow[row, column, 1], low), bottom)
            x0, y0 = int(x), int(y)
            a, b = _weights(np.float32(x - np.float32(x0))), _weights(np.float32(y - np.float32(y0)))
            out[row, column] = _value(spline, 0, y0, x0, a, b)
    return out
