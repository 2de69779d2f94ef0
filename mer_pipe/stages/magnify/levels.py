"""The one place where a magnified picture becomes grey levels."""

from __future__ import annotations

import numpy as np


def grey_levels(image: np.ndarray) -> np.ndarray:
    """A float image in grey levels, rounded and clipped to 0..255: uint8 of the same shape."""
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
