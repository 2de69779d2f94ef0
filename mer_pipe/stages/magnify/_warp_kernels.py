"""Compiled loops of the flow-warp: inversion of the magnified displacement and cubic B-spline sampling."""

from __future__ import annotations

import math

import numpy as np
from numba import int64 as Z
from numba import njit
from numba import uint64 as N

# Numba's cache looks at this file alone: change it as well whenever `_taps` changes.
from mer_pipe.stages.magnify._taps import LANES, weighed

STEPS = 24
CLOSE = np.float32(1e-3)
STALLED, HALF, EIGHTH = np.float32(0.7), np.float32(0.5), np.float32(0.125)
FOLDED = np.float32(0.1)
"""Below this determinant of x + af f(x) a place is taken for folded, and steps there are not Newton's."""
RUN = 32


@njit(cache=True, nogil=True)
def _advance(s, live, af):
    """One step of every pixel. Returns how many have not settled; only those still better their misfit."""
    moving = 0
    one = np.float32(1.0)
    for i in range(RUN):
        x, y, u, v = s[i], s[RUN + i], s[2 * RUN + i], s[3 * RUN + i]
        left_x, left_y = s[4 * RUN + i] - af * u - x, s[5 * RUN + i] - af * v - y
        misfit, best, last = abs(left_x) + abs(left_y), s[6 * RUN + i], s[10 * RUN + i]
        better = (misfit < best) & (live[i] != 0)
        s[6 * RUN + i] = misfit if better else best
        s[7 * RUN + i] = u if better else s[7 * RUN + i]
        s[8 * RUN + i] = v if better else s[8 * RUN + i]
        live[i] = 0 if better & (misfit < CLOSE) else live[i]
        moving += live[i]
        step = s[9 * RUN + i]
        damped = HALF * step
        damped = damped if damped > EIGHTH else EIGHTH
        step = damped if misfit > STALLED * last else step
        s[9 * RUN + i], s[10 * RUN + i] = step, misfit
        xx, xy = one + af * s[11 * RUN + i], af * s[12 * RUN + i]
        yx, yy = af * s[13 * RUN + i], one + af * s[14 * RUN + i]
        area = xx * yy - xy * yx
        newton = (area > FOLDED) & (step == one)
        scale = one / (area if newton else one)
        go_x, go_y = scale * (yy * left_x - xy * left_y), scale * (xx * left_y - yx * left_x)
        s[i] = x + (go_x if newton else step * left_x)
        s[RUN + i] = y + (go_y if newton else step * left_y)
    return moving


@njit(cache=True, nogil=True)
def _displacement(s, flow, height, width):
    """Bilinear values of the flat flow (y, x, 2) at the positions, and their slopes; outside the border continues."""
    low, one = np.float32(0.0), np.float32(1.0)
    right, bottom = np.float32(width - 1), np.float32(height - 1)
    for i in range(RUN):
        x, y = s[i], s[RUN + i]
        x = x if x > low else low
        x = x if x < right else right
        y = y if y > low else low
        y = y if y < bottom else bottom
        x0, y0 = np.int32(x), np.int32(y)
        a, b = x - np.float32(x0), y - np.float32(y0)
        across, down = Z(2) if x0 < width - 1 else Z(0), Z(2 * width) if y0 < height - 1 else Z(0)
        at = 2 * (Z(y0) * width + Z(x0))
        for part in range(2):
            p, q = flow[N(at + part)], flow[N(at + across + part)]
            r, t = flow[N(at + down + part)], flow[N(at + across + down + part)]
            upper, lower = p + a * (q - p), r + a * (t - r)
            s[(2 + part) * RUN + i] = upper + b * (lower - upper)
            s[(11 + 2 * part) * RUN + i] = (one - b) * (q - p) + b * (t - r)
            s[(12 + 2 * part) * RUN + i] = lower - upper


@njit(cache=True, nogil=True)
def motion_of_result(flow, af, left_out):
    """The motion f(x) of the point x that the magnified motion brings to each pixel p, x + af f(x) = p.

    x is found by Newton's steps from p. Where the magnified motion folds over itself they do not settle; they then
    become damped fixed-point steps, and the motion with the smallest misfit stands. Pixels go in runs, as vectors,
    through a scratch of constant layout: rows of RUN each, as named in `_advance`.

    Parameters
    ----------
    flow : float32 (y, x, 2), px.
    af : total displacement factor.
    left_out : bool (y, x), pixels that need none: there f(p) stands.

    Returns
    -------
    float32 (y, x, 2), px.
    """
    height, width = flow.shape[0], flow.shape[1]
    out = np.empty((height, width, 2), np.float32)
    flat = flow.reshape(-1)
    s, live = np.zeros(15 * RUN, np.float32), np.empty(RUN, np.int32)
    factor = np.float32(af)
    for row in range(height):
        for start in range(0, width, RUN):
            for i in range(RUN):  # beyond the end of the row the last pixel is repeated
                column = min(start + i, width - 1)
                u, v = flow[row, column, 0], flow[row, column, 1]
                s[i], s[RUN + i], s[2 * RUN + i], s[3 * RUN + i] = column, row, u, v
                s[4 * RUN + i], s[5 * RUN + i], s[6 * RUN + i] = column, row, math.inf
                s[7 * RUN + i], s[8 * RUN + i], s[9 * RUN + i], s[10 * RUN + i] = u, v, 1.0, math.inf
                s[11 * RUN + i], s[12 * RUN + i], s[13 * RUN + i], s[14 * RUN + i] = 0.0, 0.0, 0.0, 0.0
                live[i] = 0 if left_out[row, column] else 1
            for _ in range(STEPS):
                if _advance(s, live, factor) == 0:
                    break
                _displacement(s, flat, height, width)
            for i in range(min(RUN, width - start)):
                out[row, start + i, 0], out[row, start + i, 1] = s[7 * RUN + i], s[8 * RUN + i]
    return out


