"""Strain of a flow in one sweep: derivatives, and the norm of their symmetric part. Imports numba: import it lazily.

All take a flow (y, x, 2) in C order, calculate in its precision, and return (y, x) float32. Differences are taken before they
are weighted: a constant flow has no strain, to the last bit. Rows are read as flat [u, v, u, v, ...]: then, and where no
index can be negative, the compiler makes vectors of the loops.
"""

from __future__ import annotations

import math

import numpy as np

from mer_pipe.stages._kernel import kernel

BAND = 8


@kernel
def _central_row(out, left, right, above, below, across, down, half):
    for x in range(len(out)):
        ux, vx = across * (right[2 * x] - left[2 * x]), across * (right[2 * x + 1] - left[2 * x + 1])
        uy, vy = down * (below[2 * x] - above[2 * x]), down * (below[2 * x + 1] - above[2 * x + 1])
        out[x] = math.sqrt(ux * ux + vy * vy + half * (uy + vx) * (uy + vx))


@kernel
def central_strain(flow):
    """Strain by central differences; one-sided ones at the border, which is what point reflection gives there."""
    height, width, _ = flow.shape
    out = np.empty((height, width), np.float32)
    rows = flow.reshape(height, 2 * width)
    half = flow.dtype.type(0.5)
    for y in range(height):
        first, last = max(y - 1, 0), min(y + 1, height - 1)
        above, row, below = rows[first], rows[y], rows[last]
        down = half if last - first == 2 else half + half
        _central_row(out[y, 1:-1], row[:-4], row[4:], above[2:-2], below[2:-2], half, down, half)
        _central_row(
            out[y, :1], row[:2], row[2:4] if width > 1 else row[:2], above[:2], below[:2], half + half, down, half
        )
        if width > 1:
            _central_row(out[y, -1:], row[-4:-2], row[-2:], above[-2:], below[-2:], half + half, down, half)
    return out


@kernel
def _split(row, u, v):
    for x in range(len(u)):
        u[x], v[x] = row[2 * x], row[2 * x + 1]


@kernel
def _reflect_columns(row, margin, width):
    """Continue the middle of a row beyond both its ends by point reflection, step by step outwards."""
    first, last = margin, margin + width - 1
    for i in range(1, margin + 1):
        row[first - i] = row[first] + (row[first] - row[first + i] if width > 1 else 0)
        row[last + i] = row[last] + (row[last] - row[last - i] if width > 1 else 0)


@kernel
def _reflect_row(out, edge, inner):
    for x in range(len(out)):
        out[x] = edge[x] + (edge[x] - inner[x])


@kernel
def _continued(flow, margin):
    """The planes u and v with `margin` more pixels on each side: (2, y + 2 margin, x + 2 margin)."""
    height, width, _ = flow.shape
    rows = flow.reshape(height, 2 * width)
    planes = np.empty((2, height + 2 * margin, width + 2 * margin), flow.dtype)
    for y in range(height):
        u, v = planes[0, margin + y], planes[1, margin + y]
        _split(rows[y], u[margin : margin + width], v[margin : margin + width])
        _reflect_columns(u, margin, width)
        _reflect_columns(v, margin, width)
    first, last = margin, margin + height - 1
    for plane in planes:
        for i in range(1, margin + 1):
            _reflect_row(plane[first - i], plane[first], plane[first + i if height > 1 else first])
            _reflect_row(plane[last + i], plane[last], plane[last - i if height > 1 else first])
    return planes


@kernel
def _scaled(out, field, weight):
    for i in range(len(out)):
        out[i] = weight * field[i]


@kernel
def _add_sum(out, before, after, weight):
    for i in range(len(out)):
        out[i] += weight * (after[i] + before[i])


@kernel
def _add_difference(out, before, after, weight):
    for i in range(len(out)):
        out[i] += weight * (after[i] - before[i])


@kernel
def _even(out, field, at, step, taps):
    """Filter a flat field from `at` on with taps[k] at distances k step and -k step."""
    n = len(out)
    _scaled(out, field[at : at + n], taps[0])
    for k in range(1, len(taps)):
        i, j = at - k * step, at + k * step
        _add_sum(out, field[i : i + n], field[j : j + n], taps[k])


@kernel
def _odd(out, field, at, step, taps):
    """The same with taps[k] at k step and -taps[k] at -k step, added to `out`."""
    n = len(out)
    for k in range(1, len(taps)):
        i, j = at - k * step, at + k * step
        _add_difference(out, field[i : i + n], field[j : j + n], taps[k])


@kernel
def _norm(out, xx, yy, shear, half):
    for x in range(len(out)):
        out[x] = math.sqrt(xx[x] * xx[x] + yy[x] * yy[x] + half * shear[x] * shear[x])


@kernel
def gaussian_strain(flow, smooth, slope):
    """Strain by separable filters: `smooth` even and `slope` odd, given as their taps at 0, 1, ... margin.

    The image goes in bands of BAND rows, so that what one filter leaves for the next stays in the first-level cache.
    """
    height, width, _ = flow.shape
    margin = len(smooth) - 1
    stride = width + 2 * margin
    planes = _continued(flow, margin).reshape(2, -1)
    out = np.empty((height, width), np.float32)
    half = flow.dtype.type(0.5)
    # u and v smoothed and differentiated down the columns, with room at the ends for the filters along the rows.
    down = np.zeros((4, BAND * stride + 2 * margin), flow.dtype)
    across = np.empty((3, BAND * stride), flow.dtype)
    u, du, v, dv = down[0], down[1], down[2], down[3]
    for top in range(0, height, BAND):
        rows = min(BAND, height - top)
        n, at = rows * stride, (top + margin) * stride
        down[:] = 0
        across[0] = 0
        for c in range(2):
            _even(down[2 * c, margin : margin + n], planes[c], at, stride, smooth)
            _odd(down[2 * c + 1, margin : margin + n], planes[c], at, stride, slope)
        xx, yy, shear = across[0, :n], across[1, :n], across[2, :n]
        _odd(xx, u, margin, 1, slope)
        _even(yy, dv, margin, 1, smooth)
        _even(shear, du, margin, 1, smooth)
        _odd(shear, v, margin, 1, slope)
        for y in range(rows):
            i = y * stride + margin
            _norm(out[top + y], xx[i : i + width], yy[i : i + width], shear[i : i + width], half)
    return out
