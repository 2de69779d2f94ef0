"""What magnification is about to multiply: how far face and head move from onset to apex, and what cannot be seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mer_pipe.stages._head_motion import on_face
from mer_pipe.stages.register import HEAD, check_sizes, head_motion, parts
from mer_pipe.types import ArraySpec, Stage


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

    check_sizes(onset, apex, "the apex frame")
    flow = motion(onset, apex)
    return np.quantile(np.hypot(flow[..., 0], flow[..., 1]), (0.5, 0.95)).astype(np.float32)


def clipped(frame: np.ndarray) -> np.float32:
    """Share of the face, 0..1, that is as dark or as bright as a pixel can be in every channel: no motion shows there.

    `frame` is (y, x, channel) uint8; the face is the ellipse that fills the face square.
    """
    y, x = np.mgrid[: frame.shape[0], : frame.shape[1]]
    face = frame[on_face(x, y, frame.shape)]
    return np.float32(((face == 0) | (face == 255)).all(-1).mean()) if len(face) else np.float32(0)


def contrast(frame: np.ndarray) -> np.float32:
    """Standard deviation of the luma of a (y, x, channel) uint8 frame, grey levels: 0 for one of a single value."""
    from mer_pipe.stages.magnify.motion import luma

    return np.float32(luma(frame).std(dtype=np.float64))


@dataclass(frozen=True)
class Travel(Stage):
    """What moves from `onset` to `apex`, both (y, x, channel) uint8 of one size, and how much of it can be seen.

    Measured before magnification, of the crops that are magnified; `report.warnings` judges it.
    """

    name: ClassVar[str] = "travel"
    version: ClassVar[int] = 3

    @property
    def returns(self) -> dict[str, ArraySpec]:
        moved = "distance that pixels move from onset to apex: median and 95th percentile"
        change = "largest difference of onset and apex in any pixel: 0 for identical frames"
        dark = "share of the face that is black or white in every channel: onset, apex"
        spread = "standard deviation of luma: onset, apex"
        return {
            "distance": ArraySpec(("quantile",), "float32", "px", 0, shape=(2,), about=moved),
            "head": HEAD,
            "change": ArraySpec((), "uint8", "grey level", shape=(), about=change),
            "clipped": ArraySpec(("pair",), "float32", "1", 0, 1, (2,), dark),
            "contrast": ArraySpec(("pair",), "float32", "grey level", 0, 128, (2,), spread),
        }

    def __call__(self, *, onset: np.ndarray, apex: np.ndarray) -> dict[str, np.ndarray]:
        distance = travel(onset, apex)
        (head,) = head_motion(onset, [apex], reach=np.inf)  # a head that moves too far is told, not refused
        return {
            "distance": distance,
            "head": parts(head, onset.shape),
            "change": np.array(np.abs(onset.astype(np.int16) - apex).max(), np.uint8),
            "clipped": np.array([clipped(onset), clipped(apex)]),
            "contrast": np.array([contrast(onset), contrast(apex)]),
        }
