"""The motion that `mer` magnifies: fitted to all evidence, no more than that, and sharp where motion has an edge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mer_pipe.stages.magnify.motion import coarse, luma
from mer_pipe.stages.magnify.motion_edges import edged
from mer_pipe.stages.magnify.spline import LUMA

BLUR = 0.5
"""px. Frames are compared under this little blur: slopes of a sampled frame are right only below its highest frequency."""
SLOPE_DOUBT = 0.03
"""px. How far a slope is trusted: interpolation errs more where the frame is steeper."""
WIDE = 10.0
"""px. Window of the first fits."""
NARROW = 5.0, 8.0
"""px. Window of the last fits: 4.5 and 1.5 for each grey level of noise, within these."""
COARSE = 2.0
"""Averages are taken on a grid of which a window is at least that many steps wide."""
SCALES = 24.0, 12.0
"""px. Windows of the averages that a doubtful motion is drawn towards."""


@dataclass(frozen=True)
class Evidence:
    """What two frames say of the motion between them, linearised about a flow.

    A flow f leaves ``right f_u + down f_v + rest`` of the grey levels unexplained.

    Attributes
    ----------
    right, down : float32 (y, x), slopes in grey levels per px.
    rest : float32 (y, x), grey levels.
    weight : float32 (y, x), 0..1: less where slopes are steep or the frames disagree.
    variance : of the noise in what is left, grey levels squared.
    """

    right: np.ndarray
    down: np.ndarray
    rest: np.ndarray
    weight: np.ndarray
    variance: float

    @property
    def products(self) -> np.ndarray:
        """Weighted products of the slopes, float32 (y, x, 3): xx, yy, xy."""
        right, down = self.weight * self.right, self.weight * self.down
        return np.stack([right * self.right, down * self.down, right * self.down], axis=2)


def fine_motion(
    before: np.ndarray,
    after: np.ndarray,
    surface: np.ndarray,
    noise_floor: float = 0.2,
    edges: bool = True,
    quantum: float = 1.0,
) -> np.ndarray:
    """Motion that carries `before` onto `after`, float32 (y, x, 2) in px: ``after(x + f(x)) = before(x)``.

    DIS flow finds it, down to half the resolution (`motion.coarse`); weighted least squares take its bias away
    (`fitted`), thrice in windows of 10 px and twice in windows of 5 to 8 px, the wider the more noise there is; what noise
    could explain is drawn towards the motion of a wider surrounding, and at last towards rest (`steadied`); edges of
    motion, which the windows blur, are drawn anew (`motion_edges.edged`).

    Parameters
    ----------
    before, after : frames of equal brightness, float32 (y, x, c).
    surface : `spline.spline` of `after`, with its luma.
    noise_floor : see `steadied`; 0 turns that step off.
    edges : whether to draw edges anew.
    quantum : see `frames.quantum_of`.
    """
    import cv2

    few = {"finest": 1, "stride": 4, "descents": 12, "variations": 5, "smoothness": 60.0}  # the fits do the rest
    flow = coarse(luma(before), luma(after), **few, quantum=quantum)
    before = np.atleast_3d(cv2.GaussianBlur(before, (0, 0), BLUR))
    surface = cv2.GaussianBlur(surface, (0, 0), BLUR)
    evidence = evident(luma(before), surface, flow, quantum)
    flow = fitted(evidence, flow, WIDE, steps=3)
    window = float(np.clip(4.5 + 1.5 * np.sqrt(evidence.variance), *NARROW))
    evidence = evident(luma(before), surface, flow, quantum)
    flow = fitted(evidence, flow, window)
    if noise_floor > 0:
        flow = steadied(evidence, flow, noise_floor, window)
    return edged(flow, before, surface, evidence.variance) if edges else flow


def evident(before: np.ndarray, surface: np.ndarray, flow: np.ndarray, quantum: float = 1.0) -> Evidence:
    """The evidence about `flow`; `before` is the luma of the first frame, `surface` of the second, both under `BLUR`.

    The variance is that of the grey levels that the flow leaves unexplained (robust, from the median absolute residual,
    not below that of rounding two frames to `quantum`). The weight is ``variance / (variance + (SLOPE_DOUBT slope)^2)``,
    times Geman and McClure's for residuals beyond three standard deviations.
    """
    from mer_pipe.stages.magnify._warp_kernels import follow

    moved = follow(surface, flow, LUMA)
    residual = moved - before
    right, down = slopes(0.5 * (before + moved))
    deviation = scatter(residual)
    variance = deviation * deviation + quantum * quantum / 6.0 / (4.0 * np.pi * BLUR * BLUR)
    doubted = variance + SLOPE_DOUBT**2 * (right * right + down * down)
    weight = variance / doubted / (1.0 + residual * residual / (9.0 * doubted))
    rest = residual - right * flow[..., 0] - down * flow[..., 1]
    return Evidence(right, down, rest, weight, variance)


def scatter(residual: np.ndarray) -> float:
    """Standard deviation of (y, x) by the median absolute one, of every second pixel of both axes."""
    some = residual[::2, ::2]
    return 1.4826 * float(np.median(np.abs(some - np.median(some))))


def fitted(evidence: Evidence, flow: np.ndarray, window: float, steps: int = 2) -> np.ndarray:
    """`flow` after steps of least squares on what it leaves unexplained (Lucas & Kanade 1981, Gaussian window, px)."""
    slope = np.stack([evidence.right, evidence.down], axis=2)
    products = averaged(evidence.products, window)
    for _ in range(steps):
        left = evidence.weight * (evidence.right * flow[..., 0] + evidence.down * flow[..., 1] + evidence.rest)
        pull = averaged(slope * left[..., None], window)
        flow = flow - full(solved(products, pull, evidence.variance, window), flow)
    return flow


def solved(products: np.ndarray, pull: np.ndarray, variance: float, window: float) -> np.ndarray:
    """The motion (y, x, 2) whose normal equations are `products` and `pull`, held back where there is no texture."""
    stiff = np.float32(16.0 * variance / (window * window))
    xx, yy, xy = products[..., 0] + stiff, products[..., 1] + stiff, products[..., 2]
    x, y = pull[..., 0], pull[..., 1]
    return np.stack([yy * x - xy * y, xx * y - xy * x], axis=2) / (xx * yy - xy * xy)[..., None]


def steadied(evidence: Evidence, flow: np.ndarray, noise_floor: float, window: float) -> np.ndarray:
    """`flow` drawn to wider averages of itself where noise could explain the difference, and at last to rest.

    From rest to the average over 24 px, from there to that over 12 px, from there to the flow itself, each step d is
    taken ``max(0, 1 - (floor / explained)^2)`` of the way. "Explained" is the change of grey level that d predicts,
    squared, weighted and averaged over 1.5 windows; the floor is ``noise_floor`` times 4 / window^2 times the variance
    of the noise: what two parameters fitted to noise in a Gaussian window explain falls as 1 / window^2.
    """
    products = evidence.products
    xx, yy, xy = np.moveaxis(products, 2, 0)
    pull = np.stack([xx * flow[..., 0] + xy * flow[..., 1], xy * flow[..., 0] + yy * flow[..., 1]], axis=2)
    steady = np.zeros_like(flow)
    for wide in (*SCALES, None):
        if wide is None:
            step, reach = flow - steady, window
        else:
            mean = solved(averaged(products, wide), averaged(pull, wide), evidence.variance, wide)
            step, reach = full(mean, flow) - steady, wide
        u, v = step[..., 0], step[..., 1]
        explained = full(averaged(xx * u * u + 2.0 * xy * u * v + yy * v * v, 1.5 * reach), flow)
        floor = np.float32(noise_floor * 4.0 / reach**2 * evidence.variance)
        doubt = floor / np.maximum(explained, np.float32(1e-9))
        steady = steady + step * np.maximum(np.float32(1.0) - doubt * doubt, np.float32(0.0))[..., None]
    return steady


def slopes(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives to the right and down, grey levels per px, of a float32 frame, from five samples."""
    import cv2

    five, one = np.array([1.0, -8.0, 0.0, 8.0, -1.0], np.float32) / 12.0, np.ones(1, np.float32)
    return cv2.sepFilter2D(frame, cv2.CV_32F, five, one), cv2.sepFilter2D(frame, cv2.CV_32F, one, five)


def averaged(maps: np.ndarray, window: float) -> np.ndarray:
    """`maps` (y, x[, k]) under a Gaussian of `window` px, on a grid as much coarser as that allows (`COARSE`)."""
    import cv2

    shrink = max(1, int(window // COARSE))
    size = tuple(-(-n // shrink) for n in maps.shape[1::-1])
    return cv2.GaussianBlur(cv2.resize(maps, size, interpolation=cv2.INTER_AREA), (0, 0), window / shrink)


def full(maps: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Maps of `averaged` at the height and width of `like` again."""
    import cv2

    return cv2.resize(maps, like.shape[1::-1], interpolation=cv2.INTER_LINEAR)
