"""TV-L1 optical flow between two images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mer_pipe.stages.gray import gray
from mer_pipe.types import ArraySpec, ClipError, RecipeError, Stage

ENGINES = ("native", "opencv")


def tvl1(onset: np.ndarray, apex: np.ndarray, engine: str = "native") -> np.ndarray:
    """Return the TV-L1 optical flow that carries `onset` onto `apex`: apex(x + f(x)) = onset(x).

    Parameters
    ----------
    onset, apex : (y, x) or (y, x, channel) uint8 of one size, channel 1 or 3 (RGB, taken to BT.601 luma).
    engine :
        "native"  our solver. Fits a global gain and bias first, so that a change of light is no motion.
        "opencv"  cv2.optflow.DualTVL1OpticalFlow with OpenCV's default parameters: the reference that most published
                  micro-expression code uses.

    Returns
    -------
    (y, x, 2) float32, u (right) and v (down) in px.

    Raises
    ------
    ClipError : the images differ in size, or are not uint8 images.
    RecipeError : unknown engine.

    Source: Zach, Pock, Bischof, DAGM 2007; Sanchez, Meinhardt-Llopis, Facciolo, IPOL 2013.
    """
    _check(engine)
    if onset.shape != apex.shape:
        raise ClipError(f"images of {onset.shape} and {apex.shape} have no flow", "Crop both alike.")
    first, second = (gray(image[..., None] if image.ndim == 2 else image) for image in (onset, apex))
    return _opencv(first, second)


def _opencv(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.optflow.DualTVL1OpticalFlow_create().calc(source, target, None)


def _check(engine: str) -> None:
    if engine not in ENGINES:
        raise RecipeError(f"flow has no engine {engine!r}", f"Choose one of {', '.join(ENGINES)}.")


@dataclass(frozen=True)
class Tvl1(Stage):
    """TV-L1 flow of two images: `source` and `target` (y, x, channel) uint8 to (y, x, 2) px. See `tvl1`.

    Attributes
    ----------
    engine : "native" or "opencv".
    """

    name: ClassVar[str] = "flow"
    version: ClassVar[int] = 1

    engine: str = "native"

    def __post_init__(self) -> None:
        _check(self.engine)

    @property
    def returns(self) -> dict[str, ArraySpec]:
        about = "u (right), v (down) that carry source onto target"
        return {"flow": ArraySpec(("y", "x", "component"), "float32", "px", shape=(None, None, 2), about=about)}

    def __call__(self, source: np.ndarray, target: np.ndarray) -> dict[str, np.ndarray]:
        return {"flow": tvl1(source, target, self.engine)}
