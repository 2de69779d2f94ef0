"""The motion between two frames that flow-warp magnifies: dense, sub-pixel, and zero where only noise moves."""

from __future__ import annotations

import numpy as np

from mer_pipe.stages.magnify.frames import quantum_of

SMALLEST = 32  # px: DIS needs a few 8-px patches on its coarsest level


def motion(
    reference: np.ndarray, target: np.ndarray, noise_floor: float = 0.03, window: float = 6.0, finest: int = 0
) -> np.ndarray:
    """Motion that carries `reference` onto `target`, float32 (y, x, 2) in px: u (right), v (down).

    ``target(x + f(x)) = reference(x)``. Four steps: the reference is brought to the target's brightness
    (`illumination`); DIS flow (Kroeger et al., ECCV 2016) finds the motion, with 20 variational iterations and patches
    every 3 px; two steps of least squares take its bias away (`refined`); what noise could explain is held still
    (`steadied`).

    Parameters
    ----------
    reference, target : uint8, or float32 in 0..255, (y, x, 1) or (y, x, 3).
    noise_floor : see `steadied`; 0 turns that step off.
    window : Gaussian window of the last two steps, px.
    finest : pyramid level on which DIS ends: 0 full resolution, 1 half (in half the time, blunter at edges of motion).
    """
    from mer_pipe.stages.magnify.spline import spline

    before, after = matched(reference, target)
    quantum = quantum_of(reference, target)
    if np.array_equal(before, after):
        return np.zeros((*before.shape, 2), np.float32)
    flow = coarse(before, after, finest, quantum=quantum)
    surface = spline(after[..., None])
    flow = refined(flow, before, surface, window, quantum=quantum)
    return steadied(flow, before, surface, noise_floor, window, quantum) if noise_floor > 0 else flow


