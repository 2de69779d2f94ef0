"""How far a face moves from onset to apex: the warning before magnification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mer_pipe.types import ArraySpec, Stage

MOST = 12.0
"""px. Beyond it, measured on real head motion, every magnifier tears the face: see docs/magnification.md."""


def travel(onset: np.ndarray, apex: np.ndarray) -> np.ndarray:
    """Quantiles of the distance that pixels move between two frames.

    Parameters
    ----------
    onset, apex : (y, x, channel) uint8, the same size.

    Returns
    -------
    (2,) float32, px: the median, which is large when the head moves as a whole, and the 95th percentile. Both are 0 for
    identical frames.

    Raises
    ------
    ClipError : the frames differ in size.
    """
    from mer_pipe.stages.magnify.motion import motion

    flow = motion(onset, apex)
    return np.quantile(np.hypot(flow[..., 0], flow[..., 1]), (0.5, 0.95)).astype(np.float32)


@dataclass(frozen=True)
class Travel(Stage):
    """The distance moved from `onset` to `apex`, both (y, x, channel) uint8. See `travel`."""

    name: ClassVar[str] = "travel"
    version: ClassVar[int] = 1

    @property
    def returns(self) -> dict[str, ArraySpec]:
        about = "distance that pixels move from onset to apex: median and 95th percentile"
        return {"distance": ArraySpec(("quantile",), "float32", "px", 0, shape=(2,), about=about)}

    def __call__(self, *, onset: np.ndarray, apex: np.ndarray) -> dict[str, np.ndarray]:
        return {"distance": travel(onset, apex)}
