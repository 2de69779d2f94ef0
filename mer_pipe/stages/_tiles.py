"""The transforms round Winograd's F(2 x 2, 3 x 3): Lavin and Gray, CVPR 2016. Imports numba: import it lazily.

Images are flat (y, x, channel) float32. Tiles are flat (tile, 16, channel): what the 4 x 4 pixels round each 2 x 2 of the
result become. The number of channels is a constant of the compiled code: only then can the compiler tell that nothing
overlaps, and make vectors of the loops.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import float32 as F
from numba import uint64 as N

from mer_pipe.stages._kernel import kernel


@lru_cache
def forth(channels: int, mirrored: bool = False):
    """Return to_tiles(image, height, width, first, last, tiles), for images of so many channels.

    It fills `tiles` with B' d B of the rows `first`..`last` of tiles; round the image there are zeros, or, if `mirrored`, the
    row and the column next to the outermost ones.
    """

    @kernel
    def to_tiles(image, height, width, first, last, tiles):
        across = width // 2
        one, two, three = N(channels), N(2 * channels), N(3 * channels)
        patch = np.empty(16 * channels, np.float32)
        for row in range(first, last):
            for column in range(across):
                y, x = 2 * row - 1, 2 * column - 1
                if y >= 0 and x >= 0 and y + 4 <= height and x + 4 <= width:
                    source, start, step = image, (y * width + x) * channels, width * channels
                else:
                    source, start, step = patch, 0, 4 * channels
                    patch[:] = 0
                    for p in range(16):
                        v, u = y + p // 4, x + p % 4
                        if mirrored:
                            v, u = min(abs(v), 2 * (height - 1) - v), min(abs(u), 2 * (width - 1) - u)
                        if 0 <= v < height and 0 <= u < width:
                            i = (v * width + u) * channels
                            patch[p * channels : (p + 1) * channels] = image[i : i + channels]
                a, b, c, d = N(start), N(start + step), N(start + 2 * step), N(start + 3 * step)
                at = N(((row - first) * across + column) * 16 * channels)
                for k in range(channels):
                    i = N(k)
                    p, q, r, s = source[a + i], source[b + i], source[c + i], source[d + i]
                    a0, b0, c0, d0 = p - r, q + r, r - q, q - s
                    i = N(k) + one
                    p, q, r, s = source[a + i], source[b + i], source[c + i], source[d + i]
                    a1, b1, c1, d1 = p - r, q + r, r - q, q - s
                    i = N(k) + two
                    p, q, r, s = source[a + i], source[b + i], source[c + i], source[d + i]
                    a2, b2, c2, d2 = p - r, q + r, r - q, q - s
                    i = N(k) + three
                    p, q, r, s = source[a + i], source[b + i], source[c + i], source[d + i]
                    a3, b3, c3, d3 = p - r, q + r, r - q, q - s
                    i = at + N(k)
                    tiles[i], tiles[i + one], tiles[i + two], tiles[i + three] = a0 - a2, a1 + a2, a2 - a1, a1 - a3
                    i += three + one
                    tiles[i], tiles[i + one], tiles[i + two], tiles[i + three] = b0 - b2, b1 + b2, b2 - b1, b1 - b3
                    i += three + one
                    tiles[i], tiles[i + one], tiles[i + two], tiles[i + three] = c0 - c2, c1 + c2, c2 - c1, c1 - c3
                    i += three + one
                    tiles[i], tiles[i + one], tiles[i + two], tiles[i + three] = d0 - d2, d1 + d2, d2 - d1, d1 - d3

    return to_tiles


@kernel
def _add(to, values):
    for k in range(len(to)):
        to[k] += values[k]


@kernel
def _cut(values):
    for k in range(len(values)):
        values[k] = max(F(0), values[k])


@lru_cache
def back(channels: int, added: bool, cut: bool = True):
    """Return from_tiles(tiles, height, width, first, last, shortcut, image), for images of so many channels.

    It fills the pixels under the rows `first`..`last` of tiles with A' m A, plus `shortcut` if `added`, cut below zero if
    `cut`.
    """

    @kernel
    def from_tiles(tiles, height, width, first, last, shortcut, image):
        across = width // 2
        one, four, eight, twelve = N(channels), N(4 * channels), N(8 * channels), N(12 * channels)
        for row in range(first, last):
            for column in range(across):
                # Views, and not sums of indices: the form in which the compiler finds that nothing overlaps.
                at, both = ((row - first) * across + column) * 16 * channels, 2 * channels
                i, j = (2 * row * width + 2 * column) * channels, ((2 * row + 1) * width + 2 * column) * channels
                m, upper, lower = tiles[at : at + 16 * channels], image[i : i + both], image[j : j + both]
                above, below = shortcut[i : i + both], shortcut[j : j + both]
                for k in range(channels):
                    x = N(k)
                    p, q, r, s = m[x], m[x + four], m[x + eight], m[x + twelve]
                    a0, b0 = p + q + r, q - r - s
                    x = N(k) + one
                    p, q, r, s = m[x], m[x + four], m[x + eight], m[x + twelve]
                    a1, b1 = p + q + r, q - r - s
                    x = N(k) + one + one
                    p, q, r, s = m[x], m[x + four], m[x + eight], m[x + twelve]
                    a2, b2 = p + q + r, q - r - s
                    x = N(k) + one + one + one
                    p, q, r, s = m[x], m[x + four], m[x + eight], m[x + twelve]
                    a3, b3 = p + q + r, q - r - s
                    x = N(k)
                    p, q, r, s = a0 + a1 + a2, a1 - a2 - a3, b0 + b1 + b2, b1 - b2 - b3
                    if added:
                        p, q, r, s = p + above[x], q + above[x + one], r + below[x], s + below[x + one]
                    if cut:
                        p, q, r, s = max(F(0), p), max(F(0), q), max(F(0), r), max(F(0), s)
                    upper[x], upper[x + one] = p, q
                    lower[x], lower[x + one] = r, s

    return from_tiles
