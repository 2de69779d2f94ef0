"""Cubic B-spline coefficients of an image: the interpolation that loses least among those of 4 x 4 taps."""

from __future__ import annotations

import numpy as np

LANES = 4
LUMA = 3
"""The last lane, where `with_luma` has put the luma (ITU-R BT.601), or the one channel of a gray frame."""
POLE = 3.0**0.5 - 2.0
"""Of the recursive filter that makes samples coefficients."""
REACH = 12
"""px. As far is that filter's response followed: POLE to the 13th is under half a unit of float32's last place."""


def spline(image: np.ndarray) -> np.ndarray:
    """Coefficients of `image` (y, x, c), float32 (y + 3, x + 3, 4), for the kernels of `_warp_kernels`.

    Each of the four lanes is a channel; lanes that the image does not fill are 0. The border is mirrored about its first
    and last sample: one line before and two after are added. Unser, IEEE Signal Processing Magazine 1999, with the
    response of his two recursions, ``sqrt(3) POLE^|k|``, as one filter.
    """
    import cv2

    filled = np.zeros((*image.shape[:2], LANES), np.float32)
    filled[..., : image.shape[2]] = image
    response = np.float32(3.0**0.5 * POLE ** np.abs(np.arange(-REACH, REACH + 1)))
    filled = cv2.sepFilter2D(filled, cv2.CV_32F, response, response, borderType=cv2.BORDER_REFLECT_101)
    return cv2.copyMakeBorder(filled, 1, 2, 1, 2, cv2.BORDER_REFLECT_101)


def with_luma(frame: np.ndarray) -> np.ndarray:
    """Grey levels of a frame (y, x, 1) or (y, x, 3), float32 (y, x, 4), the last lane the luma."""
    from mer_pipe.stages.magnify.motion import luma

    out = np.zeros((*frame.shape[:2], LANES), np.float32)
    out[..., : frame.shape[2]] = frame
    out[..., LUMA] = luma(frame)
    return out
