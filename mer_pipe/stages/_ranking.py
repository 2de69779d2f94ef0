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
        b = b + _descent(b @ kernel @ step, step @ kernel @ step, residual, kernel @ step, cost, epsilon) * step
    return mean.T @ (scale * best), max(0.0, least)


def _descent(
    slope: float, curvature: float, residual: np.ndarray, change: np.ndarray, cost: float, epsilon: float
) -> float:
    """Where the SVR value is least along a step, in (0, 1]: the root of its increasing derivative, by bisection."""

    def derivative(at: float) -> float:
        r = residual - at * change
        return slope + at * curvature - 2 * cost * (np.sign(r) * np.maximum(0, np.abs(r) - epsilon)) @ change

    low, high = 0.0, 1.0
    if derivative(high) <= 0:
        return high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if derivative(middle) < 0 else (low, middle)
    return high


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
    frames = len(gram)
    mean = running_means(frames)
    first, last = np.triu_indices(frames, 1)
    cap = cost * 2 / (frames * (frames - 1))
    # Pairs see differences only, so that the kernel may be centred; its root keeps the T x T system symmetric.
    centre = np.eye(frames) - 1 / frames
    kernel = centre @ (mean @ gram @ mean.T) @ centre
    spectrum, basis = np.linalg.eigh((kernel + kernel.T) / 2)
    root = basis * np.sqrt(np.maximum(spectrum, 0))
    kernel = root @ root.T

    def ends(pairs: np.ndarray) -> np.ndarray:
        return np.bincount(last, pairs, frames) - np.bincount(first, pairs, frames)

    def margins(b: np.ndarray) -> np.ndarray:
        f = kernel @ b
        return f[last] - f[first]

    pairs = len(first)
    a = np.full(pairs, cap / 2)
    # Reduced gradient BKB'a - 1 = low - high, with low, high > 0 the multipliers of a >= 0 and a <= c.
    slope = margins(ends(a)) - 1
    low = np.maximum(slope, 0) + 1.0
    high = low - slope
    best, least = ends(a), np.inf
    for _ in range(100):
        b = ends(a)
        f = margins(b)
        energy = 0.5 * b @ kernel @ b
        gap = float(2 * energy + cap * np.maximum(0, 1 - f).sum() - a.sum())
        if gap < least:
            best, least = b, gap
        if gap <= 1e-11 * cost:
            break
        room = cap - a
        diagonal = low / a + high / room
        inverse = 1 / diagonal
        laplacian = np.zeros((frames, frames))
        laplacian[first, last] = laplacian[last, first] = -inverse
        np.fill_diagonal(laplacian, -laplacian.sum(axis=1))
        system = np.linalg.cholesky(np.eye(frames) + root.T @ laplacian @ root)

        def direction(for_low: np.ndarray, for_high: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            # low a = for_low and high (c - a) = for_high, linearised; the gradient condition made exact.
            right = -(f - 1 - low + high) + (for_low - low * a) / a - (for_high - high * room) / room  # noqa: B023
            s = np.linalg.solve(system.T, np.linalg.solve(system, root.T @ ends(inverse * right)))  # noqa: B023
            shift = root @ s
            da = inverse * (right - (shift[last] - shift[first]))  # noqa: B023
            return da, (for_low - low * a - low * da) / a, (for_high - high * room + high * da) / room  # noqa: B023

        def reach(da: np.ndarray, dlow: np.ndarray, dhigh: np.ndarray) -> tuple[float, float]:
            return min(_reach(a, da), _reach(room, -da)), min(_reach(low, dlow), _reach(high, dhigh))  # noqa: B023

        mu = (low @ a + high @ room) / (2 * pairs)
        da, dlow, dhigh = direction(np.zeros(pairs), np.zeros(pairs))
        p, q = reach(da, dlow, dhigh)
        after = ((low + q * dlow) @ (a + p * da) + (high + q * dhigh) @ (room - p * da)) / (2 * pairs)
        aim = mu * (after / mu) ** 3
        da, dlow, dhigh = direction(aim - dlow * da, aim + dhigh * da)
        p, q = (min(1.0, 0.995 * r) for r in reach(da, dlow, dhigh))
        a, low, high = a + p * da, low + q * dlow, high + q * dhigh
    return mean.T @ best, max(0.0, least)


def _reach(x: np.ndarray, dx: np.ndarray) -> float:
    """The longest step along dx, at most 1 / 0.995, that keeps x >= 0."""
    falling = dx < 0
    return float(min((x[falling] / -dx[falling]).min(initial=np.inf), 1 / 0.995))