def matched(reference: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lumas of two frames, float32 (y, x), the reference's at the target's brightness (`illumination`)."""
    before, after = luma(reference), luma(target)
    gain, bias = illumination(before, after, quantum_of(reference, target))
    return np.clip(np.float32(gain) * before + np.float32(bias), 0, 255), after


def coarse(
    before: np.ndarray,
    after: np.ndarray,
    finest: int = 0,
    stride: int = 3,
    descents: int = 12,
    variations: int = 12,
    smoothness: float = 40.0,
    quantum: float = 1.0,
) -> np.ndarray:
    """DIS flow (Kroeger et al., ECCV 2016) between two lumas: float32 (y, x, 2) in px.

    Parameters
    ----------
    finest : pyramid level on which it ends.
    stride, descents : between patches of 8 px, and steps that each may take.
    variations, smoothness : iterations of the variational refinement, and the weight of its smoothness (usually 20;
        more is steadier on compressed video).
    quantum : see `frames.quantum_of`. DIS takes 8 bits: the contrast of finer frames is stretched to fill them.
    """
    import cv2

    if quantum < 1.0:
        low, high = min(before.min(), after.min()), max(before.max(), after.max())
        gain = np.float32(255.0) / max(high - low, np.float32(quantum))
        before, after = gain * (before - low), gain * (after - low)
    height, width = before.shape
    grow = ((0, max(0, SMALLEST - height)), (0, max(0, SMALLEST - width)))
    padded = [np.pad(np.rint(frame).astype(np.uint8), grow, mode="symmetric") for frame in (before, after)]
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    dis.setFinestScale(finest)
    dis.setPatchSize(8)
    dis.setPatchStride(stride)
    dis.setGradientDescentIterations(descents)
    dis.setVariationalRefinementIterations(variations)
    dis.setVariationalRefinementAlpha(smoothness)
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)  # DIS cuts the frame into one stripe a thread, so that its result depends on their number
        flow = dis.calc(padded[0], padded[1], None)[:height, :width]
    finally:
        cv2.setNumThreads(threads)
    return np.ascontiguousarray(flow)


def luma(frame: np.ndarray) -> np.ndarray:
    """Luma (ITU-R BT.601) of an RGB frame, or the one channel of a gray one: float32 (y, x) in grey levels."""
    if frame.shape[2] == 1:
        return frame[..., 0].astype(np.float32)
    red, green, blue = (frame[..., c].astype(np.float32) for c in range(3))
    return np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue


BLOCK = 4
"""px. Side of the blocks whose means are compared for the brightness of two frames: their noise is a quarter."""


def illumination(before: np.ndarray, after: np.ndarray, quantum: float = 1.0) -> tuple[float, float]:
    """Global gain and bias (grey levels) for which ``gain * before + bias`` matches `after` where nothing moves.

    Iteratively reweighted fit with Tukey's biweight on the means of blocks of 4 x 4 px; what moves is an outlier. The
    gain is the ratio of the standard deviations (reduced major axis), as both frames are noisy: least squares of one on
    the other would take noise for a loss of contrast. A frame without contrast gets gain 1; the gain stays within
    1/2 .. 2. `quantum`: see `frames.quantum_of`.
    """
    import cv2

    block = max(1, min(BLOCK, min(before.shape) // 16))
    rows, columns = (n // block for n in before.shape)
    x, y = (
        cv2.resize(frame[: rows * block, : columns * block], (columns, rows), interpolation=cv2.INTER_AREA)
        .ravel()
        .astype(np.float64)
        for frame in (before, after)
    )
    gain, bias = 1.0, float(np.median(y - x))
    for _ in range(8):
        residual = y - gain * x - bias
        scale = max(1.4826 * float(np.median(np.abs(residual))), 0.5 * quantum / block)
        weight = np.square(np.maximum(1.0 - np.square(residual / (4.685 * scale)), 0.0))
        total = weight.sum()
        if total == 0.0:
            break
        mean_x, mean_y = (weight @ x) / total, (weight @ y) / total
        spread_x, spread_y = weight @ np.square(x - mean_x), weight @ np.square(y - mean_y)
        if spread_x > quantum * quantum * total:  # a contrast of one grey level
            gain = float(np.clip(np.sqrt(spread_y / spread_x), 0.5, 2.0))
        bias = float(mean_y - gain * mean_x)
    return gain, bias


def refined(
    flow: np.ndarray, before: np.ndarray, surface: np.ndarray, window: float, steps: int = 2, quantum: float = 1.0
) -> np.ndarray:
    """`flow` after a few steps of least squares on what it leaves unexplained (Lucas & Kanade 1981, Gaussian window).

    DIS linearises with differences of neighbours, which underestimate slopes and so overestimate motion, by a tenth at
    0.2 px in noise. At the fixed point of these steps the residual is orthogonal to the slopes, whatever their scale.

    Parameters
    ----------
    flow : float32 (y, x, 2).
    before : luma of the reference, float32 (y, x).
    surface : `spline.spline` of the target's luma.
    window : sigma of the Gaussian window, px.
    quantum : see `frames.quantum_of`; finer frames show motion on less texture.
    """
    from mer_pipe.stages.magnify._warp_kernels import follow

    moved = follow(surface, flow)
    right, down = slopes(0.5 * (before + moved))
    stiff = np.float32(4.0)  # (grey levels per px)^2: no step where there is less texture than that
    xx, yy, xy = (blurred(p, window) for p in (right * right, down * down, right * down))
    if quantum < 1.0:  # finer frames: less texture will do with less noise; that 4 goes with 1/3, of rounding to 8 bits
        stiff = stiff * np.float32(min(1.0, 3.0 * _noise(moved - before, quantum))) + np.float32(1e-3) * (xx + yy)
    xx, yy = xx + stiff, yy + stiff
    scale = np.float32(0.7) / (xx * yy - xy * xy)  # slopes of a blurred frame are low: full steps would overshoot
    flow = flow.copy()
    for step in range(steps):
        residual = (moved if step == 0 else follow(surface, flow)) - before
        x, y = blurred(right * residual, window), blurred(down * residual, window)
        flow[..., 0] -= scale * (yy * x - xy * y)
        flow[..., 1] -= scale * (xx * y - xy * x)
    return flow


def steadied(
    flow: np.ndarray,
    before: np.ndarray,
    surface: np.ndarray,
    noise_floor: float,
    window: float,
    quantum: float = 1.0,
) -> np.ndarray:
    """`flow` shrunk by ``max(0, 1 - (noise_floor * variance / explained)^2)``, so that sensor noise does not move.

    `explained` is the change of grey level that the flow predicts, squared and averaged over a Gaussian of `window` px;
    `variance` is that of the grey levels that the flow leaves unexplained (robust, from the median absolute residual,
    not below that of rounding two frames). Flow fitted to white noise explains less than 0.03 of the noise variance
    nearly everywhere, while real motion of a tenth of a pixel on skin texture explains several times that. Parameters
    are those of `refined`.
    """
    from mer_pipe.stages.magnify._warp_kernels import follow

    moved = follow(surface, flow)
    variance = _noise(moved - before, quantum)
    right, down = slopes(0.5 * (before + moved))
    explained = blurred(np.square(right * flow[..., 0] + down * flow[..., 1]), window)
    doubt = np.float32(noise_floor * variance) / np.maximum(explained, np.float32(1e-9))
    return flow * np.maximum(np.float32(1.0) - doubt * doubt, np.float32(0.0))[..., None]


def _noise(residual: np.ndarray, quantum: float) -> float:
    """Variance of what is left of a difference of two frames, robust, and that of rounding both."""
    deviation = 1.4826 * float(np.median(np.abs(residual - np.median(residual))))
    return deviation * deviation + quantum * quantum / 6.0


def slopes(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives to the right and down, grey levels per px, of a float32 frame blurred by 0.8 px."""
    import cv2

    smooth = blurred(frame, 0.8)
    right = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
    return right, cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=1, scale=0.5)


def blurred(frame: np.ndarray, sigma: float) -> np.ndarray:
    """`frame` under a Gaussian of `sigma` px."""
    import cv2

    return cv2.GaussianBlur(frame, (0, 0), sigma)
