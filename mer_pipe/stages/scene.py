"""The raw onset frame at a glance: to see where the crop was taken from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mer_pipe.types import ArraySpec, RecipeError, Stage


def scene(frame: np.ndarray, height: int = 240, width: int = 320) -> tuple[np.ndarray, np.ndarray]:
    """A raw frame shrunk into a picture of a fixed size, centred on black; it is never enlarged.

    Parameters
    ----------
    frame : (H, W, 3) uint8.
    height, width : of the picture, px.

    Returns
    -------
    picture : (height, width, 3) uint8.
    placement : (3,) float64: scale, dx, dy, with picture x = scale * raw x + dx and the same for y; pixel centres lie at
        integers. True within half a pixel of the picture: its size is a whole number of pixels.
    """
    import cv2

    rows, columns = frame.shape[:2]
    scale = min(1.0, height / rows, width / columns)
    high, wide = max(1, round(rows * scale)), max(1, round(columns * scale))
    small = frame if scale == 1 else cv2.resize(frame, (wide, high), interpolation=cv2.INTER_AREA)
    top, left = (height - high) // 2, (width - wide) // 2
    picture = np.zeros((height, width, 3), np.uint8)
    picture[top : top + high, left : left + wide] = small
    # Pixel centres: the middle of the frame stays the middle of what is shown of it.
    return picture, np.array([scale, left + scale / 2 - 0.5, top + scale / 2 - 0.5])


@dataclass(frozen=True)
class Scene(Stage):
    """The onset frame as filmed, `frame` (H, W, 3) uint8, in one size for all clips. See `scene`."""

    name: ClassVar[str] = "scene"
    version: ClassVar[int] = 1

    height: int = 240
    width: int = 320

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 16:
            raise RecipeError(f"a scene of {self.height} x {self.width} px is too small", "take at least 16 px")

    @property
    def returns(self) -> dict[str, ArraySpec]:
        size = (self.height, self.width, 3)
        placed = "scale, dx, dy: picture px = scale * raw px + d"
        return {
            "image": ArraySpec(("y", "x", "channel"), "uint8", "grey level", 0, 255, size, "onset frame as filmed"),
            "placement": ArraySpec(("value",), "float64", shape=(3,), about=placed),
        }

    def __call__(self, *, frame: np.ndarray) -> dict[str, np.ndarray]:
        picture, placement = scene(frame, self.height, self.width)
        return {"image": picture, "placement": placement}
