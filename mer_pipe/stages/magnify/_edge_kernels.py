"""Compiled loops of `motion_edges`: what lies to both sides of each pixel, how well it explains the frames, and which wins."""

from __future__ import annotations

import numpy as np
from numba import njit

# Numba's cache looks at this file alone: change it as well whenever `_warp_kernels` changes.
from mer_pipe.stages.magnify._warp_kernels import lanes_at


@njit(cache=True, nogil=True, inline="always")
def _motion(flow, x, y):
    """u and v of the flow at a place, bilinear; the border continues."""
    height, width = flow.shape[0], flow.shape[1]
    x, y = min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)
    x0, y0 = int(x), int(y)
    x1, y1 = min(x0 + 1, width - 1), min(y0 + 1, height - 1)
    a, b = np.float32(x - x0), np.float32(y - y0)
    one = np.float32(1.0)
    u = (one - b) * ((one - a) * flow[y0, x0, 0] + a * flow[y0, x1, 0])
    v = (one - b) * ((one - a) * flow[y0, x0, 1] + a * flow[y0, x1, 1])
    u += b * ((one - a) * flow[y1, x0, 0] + a * flow[y1, x1, 0])
    v += b * ((one - a) * flow[y1, x0, 1] + a * flow[y1, x1, 1])
    return u, v


@njit(cache=True, nogil=True)
def sides(flow, across, reach):
    """The motions `reach` px to either side of each pixel, along its unit vector `across` (y, x, 2), px.

    Returns float32 (2, y, x, 2): first the motion of that side which moves more, then that of the other.
    """
    height, width = flow.shape[0], flow.shape[1]
    out = np.empty((2, height, width, 2), np.float32)
    for row in range(height):
        for column in range(width):
            x, y = reach * across[row, column, 0], reach * across[row, column, 1]
            u, v = _motion(flow, column + x, row + y)
            p, q = _motion(flow, column - x, row - y)
            front = 0 if u * u + v * v >= p * p + q * q else 1
            out[front, row, column, 0], out[front, row, column, 1] = u, v
            out[1 - front, row, column, 0], out[1 - front, row, column, 1] = p, q
    return out


@njit(cache=True, nogil=True)
def misfits(surface, before, candidates, asked, variance, most):
    """How badly each of some motions explains each pixel: float32 (y, x, k), in variances of the noise.

    Squared differences of grey level q, over the variance, count as ``q / (1 + q / most)``, summed over channels.

    Parameters
    ----------
    surface : `spline.spline` of the second frame.
    before : the first frame, float32 (y, x, c), grey levels.
    candidates : float32 (k, y, x, 2), px.
    asked : uint8 (y, x), 0 where nobody will ask: there the result is 0.
    variance : of the noise in a difference of the frames.
    most : what one difference can count at most.
    """
    height, width, channels = before.shape
    out = np.zeros((height, width, len(candidates)), np.float32)
    knots = surface.reshape(-1)
    low, right, bottom = np.float32(0.0), np.float32(width - 1), np.float32(height - 1)
    sure, least, one = np.float32(1.0 / variance), np.float32(1.0 / most), np.float32(1.0)
    for row in range(height):
        for column in range(width):
            for k in range(len(candidates) if asked[row, column] else 0):
                x = min(max(np.float32(column) + candidates[k, row, column, 0], low), right)
                y = min(max(np.float32(row) + candidates[k, row, column, 1], low), bottom)
                there = lanes_at(knots, width, x, y)
                total = low
                for channel in range(channels):
                    q = (there[channel] - before[row, column, channel]) ** 2 * sure
                    total += q / (one + q * least)
                out[row, column, k] = total
    return out


@njit(cache=True, nogil=True)
def decided(candidates, misfit, across, doubt, taps, prior, front):
    """The candidates mixed by their likelihoods, float32 (y, x, 2); the last one where there is no edge.

    Likelihoods are gathered along the edge, over the pixels nearest to places a few px apart: an edge is a line.

    Parameters
    ----------
    candidates : float32 (k, y, x, 2), px; the last is the flow as it is, of the others each second one is behind.
    misfit : float32 (y, x, k), as `misfits` returns it, averaged over a small window.
    across : unit vector across the edge, float32 (y, x, 2).
    doubt : how much of an edge there is, float32 (y, x), 0..1; where it is 0 nothing is computed.
    taps : float32 (n, 2): places along the edge, px, and what one variance of misfit there takes from the logarithm.
    prior, front : head start of the flow as it is, and of what is in front, in logarithms of likelihood.
    """
    count, height, width = candidates.shape[0], candidates.shape[1], candidates.shape[2]
    out = candidates[count - 1].copy()
    score = np.empty(count, np.float32)
    for row in range(height):
        for column in range(width):
            if doubt[row, column] <= 0.0:
                continue
            for k in range(count):
                score[k] = prior if k == count - 1 else front * (1 - k % 2)
            for n in range(len(taps)):
                x = int(np.floor(column - taps[n, 0] * across[row, column, 1] + 0.5))
                y = int(np.floor(row + taps[n, 0] * across[row, column, 0] + 0.5))
                x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
                for k in range(count):
                    score[k] -= taps[n, 1] * misfit[y, x, k]
            best, total, u, v = score.max(), np.float32(0.0), np.float32(0.0), np.float32(0.0)
            for k in range(count):
                likelihood = np.exp(score[k] - best)
                total += likelihood
                u += likelihood * candidates[k, row, column, 0]
                v += likelihood * candidates[k, row, column, 1]
            share = doubt[row, column]
            out[row, column, 0] += share * (u / total - out[row, column, 0])
            out[row, column, 1] += share * (v / total - out[row, column, 1])
    return out
