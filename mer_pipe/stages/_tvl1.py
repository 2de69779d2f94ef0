"""The native TV-L1 solver: numba kernels and the pyramid around them. Imports numba: import it lazily.

One flat float32 buffer holds everything a level needs as (height + 2, 12, stride): a row of all planes lies together,
so that the wavefront of `solve` stays in the second-level cache. Row 0 and the columns from `width` on are padding (at
least two columns: the first repeats the border of planes 2 and 3, the last is the 0 before column 0 of the next plane);
pixel (y, x) of plane k is at ((y + 1) * 12 + k) * stride + x. Planes:

    0, 1        u, v: the flow
    2, 3        the over-relaxed flow, 2 new - old
    4, 5, 6, 7  the dual variables: x and y of u, x and y of v
    8, 9        the gradient g of the warped target
    10, 11      1 / (|g|^2 + damping) and r of the data term rho(u, v) = r + g . (u, v)
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numba import float32 as F
from numba import uint64 as N

from mer_pipe.stages._kernel import kernel

NARROW = 560  # the stride for images of up to 558 columns


def stride_for(width: int) -> int:
    """The stride for images of that width: NARROW or, slower by half, what it takes."""
    return NARROW if width <= NARROW - 2 else -(-(width + 2) // 16) * 16


def _dual(buffer, i, s, width, sigma, shrink):
    """p <- projection of (p + sigma grad ahead) / (1 + sigma huber) on |p| <= 1, along one row."""
    row = N(12) * s
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
        buffer[j + N(4) * s] = ux * m
        buffer[j + N(5) * s] = uy * m
        buffer[j + N(6) * s] = vx * n
        buffer[j + N(7) * s] = vy * n


def _primal(buffer, i, s, width, tau, cap):
    """u <- the minimiser of tau lambda Huber(rho) around u + tau div p, and ahead <- 2 new - old, along one row."""
    row = N(12) * s
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
        buffer[j] = u
        buffer[j + s] = v
        buffer[j + N(2) * s] = two * u - a
        buffer[j + N(3) * s] = two * v - b


# Inlined where the stride is a constant, called where it is not: either way the compiler makes vectors of the loop.
_dual_inline, _primal_inline = (numba.njit(inline="always")(function) for function in (_dual, _primal))
_dual_call, _primal_call = kernel(_dual), kernel(_primal)


@kernel
def _repeat_border(buffer, y, height, width, s):
    """Zero gradient of `ahead` across the border: the column and the row after the last repeat the last."""
    row = N(12) * s
    for plane in range(2, 4):
        j = N(y + 1) * row + N(plane) * s
        buffer[j + N(width)] = buffer[j + N(width - 1)]
        if y == height - 1:
            for x in range(width):
                buffer[j + row + N(x)] = buffer[j + N(x)]


@kernel
def solve(buffer, height, width, stride, iterations, tau, sigma, attachment, huber):
    """Run Chambolle-Pock iterations on min sum lambda Huber(rho) + Huber-TV(u) + Huber-TV(v), in place.

    Iteration k may treat row y as soon as iteration k - 1 has left row y + 1, so that all iterations sweep the image
    together, one row apart. The result is that of one whole-image iteration after the other, to the bit.

    For NARROW the distances between planes are constants, so that the compiler drops its checks for overlap; and large
    enough not to make it fear that a store hides a load. Together they are worth a third of the time.
    """
    shrink = F(1) / (F(1) + sigma * huber)
    cap = tau * attachment
    for step in range(height + iterations - 1):
        for k in range(max(0, step - height + 1), min(iterations, step + 1)):
            y = step - k
            if stride == NARROW:
                i = N(y + 1) * N(12 * NARROW)
                _dual_inline(buffer, i, N(NARROW), width, sigma, shrink)
                _primal_inline(buffer, i, N(NARROW), width, tau, cap)
            else:
                i = N(y + 1) * N(12 * stride)
                _dual_call(buffer, i, N(stride), width, sigma, shrink)
                _primal_call(buffer, i, N(stride), width, tau, cap)
            _repeat_border(buffer, y, height, width, N(stride))


@kernel
def linearise(buffer, source, target, height, width, stride, gain, bias, damping):
    """Fill the data term around the present flow, and start the over-relaxed copy from it.

    `source` is (height, width); `target`, read as gain * target + bias, has one replicated pixel before and two after each
    axis. `damping` is tolerance / (tau lambda). Value and gradient come from one Catmull-Rom patch. Where the flow points
    outside the image the data term is off.

    A row goes in runs of 64 pixels through a scratch of constant layout, [what, pixel]: only the gathering of the
    patches is scalar then, and the compiler can tell that nothing else overlaps.
    """
    s = N(stride)
    row = N(12) * s
    scratch = np.zeros(28 * 64, np.float32)
    where = np.zeros(64, np.int64)
    for y in range(height):
        for start in range(0, width, 64):
            i = N(y + 1) * row + N(start)
            count = min(64, width - start)
            for x in range(count):
                u, v = buffer[i + N(x)], buffer[i + N(x) + s]
                buffer[i + N(x) + N(2) * s], buffer[i + N(x) + N(3) * s] = u, v
                scratch[x], scratch[64 + x] = u, v
            _corners(scratch, where, F(start), F(y), F(width - 1), F(height - 1), width + 3)
            _gather(scratch, where, target, N(width + 3))
            _patches(scratch, gain, bias)
            j = N(y) * N(width) + N(start)
            for x in range(count):
                inside = scratch[256 + x]
                gx, gy = scratch[1472 + x] * inside, scratch[1536 + x] * inside
                rest = (scratch[1600 + x] - source[j + N(x)]) * inside - gx * scratch[x] - gy * scratch[64 + x]
                k = i + N(x) + N(8) * s
                buffer[k], buffer[k + s] = gx, gy
                buffer[k + N(2) * s], buffer[k + N(3) * s] = F(1) / (gx * gx + gy * gy + damping), rest
        _repeat_border(buffer, y, height, width, s)


@kernel
def _corners(scratch, where, left, top, last_x, last_y, across):
    """From flows (0, 1): the first tap of each patch, the fractions of a pixel (2, 3), and inside or not (4)."""
    zero = F(0)
    for x in range(64):
        tx, ty = left + F(x) + scratch[x], top + scratch[64 + x]
        ok = (tx >= zero) & (tx <= last_x) & (ty >= zero) & (ty <= last_y)
        tx, ty = max(zero, min(last_x, tx)), max(zero, min(last_y, ty))
        ix, iy = np.int32(tx), np.int32(ty)
        where[x] = iy * np.int32(across) + ix
        scratch[128 + x], scratch[192 + x] = tx - F(ix), ty - F(iy)
        scratch[256 + x] = F(1) if ok else zero


@kernel
def _gather(scratch, where, target, across):
    """The 4 x 4 pixels of each patch, to 5..20."""
    for x in range(64):
        at = N(where[x])
        for r in range(4):
            for c in range(4):
                scratch[320 + 256 * r + 64 * c + x] = target[at + N(r) * across + N(c)]


@kernel
def _patches(scratch, gain, bias):
    """Gradient (23, 24) and value (25) of the patches at their fractions, in the light of the source."""
    half, one, two, three, four = F(0.5), F(1), F(2), F(3), F(4)
    for x in range(64):
        a, b = scratch[128 + x], scratch[192 + x]
        # Catmull-Rom weights of the taps -1, 0, 1, 2 and their derivatives.
        x0, x1 = half * a * (a * (two - a) - one), half * (a * a * (three * a - F(5)) + two)
        x2, x3 = half * a * (a * (four - three * a) + one), half * a * a * (a - one)
        d0, d1 = half * (a * (four - three * a) - one), half * a * (F(9) * a - F(10))
        d2, d3 = half * (a * (F(8) - F(9) * a) + one), half * a * (three * a - two)
        y0, y1 = half * b * (b * (two - b) - one), half * (b * b * (three * b - F(5)) + two)
        y2, y3 = half * b * (b * (four - three * b) + one), half * b * b * (b - one)
        e0, e1 = half * (b * (four - three * b) - one), half * b * (F(9) * b - F(10))
        e2, e3 = half * (b * (F(8) - F(9) * b) + one), half * b * (three * b - two)
        value, gx, gy = F(0), F(0), F(0)
        for r, (w, e) in enumerate(((y0, e0), (y1, e1), (y2, e2), (y3, e3))):
            k = 320 + 256 * r + x
            t0, t1, t2, t3 = scratch[k], scratch[k + 64], scratch[k + 128], scratch[k + 192]
            across = x0 * t0 + x1 * t1 + x2 * t2 + x3 * t3
            value += w * across
            gy += e * across
            gx += w * (d0 * t0 + d1 * t1 + d2 * t2 + d3 * t3)
        scratch[1472 + x], scratch[1536 + x] = gx * gain, gy * gain
        scratch[1600 + x] = value * gain + bias


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
