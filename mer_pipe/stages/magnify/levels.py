"""The one place where a magnified picture becomes grey levels of its frames' type."""

from __future__ import annotations

import numpy as np


def grey_levels(image: np.ndarray, dtype: np.dtype | type = np.uint8) -> np.ndarray:
    """A float image in grey levels, clipped to 0..255, as `dtype`: rounded to uint8, or kept as float32."""
    if dtype == np.uint8:
        image = np.rint(image)
    return np.clip(image, 0, 255).astype(dtype)


def rounding_half(dtype: np.dtype) -> np.float32:
    """What `_warp_kernels.sample` adds before it writes grey levels of `dtype`: 0.5 for uint8, nothing for float32."""
    return np.float32(0.5 if dtype == np.uint8 else 0.0)
