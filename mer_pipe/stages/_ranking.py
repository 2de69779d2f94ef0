"""The T x T problems inside rank pooling: exact RankSVM and SVR from a Gram matrix of frames."""

from __future__ import annotations

import numpy as np


def approximate(frames: int) -> np.ndarray:
    """Coefficients of approximate rank pooling, alpha_t = sum_{j >= t} (2 j - T - 1) / j (Bilen et al., CVPR 2016)."""
    j = np.arange(1, frames + 1)
    return np.cumsum(((2 * j - frames - 1) / j)[::-1])[::-1]


def running_means(frames: int) -> np.ndarray:
    """(T, T) matrix that takes frames to the means of the first t frames, t = 1..T."""
    return np.tril(np.ones((frames, frames))) / np.arange(1, frames + 1)[:, None]


def svr(gram: np.ndarray, cost: float, epsilon: float) -> tuple[np.ndarray, float]:
    """Rank pooling by support vector regression of the time t on the running mean of the frames, scaled to unit length.

    Minimises 1/2 |d|^2 + C sum_t max(0, |t - <d, v_t>| - epsilon)^2 (no bias; Fernando et al., TPAMI 2017), with d = sum of
    b_t v_t. Semismooth Newton: on the set of frames outside the band, and with their signs, the optimum solves one linear
    system, (K + I/2C) b = t - epsilon sign; an exact line search on the convex, piecewise quadratic value makes the steps
    descend from anywhere, and they end once the set stays. The dual of the solution gives the gap.

    Parameters
    ----------
    gram : (T, T) inner products of the frames.

    Returns
    -------
    coefficients of the frames, (T,) float64; duality gap divided by max(1, primal value).
    """
    frames = len(gram)
    mean = running_means(frames)
    kernel = mean @ gram @ mean.T
    length = np.sqrt(np.diag(kernel))
    scale = np.divide(1.0, length, out=np.zeros(frames), where=length > 0)  # a black frame stays the zero vector
    kernel = kernel * np.outer(scale, scale)
    matrix = kernel + np.eye(frames) / (2 * cost)
    time = np.arange(1, frames + 1, dtype=np.float64)

    def gap(b: np.ndarray, residual: np.ndarray) -> float:
        loss = np.maximum(0, np.abs(residual) - epsilon)
        primal = 0.5 * b @ kernel @ b + cost * loss @ loss
        dual = time @ b - epsilon * np.abs(b).sum() - 0.5 * b @ matrix @ b
        return float((primal - dual) / max(1.0, primal))

    b, best, least = np.zeros(frames), np.zeros(frames), np.inf
    for _ in range(200):
        residual = time - kernel @ b
        now = gap(b, residual)
        if now < least:
            best, least = b, now
        if now <= 1e-14:
            break
        on, sign = np.abs(residual) > epsilon, np.sign(residual)
        target = np.zeros(frames)
        target[on] = np.linalg.solve(matrix[np.ix_(on, on)], (time - epsilon * sign)[on])
        step = target - b
        if not step.any():
            break
        part = _descent(b @ kernel @ step, step @ kernel @ step, residual, kernel @ step, cost, epsilon)
        if not part:
            break
        b = b + part * step
    return mean.T @ (scale * best), max(0.0, least)


def _descent(
    slope: float, curvature: float, residual: np.ndarray, change: np.ndarray, cost: float, epsilon: float
) -> float:
    """Where the SVR value is least along a step, in 0..1: the root of its increasing, piecewise linear derivative."""

    def derivative(at: float) -> float:
        r = residual - at * change
        return slope + at * curvature - 2 * cost * (np.sign(r) * np.maximum(0, np.abs(r) - epsilon)) @ change

    if derivative(1.0) <= 0:
        return 1.0
    moving = change != 0
    bends = np.concatenate([(residual - epsilon)[moving], (residual + epsilon)[moving]]) / np.tile(change[moving], 2)
    bends = np.concatenate([[0.0], np.sort(bends[(bends > 0) & (bends < 1)]), [1.0]])
    low, high = 0, len(bends) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if derivative(bends[middle]) < 0 else (low, middle)
    below, above = derivative(bends[low]), derivative(bends[high])
    if below >= 0:  # downhill no more, within rounding
        return float(bends[low])
    return float(bends[low] + (bends[high] - bends[low]) * below / (below - above))


