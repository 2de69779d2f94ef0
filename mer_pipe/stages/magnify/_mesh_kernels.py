"""Compiled loops of `mer`: magnified motion as a mesh of triangles, the nearer of two layers in front."""

from __future__ import annotations

import numpy as np
from numba import njit

# Numba's cache looks at this file alone: change it as well whenever `_warp_kernels` changes.
from mer_pipe.stages.magnify._warp_kernels import motion_of_result

FAR = 1e4
"""px. Where the frame's border is carried on to, so that what comes in from outside shows the border."""
MARGIN = 2
"""px. As far around what is torn or folded the fixed point is not trusted."""
BEHIND = 1e3
"""Squares that are turned over lie this much behind those that are stretched."""


@njit(cache=True, nogil=True)
def tears(flow):
    """By how much motion changes across each square of four neighbours, float32 (y + 1, x + 1), px.

    The largest change along a side of the square that row - 1, column - 1 begins, u's and v's added; border squares have
    a side outside the frame, where the border's motion continues. At AF times this over 1 a square is torn.
    """
    height, width = flow.shape[0], flow.shape[1]
    out = np.zeros((height + 1, width + 1), np.float32)
    for row in range(height):
        for column in range(1, width):
            change = abs(flow[row, column, 0] - flow[row, column - 1, 0])
            change += abs(flow[row, column, 1] - flow[row, column - 1, 1])
            out[row, column] = max(out[row, column], change)
            out[row + 1, column] = max(out[row + 1, column], change)
    for row in range(1, height):
        for column in range(width):
            change = abs(flow[row, column, 0] - flow[row - 1, column, 0])
            change += abs(flow[row, column, 1] - flow[row - 1, column, 1])
            out[row, column] = max(out[row, column], change)
            out[row, column + 1] = max(out[row, column + 1], change)
    return out


@njit(cache=True, nogil=True, inline="always")
def _place(index, size):
    """Coordinate of a column or row: -1 and `size` lie far outside."""
    if index < 0:
        return -FAR
    return size - 1.0 + FAR if index >= size else float(index)


@njit(cache=True, nogil=True, inline="always")
def _corners(flow, af, row, column, x, y, u, v):
    """Corners 0 1 / 2 3 of one square in the result, and their motion."""
    height, width = flow.shape[0], flow.shape[1]
    for i in range(4):
        r, c = row + i // 2, column + i % 2
        inner_r, inner_c = min(max(r, 0), height - 1), min(max(c, 0), width - 1)
        u[i], v[i] = flow[inner_r, inner_c, 0], flow[inner_r, inner_c, 1]
        x[i], y[i] = _place(c, width) + af * u[i], _place(r, height) + af * v[i]


@njit(cache=True, nogil=True, inline="always")
def _span(low, high, size):
    """First and last index between two coordinates, within a line of the result."""
    return int(np.ceil(max(0.0, low - 1e-6))), int(np.floor(min(size - 1.0, high + 1e-6)))


@njit(cache=True, nogil=True, inline="always")
def _box(x, y, width, height):
    """First and last column and row that four corners enclose, within the result."""
    left, right = _span(min(x[0], x[1], x[2], x[3]), max(x[0], x[1], x[2], x[3]), width)
    top, bottom = _span(min(y[0], y[1], y[2], y[3]), max(y[0], y[1], y[2], y[3]), height)
    return left, right, top, bottom


@njit(cache=True, nogil=True)
def _opened(flow, tear, af):
    """Where the mesh is to be drawn, bool (y, x), and how many such pixels lie above and left, int32 (y + 1, x + 1)."""
    height, width = flow.shape[0], flow.shape[1]
    open_ = np.zeros((height, width), np.bool_)
    x, y, u, v = np.empty(4), np.empty(4), np.empty(4), np.empty(4)
    counts = np.zeros((height + 1, width + 1), np.int32)
    for row in range(-1, height):
        for column in range(-1, width):
            if af * tear[row + 1, column + 1] > 1.0:
                _corners(flow, af, row, column, x, y, u, v)
                left, right, top, bottom = _box(x, y, width, height)
                open_[max(0, top - MARGIN) : bottom + 1 + MARGIN, max(0, left - MARGIN) : right + 1 + MARGIN] = True
    for row in range(height):
        line = 0
        for column in range(width):
            line += open_[row, column]
            counts[row + 1, column + 1] = counts[row, column + 1] + line
    return open_, counts