@njit(cache=True, nogil=True)
def positions_in_target(flow, af):
    """Where each pixel p of the magnified frame is sampled in the target: p - (af - 1) f(x), float32 (y, x, 2).

    Parameters and f(x) are those of `motion_of_result`.
    """
    motion = motion_of_result(flow, af, np.zeros(flow.shape[:2], np.bool_))
    out = np.empty(flow.shape, np.float32)
    for row in range(flow.shape[0]):
        for column in range(flow.shape[1]):
            out[row, column, 0] = column - (af - 1.0) * motion[row, column, 0]
            out[row, column, 1] = row - (af - 1.0) * motion[row, column, 1]
    return out


@njit(cache=True, nogil=True, inline="always")
def _weights(t):
    """The four values of the cubic B-spline around a position that is `t` past its second knot."""
    s = np.float32(1.0) - t
    sixth, two_thirds, half, two = np.float32(1 / 6), np.float32(2 / 3), np.float32(0.5), np.float32(2.0)
    inner = two_thirds - half * t * t * (two - t), two_thirds - half * s * s * (two - s)
    return s * s * s * sixth, inner[0], inner[1], t * t * t * sixth


@njit(cache=True, nogil=True, inline="always")
def lanes_at(knots, width, x, y):
    """The four lanes of a surface of frames `width` wide at (x, y), which lies within the frame."""
    x0, y0 = np.int32(x), np.int32(y)
    stride = N(LANES) * (N(width) + N(3))
    across, down = _weights(np.float32(x - np.float32(x0))), _weights(np.float32(y - np.float32(y0)))
    return weighed(knots, N(y0) * stride + N(x0) * N(LANES), stride, across, down)


@njit(cache=True, nogil=True)
def sample(surface, image, positions, half):
    """`image` (y, x, c) at `positions` (y, x, 2), from its `spline.spline`, in the image's type.

    `half` is `levels.rounding_half` of that type: what is written to uint8 is truncated. A position on a pixel returns
    that pixel's value as it is. Positions outside the frame take its border.
    """
    height, width, channels = image.shape
    rows, columns = positions.shape[0], positions.shape[1]
    out = np.empty((rows, columns, channels), image.dtype)
    knots = surface.reshape(-1)
    low, high = np.float32(0.0), np.float32(255.0)
    right, bottom = np.float32(width - 1), np.float32(height - 1)
    for row in range(rows):
        for column in range(columns):
            x = min(max(positions[row, column, 0], low), right)
            y = min(max(positions[row, column, 1], low), bottom)
            if x == np.floor(x) and y == np.floor(y):
                out[row, column] = image[int(y), int(x)]
                continue
            lanes = lanes_at(knots, width, x, y)
            for channel in range(channels):
                out[row, column, channel] = min(max(lanes[channel] + half, low), high)
    return out


@njit(cache=True, nogil=True)
def follow(surface, flow, lane=0):
    """Grey levels float32 (y, x) at x + flow(x), from one lane of a `spline.spline`."""
    height, width = flow.shape[0], flow.shape[1]
    out = np.empty((height, width), np.float32)
    knots = surface.reshape(-1)
    low, right, bottom = np.float32(0.0), np.float32(width - 1), np.float32(height - 1)
    for row in range(height):
        for column in range(width):
            x = min(max(np.float32(column) + flow[row, column, 0], low), right)
            y = min(max(np.float32(row) + flow[row, column, 1], low), bottom)
            out[row, column] = lanes_at(knots, width, x, y)[lane]
    return out


@njit(cache=True, nogil=True)
def draw(out, after, before, motion, af, half):
    """Fill the magnified frame `out` (y, x, c): each pixel p from both frames, where its point x lay in each.

    The target's value at x + f(x) and the reference's at x are mixed by the share of the reference at x.

    Parameters
    ----------
    out : uint8 or float32.
    after, before : `spline.spline` of both frames, in the last lane of the reference's the share, 0..1 (`mer.with_share`).
    motion : f(x) at each pixel p = x + af f(x), float32 (y, x, 2), px.
    half : `levels.rounding_half` of `out`.
    """
    height, width, channels = out.shape
    knots_after, knots_before = after.reshape(-1), before.reshape(-1)
    low, high, one = np.float32(0.0), np.float32(255.0), np.float32(1.0)
    right, bottom = np.float32(width - 1), np.float32(height - 1)
    for row in range(height):
        for column in range(width):
            u, v = motion[row, column, 0], motion[row, column, 1]
            start_x, start_y = column - af * u, row - af * v
            x, y = np.float32(start_x + u), np.float32(start_y + v)
            now = lanes_at(knots_after, width, min(max(x, low), right), min(max(y, low), bottom))
            x, y = np.float32(start_x), np.float32(start_y)
            then = lanes_at(knots_before, width, min(max(x, low), right), min(max(y, low), bottom))
            share = min(max(then[LANES - 1], low), one)
            for channel in range(channels):
                value = now[channel] + share * (then[channel] - now[channel])
                out[row, column, channel] = min(max(value + half, low), high)
