"""Cubic B-spline coefficients of an image: the interpolation that loses least among those of 4 x 4 taps."""

from __future__ import annotations

import numpy as np


def spline(image: np.ndarray) -> np.ndarray:
    """Coefficients of `image` (y, x, c), float32 (c, y + 3, x + 3), for `_warp_kernels.sample` and `follow`.

    The border is mirrored about its first and last sample (Unser 1999): one line before and two after are added.
    """
    from scipy.ndimage import spline_filter

    planes = [spline_filter(image[..., c].astype(np.float64), order=3, mode="mirror") for c in range(image.shape[2])]
    out = np.stack(planes)
    for axis in (1, 2):
        if out.shape[axis] == 1:
            out = np.repeat(out, 4, axis=axis)
        else:
            out = np.pad(out, [(1, 2) if axis == i else (0, 0) for i in range(3)], mode="reflect")
    return np.ascontiguousarray(out, np.float32)