def ranksvm(gram: np.ndarray, cost: float) -> tuple[np.ndarray, float]:
    """Rank pooling by the all-pairs RankSVM of MSMMT, Eq. 4.

    Minimises 1/2 |d|^2 + C 2/(T(T-1)) sum_{l > t} max(0, 1 - <d, v_l> + <d, v_t>), v_t the mean of the first t frames.
    Dual: max 1'a - 1/2 a'BKB'a over 0 <= a <= c, one variable a pair. Mehrotra's primal-dual interior point; since B is
    the incidence matrix of the complete graph, each step's system is (diagonal + B K B') and Woodbury turns it into a T
    x T system with a weighted graph Laplacian.

    Parameters
    ----------
    gram : (T, T) inner products of the frames.

    Returns
    -------
    coefficients of the frames, (T,) float64, which add up to 0; duality gap (the primal value is at most C).
    """
    from scipy.linalg.lapack import dpotrf, dpotrs

    from mer_pipe.stages import _pairs

    frames = len(gram)
    mean = running_means(frames)
    cap = cost * 2 / (frames * (frames - 1))
    # Pairs see differences only, so that the kernel may be centred; its root keeps the T x T system symmetric.
    centre = np.eye(frames) - 1 / frames
    kernel = centre @ (mean @ gram @ mean.T) @ centre
    spectrum, basis = np.linalg.eigh((kernel + kernel.T) / 2)
    root = basis * np.sqrt(np.maximum(spectrum, 0))
    kernel = root @ root.T

    def move(graph: np.ndarray, factor: np.ndarray, f: np.ndarray, for_low: np.ndarray, for_high: np.ndarray) -> tuple:
        right, at_frames = _pairs.right_side(a, cap, graph, f, for_low, for_high)
        shift = root @ dpotrs(factor, root.T @ at_frames)[0]
        return _pairs.step(a, low, high, cap, graph, right, shift, for_low, for_high)

    none = np.zeros(frames * (frames - 1) // 2)
    a = np.full(len(none), cap / 2)
    # Reduced gradient BKB'a - 1 = low - high, with low, high > 0 the multipliers of a >= 0 and a <= c.
    slope = -_pairs.right_side(a, cap, centre, kernel @ _pairs.ends(a, frames), none, none)[0]
    low = np.maximum(slope, 0) + 1.0
    high = low - slope
    best, least = np.zeros(frames), np.inf
    for _ in range(100):
        b = _pairs.ends(a, frames)
        f = kernel @ b
        hinge, total, mu = _pairs.measure(a, low, high, cap, f)
        gap = float(b @ f + cap * hinge - total)
        if gap < least:
            best, least = b, gap
        if gap <= 1e-11 * cost:
            break
        graph = _pairs.laplacian(a, low, high, cap, frames)
        factor, failed = dpotrf(np.eye(frames) + root.T @ graph @ root)
        if failed:
            break
        da, dlow, dhigh, p, q = move(graph, factor, f, none, none)
        after = ((low + q * dlow) @ (a + p * da) + (high + q * dhigh) @ (cap - a - p * da)) / (2 * len(a))
        aim = mu * (after / mu) ** 3
        da, dlow, dhigh, p, q = move(graph, factor, f, aim - dlow * da, aim + dhigh * da)
        p, q = min(1.0, 0.995 * p), min(1.0, 0.995 * q)
        a, low, high = a + p * da, low + q * dlow, high + q * dhigh
    return mean.T @ best, max(0.0, least)