@njit(cache=True, nogil=True, inline="always")
def _triangle(out, open_, depth, z, x, y, u, v, first, second, third):
    """Draw one triangle on the open pixels: corners `x`, `y` in the result, their motion `u`, `v`; the nearer wins."""
    height, width = depth.shape
    x0, x1, x2, y0, y1, y2 = x[first], x[second], x[third], y[first], y[second], y[third]
    u0, u1, u2, v0, v1, v2 = u[first], u[second], u[third], v[first], v[second], v[third]
    area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    if abs(area) < 1e-9:
        return
    inverse = 1.0 / area
    ax, ay, bx, by = (y2 - y0) * inverse, (x0 - x2) * inverse, (y0 - y1) * inverse, (x1 - x0) * inverse
    left, right = _span(min(x0, x1, x2), max(x0, x1, x2), width)
    top, bottom = _span(min(y0, y1, y2), max(y0, y1, y2), height)
    for row in range(top, bottom + 1):
        for column in range(left, right + 1):
            if not open_[row, column] or z <= depth[row, column]:
                continue
            a, b = (column - x0) * ax + (row - y0) * ay, (column - x0) * bx + (row - y0) * by
            if a >= -1e-5 and b >= -1e-5 and a + b <= 1.00001:
                depth[row, column] = z
                out[row, column, 0] = u0 + a * (u1 - u0) + b * (u2 - u0)
                out[row, column, 1] = v0 + a * (v1 - v0) + b * (v2 - v0)


@njit(cache=True, nogil=True)
def _farthest(flow, part, af):
    """How many columns (0) or rows (1) a corner of a square moves at most, and two more."""
    most = np.float32(0.0)
    for row in range(flow.shape[0]):
        for column in range(flow.shape[1]):
            most = max(most, abs(flow[row, column, part]))
    return 2 + int(af * most)


@njit(cache=True, nogil=True)
def _draw(out, flow, tear, af, open_, counts):
    """Draw every square that comes to lie on an open pixel, as two triangles."""
    height, width = flow.shape[0], flow.shape[1]
    depth = np.full((height, width), -np.inf, np.float32)
    x, y, u, v = np.empty(4), np.empty(4), np.empty(4), np.empty(4)
    rows, columns = np.nonzero(open_)  # squares farther from these than anything moves lie elsewhere
    over, along = _farthest(flow, 0, af), _farthest(flow, 1, af)
    first_row, last_row = max(-1, rows.min() - along), min(height, rows.max() + along)
    first_column, last_column = max(-1, columns.min() - over), min(width, columns.max() + over)
    for row in range(first_row, last_row):
        for column in range(first_column, last_column):
            _corners(flow, af, row, column, x, y, u, v)
            left, right, top, bottom = _box(x, y, width, height)
            if right < left or bottom < top:
                continue
            above = counts[top, right + 1] - counts[top, left]
            if counts[bottom + 1, right + 1] - counts[bottom + 1, left] == above:
                continue
            stretch = af * tear[row + 1, column + 1]
            z = min(u[0] ** 2 + v[0] ** 2, u[1] ** 2 + v[1] ** 2, u[2] ** 2 + v[2] ** 2, u[3] ** 2 + v[3] ** 2)
            for half in range(2):
                first, second, third = (3, 2, 1) if half else (0, 1, 2)
                area = (x[second] - x[first]) * (y[third] - y[first]) - (x[third] - x[first]) * (y[second] - y[first])
                behind = -stretch - BEHIND if area < 0.0 else -stretch
                _triangle(out, open_, depth, behind if stretch > 1.0 else z, x, y, u, v, first, second, third)


@njit(cache=True, nogil=True)
def motion_in_front(flow, tear, af):
    """The motion f(x) of the point x that is seen at each pixel p of the magnified frame, x + af f(x) = p.

    Where nothing is torn or folded one x fits, and `motion_of_result` finds it. Elsewhere every square of four
    neighbours is carried along as two triangles. Where several come to lie on p, the one that moves most is in front:
    what moves covers what rests. A square that is stretched over more than its own side (the gap that opens behind an
    edge of motion) or turned over (behind an edge that closes) shows only where nothing else does, the less stretched
    before the more.

    Parameters
    ----------
    flow : float32 (y, x, 2), px.
    tear : `tears` of that flow.
    af : total displacement factor.

    Returns
    -------
    float32 (y, x, 2), px.
    """
    if af * tear.max() <= 1.0:
        return motion_of_result(flow, af, np.zeros(flow.shape[:2], np.bool_))
    open_, counts = _opened(flow, tear, af)
    out = motion_of_result(flow, af, open_)
    if counts[-1, -1] > 0:  # what is torn may have left the frame
        _draw(out, flow, tear, af, open_, counts)
    return out
