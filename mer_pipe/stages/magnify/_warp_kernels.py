"""Compiled loops of the flow-warp: inversion of the magnified displacement and cubic B-spline sampling."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

STEPS = 24
CLOSE = 1e-3


@njit(cache=True, nogil=True)
def _displacement(flow, x, y):
    """Bilinear value of `flow` (y, x, 2) at one position; outside the frame the border continues."""
    height, width = flow.shape[0], flow.shape[1]
    x = min(max(x, 0.0), width - 1.0)
    y = min(max(y, 0.0), height - 1.0)
    x0, y0 = int(x), int(y)
    x1, y1 = min(x0 + 1, width - 1), min(y0 + 1, height - 1)
    a, b = x - x0, y - y0
    u = (1 - b) * ((1 - a) * flow[y0, x0, 0] + a * flow[y0, x1, 0]) + b * (
        (1 - a) * flow[y1, x0, 0] + a * flow[y1, x1, 0]
    )
    v = (1 - b) * ((1 - a) * flow[y0, x0, 1] + a * flow[y0, x1, 1]) + b * (
        (1 - a) * flow[y1, x0, 1] + a * flow[y1, x1, 1]
    )
    return u, v


@njit(cache=True, nogil=True)
def positions_in_target(flow, af):
    """Where each pixel p of the magnified frame is sampled in the target: p - (af - 1) f(x), x + af f(x) = p.

    x is found by fixed-point steps from p. Where the magnified motion folds over itself the steps do not settle; they
    are then damped, and the position with the smallest misfit stands.
    """
    height, width = flow.shape[0], flow.shape[1]
    out = np.empty((height, width, 2), np.float32)
    for row in range(height):
        for column in range(width):
            u, v = float(flow[row, column, 0]), float(flow[row, column, 1])
            step, last, best = 1.0, math.inf, math.inf
            best_u, best_v = u, v
            x, y = float(column), float(row)
            for _ in range(STEPS):
                to_x, to_y = column - af * u, row - af * v
                misfit = abs(to_x - x) + abs(to_y - y)
                if misfit < best:
                    best, best_u, best_v = misfit, u, v
                    if misfit < CLOSE:
                        break
                if misfit > 0.7 * last:
                    step = max(0.5 * step, 0.125)
                last = misfit
                x += step * (to_x - x)
                y += step * (to_y - y)
                u, v = _displacement(flow, x, y)
            out[row, column, 0] = column - (af - 1.0) * best_u
            out[row, column, 1] = row - (af - 1.0) * best_v
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
def sample(spline, image, positions):
    """`image` (y, x, c) uint8 at `positions` (y, x, 2), from its cubic B-spline.

    `spline` holds the coefficients, float32 (c, y + 3, x + 3): one mirrored sample before and two after each line. A
    position on a pixel returns that pixel's value as it is. Positions outside the frame take its border.
    """
    height, width, channels = image.shape
    rows, columns = positions.shape[0], positions.shape[1]
    out = np.empty((rows, columns, channels), np.uint8)
    half, low, high = np.float32(0.5), np.float32(0.0), np.float32(255.0)
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
                out[row, column, channel] = np.uint8(min(max(value + half, low), high))
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
