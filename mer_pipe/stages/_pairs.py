"""The sweeps over all pairs of frames inside RankSVM's interior point. Imports numba: import it lazily.

A pair of frames i < j has one place in arrays of all pairs, in the order of `numpy.triu_indices`. Its variable a lies
between 0 and `cap`; low and high are the multipliers of those bounds.
"""

from __future__ import annotations

import numpy as np

from mer_pipe.stages._kernel import kernel


@kernel
def ends(pairs, frames):
    """What a value a pair adds up to at each frame: with + at the later one, - at the earlier one. (T,) float64."""
    total = np.zeros(frames)
    p = 0
    for i in range(frames):
        for j in range(i + 1, frames):
            total[i] -= pairs[p]
            total[j] += pairs[p]
            p += 1
    return total


@kernel
def measure(a, low, high, cap, f):
    """At the products f of the frames with the image: the hinge loss, the sum of a, and the mean complementarity."""
    hinge = total = product = 0.0
    p = 0
    for i in range(len(f)):
        for j in range(i + 1, len(f)):
            hinge += max(0.0, 1 - f[j] + f[i])
            total += a[p]
            product += low[p] * a[p] + high[p] * (cap - a[p])
            p += 1
    return hinge, total, product / (2 * p)


@kernel
def laplacian(a, low, high, cap, frames):
    """The graph Laplacian whose edge weights are the inverse of the diagonal low / a + high / (cap - a)."""
    graph = np.zeros((frames, frames))
    p = 0
    for i in range(frames):
        for j in range(i + 1, frames):
            weight = 1 / (low[p] / a[p] + high[p] / (cap - a[p]))
            graph[i, j] = graph[j, i] = -weight
            graph[i, i] += weight
            graph[j, j] += weight
            p += 1
    return graph


@kernel
def right_side(a, cap, graph, f, for_low, for_high):
    """The right side of the step's system for low a = for_low and high (cap - a) = for_high, linearised; and what it adds
    up to at the frames, each pair times its edge weight."""
    right, total = np.empty(len(a)), np.zeros(len(f))
    p = 0
    for i in range(len(f)):
        for j in range(i + 1, len(f)):
            right[p] = 1 - f[j] + f[i] + for_low[p] / a[p] - for_high[p] / (cap - a[p])
            flow = -graph[i, j] * right[p]
            total[i] -= flow
            total[j] += flow
            p += 1
    return right, total


@kernel
def step(a, low, high, cap, graph, right, shift, for_low, for_high):
    """The step of a, low and high, and how far it may go: (da, dlow, dhigh), primal and dual reach.

    `shift` is what the step does to the products of the frames. The reach is the longest part of the step, at most 1 / 0.995
    of it, that leaves every bound kept.
    """
    da, dlow, dhigh = np.empty(len(a)), np.empty(len(a)), np.empty(len(a))
    primal = dual = 1 / 0.995
    p = 0
    for i in range(len(shift)):
        for j in range(i + 1, len(shift)):
            room = cap - a[p]
            d = -graph[i, j] * (right[p] - shift[j] + shift[i])
            da[p] = d
            dlow[p] = (for_low[p] - low[p] * (a[p] + d)) / a[p]
            dhigh[p] = (for_high[p] - high[p] * (room - d)) / room
            if d < 0:
                primal = min(primal, -a[p] / d)
            if d > 0:
                primal = min(primal, room / d)
            if dlow[p] < 0:
                dual = min(dual, -low[p] / dlow[p])
            if dhigh[p] < 0:
                dual = min(dual, -high[p] / dhigh[p])
            p += 1
    return da, dlow, dhigh, primal, dual
