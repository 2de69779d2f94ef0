"""The numba kernels under the face search: a boosted LBP cascade over an image, and mean shift over its votes.

No fast-math, no transcendental functions: the same bytes on every machine.
"""

from __future__ import annotations

import functools
import xml.etree.ElementTree as ElementTree

import numpy as np
from numba import njit

WINDOW = 24


@functools.lru_cache(maxsize=1)
def frontal_face() -> tuple[np.ndarray, ...]:
    """The frontal face cascade that scikit-image ships (trained for OpenCV), as flat arrays for `scan`.

    Returns
    -------
    ends (stages,) int64: one past the last weak classifier of each stage. thresholds (stages,) float64.
    blocks (weak, 4) int64: x, y, width, height of the first of a feature's 3 x 3 blocks.
    subsets (weak, 8) uint32: bit set of the 256 LBP codes. leaves (weak, 2) float64: value inside the subset, outside.
    """
    import skimage.data

    root = ElementTree.parse(skimage.data.lbp_frontal_face_cascade_filename()).getroot()[0]
    rects = np.array([node.text.split() for node in root.iter("rect")], np.int64)
    ends, thresholds, blocks, subsets, leaves = [], [], [], [], []
    for stage in root.find("stages"):
        for weak in stage.find("weakClassifiers"):
            _, _, feature, *bits = (int(word) for word in weak.find("internalNodes").text.split())
            blocks.append(rects[feature])
            subsets.append([word & 0xFFFFFFFF for word in bits])
            leaves.append([float(word) for word in weak.find("leafValues").text.split()])
        ends.append(len(blocks))
        thresholds.append(float(stage.find("stageThreshold").text))
    return np.array(ends), np.array(thresholds), np.array(blocks), np.array(subsets, np.uint32), np.array(leaves)


def integral(gray: np.ndarray) -> np.ndarray:
    """(H + 1, W + 1) int32 sums of the pixels above and left of each corner of (H, W) uint8; up to 8 Mpx."""
    sums = np.zeros((gray.shape[0] + 1, gray.shape[1] + 1), np.int32)
    sums[1:, 1:] = gray.astype(np.int32).cumsum(0, dtype=np.int32).cumsum(1, dtype=np.int32)
    return sums


@njit(cache=True, nogil=True, error_model="numpy")
def area_average(gray, height, width):
    """(H, W) uint8 averaged over the cells of a coarser (height, width) grid, rounded to uint8."""
    out = np.empty((height, width), np.uint8)
    tall, wide = gray.shape[0] / height, gray.shape[1] / width
    strip = np.empty(gray.shape[1])
    for i in range(height):
        top, bottom = i * tall, min((i + 1) * tall, gray.shape[0])
        strip[:] = 0
        for y in range(int(top), int(np.ceil(bottom))):
            share = min(y + 1.0, bottom) - max(float(y), top)
            for x in range(strip.size):
                strip[x] += share * gray[y, x]
        for j in range(width):
            left, right = j * wide, min((j + 1) * wide, gray.shape[1])
            total = 0.0
            for x in range(int(left), int(np.ceil(right))):
                total += (min(x + 1.0, right) - max(float(x), left)) * strip[x]
            out[i, j] = np.uint8(total / ((bottom - top) * (right - left)) + 0.5)
    return out


@njit(cache=True, nogil=True)
def scan(sums, ends, thresholds, blocks, subsets, leaves):
    """Whether each 24 x 24 window of an image passes the cascade: (H - 23, W - 23) bool from its integral image."""
    found = np.zeros((sums.shape[0] - WINDOW, sums.shape[1] - WINDOW), np.bool_)
    for row in range(found.shape[0]):
        for column in range(found.shape[1]):
            weak = 0
            passed = True
            for stage in range(ends.size):
                total = 0.0
                while weak < ends[stage]:
                    w, h = blocks[weak, 2], blocks[weak, 3]
                    x, y = column + blocks[weak, 0], row + blocks[weak, 1]
                    code = _lbp(sums, x, y, w, h)
                    inside = (subsets[weak, code >> 5] >> np.uint32(code & 31)) & np.uint32(1)
                    total += leaves[weak, 0] if inside else leaves[weak, 1]
                    weak += 1
                if total < thresholds[stage] - 1e-5:
                    passed = False
                    break
            found[row, column] = passed
    return found


@njit(inline="always")
def _lbp(sums, x, y, w, h):
    """Multi-block LBP code of 3 x 3 blocks of w x h px: clockwise from the top left block, most significant bit first."""
    a0, a1, a2, a3 = sums[y, x], sums[y, x + w], sums[y, x + 2 * w], sums[y, x + 3 * w]
    y += h
    b0, b1, b2, b3 = sums[y, x], sums[y, x + w], sums[y, x + 2 * w], sums[y, x + 3 * w]
    y += h
    c0, c1, c2, c3 = sums[y, x], sums[y, x + w], sums[y, x + 2 * w], sums[y, x + 3 * w]
    y += h
    d0, d1, d2, d3 = sums[y, x], sums[y, x + w], sums[y, x + 2 * w], sums[y, x + 3 * w]
    centre = c2 - b2 - c1 + b1
    code = np.int64(b1 - a1 - b0 + a0 >= centre) << 7
    code |= np.int64(b2 - a2 - b1 + a1 >= centre) << 6
    code |= np.int64(b3 - a3 - b2 + a2 >= centre) << 5
    code |= np.int64(c3 - b3 - c2 + b2 >= centre) << 4
    code |= np.int64(d3 - c3 - d2 + c2 >= centre) << 3
    code |= np.int64(d2 - c2 - d1 + c1 >= centre) << 2
    code |= np.int64(d1 - c1 - d0 + c0 >= centre) << 1
    code |= np.int64(c1 - b1 - c0 + b0 >= centre)
    return code


@njit(cache=True, nogil=True, error_model="numpy")
def kinship(votes, seed, width, out):
    """How well each vote (x, y, dx, dy: eyes' midpoint and the vector between them) agrees with `seed`: 1 down to 0.

    Differences of position and of vector are measured in eye distances of the seed; at `width` the kernel is 1/4.
    """
    length2 = seed[2] * seed[2] + seed[3] * seed[3]
    for i in range(votes.shape[0]):
        d = 0.0
        for k in range(4):
            d += (votes[i, k] - seed[k]) ** 2
        out[i] = 1.0 / (1.0 + d / (width * width * length2)) ** 2


@njit(cache=True, nogil=True, error_model="numpy")
def support(votes, width):
    """Sum of the kinship of all votes with each vote: (n,) float64."""
    total = np.empty(votes.shape[0])
    near = np.empty(votes.shape[0])
    for i in range(votes.shape[0]):
        kinship(votes, votes[i], width, near)
        total[i] = near.sum()
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def mean_shift(votes, seed, width, rounds):
    """The weighted mean of the votes near `seed`, shifted `rounds` times: (4,) float64."""
    seed = seed.copy()
    near = np.empty(votes.shape[0])
    for _ in range(rounds):
        kinship(votes, seed, width, near)
        total = 0.0
        mean = np.zeros(4)
        for i in range(votes.shape[0]):
            total += near[i]
            for k in range(4):
                mean[k] += near[i] * votes[i, k]
        seed = mean / total
    return seed
