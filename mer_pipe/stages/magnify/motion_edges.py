"""Edges of motion, drawn anew: windows blur them, and a magnified blur is a smear."""

from __future__ import annotations

import numpy as np

from mer_pipe.stages.magnify.motion import blurred

REACHES = 6.0, 12.0
"""px. How far to either side of a pixel other motions are looked for."""
WINDOW = 1.0
"""px. Gaussian window in which a motion is judged."""
ALONG = np.array([[-5.0, 0.32], [-2.5, 0.75], [0.0, 1.0], [2.5, 0.75], [5.0, 0.32]], np.float32)
"""px along the edge, and weights: where else the same motions are judged, as an edge is a line."""
AROUND = 2 * (5 + 4) + 1
"""px. Side of the square about a pixel in which `ALONG` and `WINDOW` look."""
MOST = 16.0
"""Variances of the noise. No single difference counts for more: pixels that show both sides fit neither."""
SURE = 1.0 / 3.0
"""Evidence of neighbouring pixels and of channels over that of independent ones."""
PRIOR, FRONT = 1.0, 0.5
"""Logarithms of likelihood. Head start of the flow as it is, and of what moves more: mixed pixels belong to it."""
LEAST, DOUBT = 0.07, 0.8
"""px. Sides that differ by less than LEAST are no edge, nor by less than DOUBT times that for each grey level of noise more."""
INDEPENDENT = 0.299**2 + 0.587**2 + 0.114**2
"""Variance of the noise in luma over that in one of three channels."""


def edged(flow: np.ndarray, before: np.ndarray, surface: np.ndarray, variance: float) -> np.ndarray:
    """`flow` with its edges drawn anew: near a change of motion each pixel takes the side that explains it best.

    Across the steepest change of the flow, the motions 6 px and 12 px to either side are candidates beside the flow as
    it is. Each is judged by the squared grey levels that it leaves unexplained in all channels, under a Gaussian of 1 px
    and along the edge by some px, with single differences bounded. The five are mixed by their likelihoods, a third as
    sure as independent noise would make them. The flow as it is has a head start, so that a smooth change stays smooth,
    and so has, a smaller one, what moves more. Where the sides differ by less than noise can do (`LEAST`) nothing happens.

    Parameters
    ----------
    flow : float32 (y, x, 2), px.
    before : the first frame, float32 (y, x, c), grey levels.
    surface : `spline.spline` of the second.
    variance : of the noise in the difference of their lumas, grey levels squared.
    """
    import cv2

    from mer_pipe.stages.magnify._edge_kernels import decided, misfits, sides

    across = steepest(flow)
    near, far = (sides(flow, across, reach) for reach in REACHES)
    apart = np.hypot(*np.moveaxis(near[0] - near[1], 2, 0))
    least = LEAST * (1.0 + DOUBT * float(np.sqrt(variance)))
    if apart.max() <= least:
        return flow
    candidates = np.concatenate([near, far, flow[None]])
    noise = variance / INDEPENDENT if before.shape[2] == 3 else variance
    doubt = np.clip((apart - least) / least, 0.0, 1.0)
    asked = cv2.dilate(np.uint8(doubt > 0.0), np.ones((AROUND, AROUND), np.uint8))
    misfit = cv2.GaussianBlur(misfits(surface, before, candidates, asked, noise, MOST), (0, 0), WINDOW)
    taps = ALONG * np.float32([1.0, SURE * 4.0 * np.pi * WINDOW**2 / 2.0])
    return decided(candidates, misfit, across, doubt, taps, np.float32(PRIOR), np.float32(FRONT))


def steepest(flow: np.ndarray) -> np.ndarray:
    """The direction in which `flow` changes most, over some px: unit vectors, float32 (y, x, 2).

    First eigenvector of the structure tensor of u and v (Gaussian of 3 px); where nothing changes, to the right.
    """
    import cv2

    smooth = cv2.GaussianBlur(flow, (0, 0), 1.0)
    right = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=1, scale=0.5)
    xx, yy, xy = (blurred(p[..., 0] + p[..., 1], 3.0) for p in (right * right, down * down, right * down))
    angle = 0.5 * np.arctan2(2.0 * xy, xx - yy)
    return np.stack([np.cos(angle), np.sin(angle)], axis=2)
