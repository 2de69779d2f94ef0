"""The native TV-L1 solver: numba kernels and the pyramid around them. Imports numba: import it lazily.

One flat float32 buffer holds everything a level needs as (height + 2, 12, stride): a row of all planes lies together,
so that the wavefront of `solve` stays in the second-level cache. Row 0 and the columns from `width` on are padding (at
least two columns: the first repeats the border of planes 2 and 3, the last is the 0 before column 0 of the next plane);
pixel (y, x) of plane k is at ((y + 1) * 12 + k) * stride + x. Planes:

    0, 1        u, v: the flow
    2, 3        the over-relaxed flow, 2 new - old
    4, 5, 6, 7  the dual variables: x and y of u, x and y of v
    8, 9        the gradient g of the warped target
    10, 11      1 / |g|^2 and r of the data term rho(u, v) = r + g . (u, v)
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numba import float32 as F
from numba import uint64 as N


def kernel(function):
    """Compile with numba; keep the machine code on disk where a place for it can be written."""
    options = {"nogil": True, "fastmath": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # numba found no writable cache folder; compiling anew gives the same code
        return numba.njit(**options)(function)


@kernel
def _dual(buffer, i, s, row, width, sigma, shrink):
    """p <- projection of (p + sigma grad ahead) / (1 + sigma huber) on |p| <= 1, along one row."""
    one = F(1)
    for x in range(width):
        j = i + N(x)
        a, b = buffer[j + N(2) * s], buffer[j + N(3) * s]
        ux = (buffer[j + N(4) * s] + sigma * (buffer[j + N(2) * s + N(1)] - a)) * shrink
        uy = (buffer[j + N(5) * s] + sigma * (buffer[j + N(2) * s + row] - a)) * shrink
        vx = (buffer[j + N(6) * s] + sigma * (buffer[j + N(3) * s + N(1)] - b)) * shrink
        vy = (buffer[j + N(7) * s] + sigma * (buffer[j + N(3) * s + row] - b)) * shrink
        m = one / math.sqrt(max(one, ux * ux + uy * uy))
        n = one / math.sqrt(max(one, vx * vx + vy * vy))
        buffer[j + N(4) * s], buffer[j + N(5) * s] = ux * m, uy * m
        buffer[j + N(6) * s], buffer[j + N(7) * s] = vx * n, vy * n


@kernel
def _primal(buffer, i, s, row, width, tau, cap):
    """u <- the minimiser of tau lambda |rho| around u + tau div p, and ahead <- 2 new - old, along one row."""
    two = F(2)
    for x in range(width):
        j = i + N(x)
        a, b = buffer[j], buffer[j + s]
        px, py, qx, qy = j + N(4) * s, j + N(5) * s, j + N(6) * s, j + N(7) * s
        u = a + tau * (buffer[px] - buffer[px - N(1)] + buffer[py] - buffer[py - row])
        v = b + tau * (buffer[qx] - buffer[qx - N(1)] + buffer[qy] - buffer[qy - row])
        gx, gy = buffer[j + N(8) * s], buffer[j + N(9) * s]
        t = max(-cap, min(cap, (buffer[j + N(11) * s] + gx * u + gy * v) * buffer[j + N(10) * s]))
        u -= t * gx
        v -= t * gy
        buffer[j], buffer[j + s] = u, v
        buffer[j + N(2) * s], buffer[j + N(3) * s] = two * u - a, two * v - b


@kernel
def _repeat_border(buffer, y, height, width, s, row):
    """Zero gradient of `ahead` across the border: the column and the row after the last repeat the last."""
    for plane in range(2, 4):
        j = N(y + 1) * row + N(plane) * s
        buffer[j + N(width)] = buffer[j + N(width - 1)]
        if y == height - 1:
            for x in range(width):
                buffer[j + row + N(x)] = buffer[j + N(x)]


@kernel
def solve(buffer, height, width, stride, iterations, tau, sigma, attachment, huber):
    """Run Chambolle-Pock iterations on min sum lambda |rho| + huber-TV(u) + huber-TV(v), in place.

    Iteration k may treat row y as soon as iteration k - 1 has left row y + 1, so that all iterations sweep the image
    together, one row apart. The result is that of one whole-image iteration after the other, to the bit.
    """
    s = N(stride)
    row = N(12) * s
    shrink = F(1) / (F(1) + sigma * huber)
    cap = tau * attachment
    for step in range(height + iterations - 1):
        for k in range(max(0, step - height + 1), min(iterations, step + 1)):
            y = step - k
            i = N(y + 1) * row
            _dual(buffer, i, s, row, width, sigma, shrink)
            _primal(buffer, i, s, row, width, tau, cap)
            _repeat_border(buffer, y, height, width, s, row)


@kernel
def linearise(buffer, source, target, height, width, stride, gain, bias):
    """Fill the data term around the present flow, and start the over-relaxed copy from it.

    `source` is (height, width); `target`, read as gain * target + bias, has one replicated pixel before and two after
    each axis. Value and gradient come from one Catmull-Rom patch. Where the flow points outside the image the data term
    is off.
    """
    s = N(stride)
    row = N(12) * s
    across = N(width + 3)
    half, one = F(0.5), F(1)
    last_x, last_y = F(width - 1), F(height - 1)
    for y in range(height):
        i = N(y + 1) * row
        for x in range(width):
            j = i + N(x)
            u, v = buffer[j], buffer[j + s]
            buffer[j + N(2) * s], buffer[j + N(3) * s] = u, v
            tx, ty = F(x) + u, F(y) + v
            inside = one if (tx >= F(0)) & (tx <= last_x) & (ty >= F(0)) & (ty <= last_y) else F(0)
            tx, ty = max(F(0), min(last_x, tx)), max(F(0), min(last_y, ty))
            ix, iy = np.int32(tx), np.int32(ty)
            a, b = tx - F(ix), ty - F(iy)
            # Catmull-Rom weights of the taps -1, 0, 1, 2 and their derivatives.
            x0 = half * a * (a * (F(2) - a) - one)
            x1 = half * (a * a * (F(3) * a - F(5)) + F(2))
            x2 = half * a * (a * (F(4) - F(3) * a) + one)
            x3 = half * a * a * (a - one)
            d0 = half * (a * (F(4) - F(3) * a) - one)
            d1 = half * a * (F(9) * a - F(10))
            d2 = half * (a * (F(8) - F(9) * a) + one)
            d3 = half * a * (F(3) * a - F(2))
            y0 = half * b * (b * (F(2) - b) - one)
            y1 = half * (b * b * (F(3) * b - F(5)) + F(2))
            y2 = half * b * (b * (F(4) - F(3) * b) + one)
            y3 = half * b * b * (b - one)
            e0 = half * (b * (F(4) - F(3) * b) - one)
            e1 = half * b * (F(9) * b - F(10))
            e2 = half * (b * (F(8) - F(9) * b) + one)
            e3 = half * b * (F(3) * b - F(2))
            o = N(iy) * across + N(ix)
            k = o + across
            m = k + across
            q = m + across
            g0, g1, g2, g3 = target[o], target[o + N(1)], target[o + N(2)], target[o + N(3)]
            h0, h1, h2, h3 = target[k], target[k + N(1)], target[k + N(2)], target[k + N(3)]
            m0, m1, m2, m3 = target[m], target[m + N(1)], target[m + N(2)], target[m + N(3)]
            q0, q1, q2, q3 = target[q], target[q + N(1)], target[q + N(2)], target[q + N(3)]
            r0 = x0 * g0 + x1 * g1 + x2 * g2 + x3 * g3
            r1 = x0 * h0 + x1 * h1 + x2 * h2 + x3 * h3
            r2 = x0 * m0 + x1 * m1 + x2 * m2 + x3 * m3
            r3 = x0 * q0 + x1 * q1 + x2 * q2 + x3 * q3
            gx = y0 * (d0 * g0 + d1 * g1 + d2 * g2 + d3 * g3) + y1 * (d0 * h0 + d1 * h1 + d2 * h2 + d3 * h3)
            gx += y2 * (d0 * m0 + d1 * m1 + d2 * m2 + d3 * m3) + y3 * (d0 * q0 + d1 * q1 + d2 * q2 + d3 * q3)
            gx *= gain * inside
            gy = (e0 * r0 + e1 * r1 + e2 * r2 + e3 * r3) * gain * inside
            value = (y0 * r0 + y1 * r1 + y2 * r2 + y3 * r3) * gain + bias
            buffer[j + N(8) * s], buffer[j + N(9) * s] = gx, gy
            buffer[j + N(10) * s] = one / (gx * gx + gy * gy + F(1e-6))
            buffer[j + N(11) * s] = (value - source[y * width + x]) * inside - gx * u - gy * v
    for y in range(height):
        _repeat_border(buffer, y, height, width, s, row)


@kernel
def light(buffer, source, height, width, stride, step, gain, bias, rounds):
    """Return (gain, bias) with source = gain * target + bias, refitted to the warped target that `linearise` left.

    Iteratively reweighted least squares (Geman-McClure weights) over every `step`-th pixel. Pixels on strong gradients
    count less, since there a wrong flow looks like a change of light. The variance of the grey levels is taken as one
    larger than it is, with gain 1: where there is no texture to tell a gain, only the bias is fitted.
    """
    s = N(stride)
    row = N(12) * s
    most = ((height + step - 1) // step) * ((width + step - 1) // step)
    target, wanted, trust = np.empty(most), np.empty(most), np.empty(most)
    count = 0
    for y in range(step // 2, height, step):
        for x in range(step // 2, width, step):
            j = N(y + 1) * row + N(x)
            u, v = np.float64(buffer[j]), np.float64(buffer[j + s])
            gx, gy = np.float64(buffer[j + N(8) * s]), np.float64(buffer[j + N(9) * s])
            rest = np.float64(buffer[j + N(11) * s])
            if gx == 0 and gy == 0 and rest == 0:  # outside the target, or nothing to learn
                continue
            wanted[count] = source[y * width + x]
            target[count] = (rest + gx * u + gy * v + wanted[count] - bias) / gain
            trust[count] = 1 / (1 + (gx * gx + gy * gy) / 16)
            count += 1
    if count < 16:
        return gain, bias
    for _ in range(rounds):
        error, total = 0.0, 0.0
        for k in range(count):
            error += trust[k] * abs(wanted[k] - gain * target[k] - bias)
            total += trust[k]
        scale = max(1.0, 2.5 * error / total)
        w = sx = sy = sxx = sxy = 0.0
        for k in range(count):
            r = (wanted[k] - gain * target[k] - bias) / scale
            q = 1 / (1 + r * r)
            q = trust[k] * q * q
            w += q
            sx += q * target[k]
            sy += q * wanted[k]
            sxx += q * target[k] * target[k]
            sxy += q * target[k] * wanted[k]
        sx, sy, sxx, sxy = sx / w, sy / w, sxx / w, sxy / w
        gain = min(1.5, max(1 / 1.5, (sxy - sx * sy + 1) / (sxx - sx * sx + 1)))
        bias = sy - gain * sx
    return gain, bias
