"""Compiled loops of `mer`: magnified motion as a mesh of triangles, the nearer of two layers in front."""

from __future__ import annotations

import numpy as np
from numba import njit

# Numba's cache looks at this file alone: change it as well whenever `_warp_kernels` changes.
from mer_pipe.stages.magnify._warp_kernels import positions_in_target

FAR = 1e4
"""px. Where the frame's border is carried on to, so that what comes in from outside shows the border."""
MARGIN = 2
"""px. As far around what is torn or folded the fixed point is not trusted."""
BEHIND = 1e3
"""Squares that are turned over lie this much behind those that are stretched."""


@njit(cache=True, nogil=True, inline="always")
def _place(index, size):
    """Coordinate of a column or row: -1 and `size` lie far outside."""
    if index < 0:
        return -FAR
    return size - 1.0 + FAR if index >= size else float(index)


@njit(cache=True, nogil=True, inline="always")
def _square(flow, af, row, column, x, y, u, v):
    """Corners 0 1 / 2 3 of one square in the result, their flow, and over how many px it is stretched beyond its side."""
    height, width = flow.shape[0], flow.shape[1]
    for i in range(4):
        r, c = row + i // 2, column + i % 2
        inner_r, inner_c = min(max(r, 0), height - 1), min(max(c, 0), width - 1)
        u[i], v[i] = flow[inner_r, inner_c, 0], flow[inner_r, inner_c, 1]
        x[i], y[i] = _place(c, width) + af * u[i], _place(r, height) + af * v[i]
    across = max(abs(u[1] - u[0]) + abs(v[1] - v[0]), abs(u[3] - u[2]) + abs(v[3] - v[2]))
    down = max(abs(u[2] - u[0]) + abs(v[2] - v[0]), abs(u[3] - u[1]) + abs(v[3] - v[1]))
    return af * max(across, down)


@njit(cache=True, nogil=True, inline="always")
def _box(x, y, width, height):
    """First and last column and row that the corners enclose, within the result."""
    left, right = max(0.0, x.min() - 1e-6), min(width - 1.0, x.max() + 1e-6)
    top, bottom = max(0.0, y.min() - 1e-6), min(height - 1.0, y.max() + 1e-6)
    return int(np.ceil(left)), int(np.floor(right)), int(np.ceil(top)), int(np.floor(bottom))


@njit(cache=True, nogil=True)
def _triangle(out, open_, depth, z, excess, x, y, u, v):
    """Draw one triangle on the open pixels: corners `x`, `y` in the result, their flow `u`, `v`; the nearer wins."""
    height, width = depth.shape
    area = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])
    if abs(area) < 1e-9:
        return
    inverse = 1.0 / area
    ax, ay = (y[2] - y[0]) * inverse, (x[0] - x[2]) * inverse
    bx, by = (y[0] - y[1]) * inverse, (x[1] - x[0]) * inverse
    left, right, top, bottom = _box(x, y, width, height)
    for row in range(top, bottom + 1):
        for column in range(left, right + 1):
            if not open_[row, column] or z <= depth[row, column]:
                continue
            a = (column - x[0]) * ax + (row - y[0]) * ay
            b = (column - x[0]) * bx + (row - y[0]) * by
            if a >= -1e-5 and b >= -1e-5 and a + b <= 1.00001:
                depth[row, column] = z
                out[row, column, 0] = column - excess * (u[0] + a * (u[1] - u[0]) + b * (u[2] - u[0]))
                out[row, column, 1] = row - excess * (v[0] + a * (v[1] - v[0]) + b * (v[2] - v[0]))


@njit(cache=True, nogil=True)
def positions_in_front(flow, af):
    """Where each pixel p of the magnified frame is sampled in the target: p - (af - 1) f(x), x + af f(x) = p.

    Where nothing is torn or folded one x fits, and `positions_in_target` finds it. Elsewhere every square of four
    neighbours is carried along as two triangles. Where several come to lie on p, the one that moves most is in front:
    what moves covers what rests. A square that is stretched over more than its own side (the gap that opens behind an
    edge of motion) or turned over (behind an edge that closes) shows only where nothing else does, the less stretched
    before the more.

    Parameters
    ----------
    flow : float32 (y, x, 2), px.
    af : total displacement factor.

    Returns
    -------
    float32 (y, x, 2), px; outside the target where the frame's border moves in.
    """
    height, width = flow.shape[0], flow.shape[1]
    out = positions_in_target(flow, af)
    open_ = np.zeros((height, width), np.bool_)
    x, y, u, v = np.empty(4), np.empty(4), np.empty(4), np.empty(4)
    torn = False
    for row in range(-1, height):
        for column in range(-1, width):
            if _square(flow, af, row, column, x, y, u, v) > 1.0:
                torn = True
                left, right, top, bottom = _box(x, y, width, height)
                open_[max(0, top - MARGIN) : bottom + 1 + MARGIN, max(0, left - MARGIN) : right + 1 + MARGIN] = True
    if not torn:
        return out
    depth = np.full((height, width), -np.inf, np.float32)
    excess = af - 1.0
    tx, ty, tu, tv = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    for row in range(-1, height):
        for column in range(-1, width):
            stretch = _square(flow, af, row, column, x, y, u, v)
            left, right, top, bottom = _box(x, y, width, height)
            if not open_[top : bottom + 1, left : right + 1].any():
                continue
            z = np.inf
            for i in range(4):
                z = min(z, u[i] * u[i] + v[i] * v[i])
            for half in range(2):
                for i in range(3):
                    corner = 3 - i if half else i
                    tx[i], ty[i], tu[i], tv[i] = x[corner], y[corner], u[corner], v[corner]
                turned = (tx[1] - tx[0]) * (ty[2] - ty[0]) - (tx[2] - tx[0]) * (ty[1] - ty[0]) < 0.0
                behind = -stretch - BEHIND if turned else -stretch
                _triangle(out, open_, depth, behind if stretch > 1.0 else z, excess, tx, ty, tu, tv)
    return out
