"""Luma of an RGB image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mer_pipe.types import ArraySpec, ClipError, Stage


def gray(image: np.ndarray) -> np.ndarray:
    """Return the ITU-R BT.601 luma of an RGB image, 0.299 R + 0.587 G + 0.114 B, rounded to the nearest integer.

    The weights are taken as 19595, 38470 and 7471 of 65536 (they add up to 1 exactly, so that grey stays grey), and
    halves round up. Integer arithmetic: the same bytes on every machine.

    Parameters
    ----------
    image : (..., 3) uint8 RGB, or (..., 1) uint8, which is returned without its last axis.

    Returns
    -------
    (...) uint8, 0..255.

    Raises
    ------
    ClipError : the array is not uint8 or its last axis is neither 1 nor 3 long.
    """
    if image.dtype != np.uint8 or image.ndim < 3 or image.shape[-1] not in (1, 3):
        raise ClipError(
            f"an image of shape {image.shape} and type {image.dtype} has no luma", "Pass uint8 (y, x, 3) in RGB order."
        )
    if image.shape[-1] == 1:
        return image[..., 0].copy()
    red, green, blue = (image[..., c].astype(np.uint32) for c in range(3))
    return ((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16).astype(np.uint8)


@dataclass(frozen=True)
class Gray(Stage):
    """The luma of one image: `image` (y, x, 3) uint8 to (y, x) uint8. See `gray`."""

    name: ClassVar[str] = "gray"
    version: ClassVar[int] = 1

    @property
    def returns(self) -> dict[str, ArraySpec]:
        return {"image": ArraySpec(("y", "x"), "uint8", "grey level", 0, 255, about="BT.601 luma")}

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        return {"image": gray(image)}
