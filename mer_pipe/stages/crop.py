"""Crop: one resample from the raw frame to the canonical face square."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mer_pipe.stages.geometry import inverse
from mer_pipe.types import ArraySpec, ClipError, RecipeError, Stage


def crop(frames: np.ndarray | Sequence[np.ndarray], transform: np.ndarray, size: int = 224) -> np.ndarray:
    """The face square of raw frames, each value resampled once.

    Output pixel (i, j) looks at the raw point whose unit coordinates are ((j + 0.5) / size, (i + 0.5) / size). Around
    it the raw pixels are weighted by a separable Catmull-Rom kernel (Keys 1981, a = -1/2), widened by the number of raw
    pixels that one output pixel covers where that exceeds 1: interpolation where the face is enlarged, a low-pass of
    the right width where it is shrunk. Weights sum to 1; the frame's border pixels are repeated outwards.

    Parameters
    ----------
    frames : n raw frames of one size, (n, H, W, 3) uint8, or a sequence of (H, W, 3) arrays. A frame whose channels are
        one plane in memory (stride 0, as gray files are loaded) is resampled once.
    transform : (2, 3) float64, raw (x, y) in px to the unit square, as the align stages return it.
    size : side of the result in px.

    Returns
    -------
    (n, size, size, 3) uint8.

    Raises
    ------
    ClipError : frames of several sizes or of another kind; a transform that is not invertible, or a square that lies
        wholly outside the frame.
    """
    from mer_pipe.stages._resample import resample, resample_plane, taps

    frames = _checked(frames)
    to_raw = _raw_from_output(transform, size)
    _check_overlap(to_raw, size, frames[0].shape)
    # Raw pixels that one output pixel covers along raw x and raw y: equal for a similarity, two values for a stretch.
    (x0, wx), (y0, wy) = (taps(*row, max(1.0, math.sqrt(row[0] ** 2 + row[1] ** 2)), size) for row in to_raw.tolist())
    left, top = x0.min(), y0.min()
    right, bottom = x0.max() + wx.shape[2], y0.max() + wy.shape[2]
    out = np.empty((len(frames), size, size, 3), np.uint8)
    x0, y0 = x0 - left, y0 - top
    for frame, image in zip(frames, out, strict=True):
        if frame.strides[2] == 0:
            plane = np.empty((size, size), np.uint8)
            resample_plane(_bordered(frame[..., 0], left, top, right, bottom), x0, y0, wx, wy, plane)
            image[:] = plane[..., None]
        else:
            resample(_bordered(frame, left, top, right, bottom), x0, y0, wx, wy, image)
    return out


@dataclass(frozen=True)
class Crop(Stage):
    """Frames of one clip in the canonical face square.

    size : side of the square in px, a multiple of 4 (the magnifiers halve it twice).
    """

    name: ClassVar[str] = "crop"
    version: ClassVar[int] = 1
    stacks: ClassVar[tuple[str, ...]] = ("frame",)

    size: int = 224

    def __post_init__(self) -> None:
        if not isinstance(self.size, int) or isinstance(self.size, bool) or self.size < 16 or self.size % 4:
            raise RecipeError(f"crop size {self.size!r} is not a multiple of 4 of at least 16", "Try 224 or 256.")

    @property
    def returns(self) -> dict[str, ArraySpec]:
        return {
            "image": ArraySpec(
                ("y", "x", "channel"), "uint8", "grey level", 0, 255, (self.size, self.size, 3), "aligned face, RGB"
            )
        }

    def __call__(self, *, frame: np.ndarray | Sequence[np.ndarray], transform: np.ndarray) -> dict[str, np.ndarray]:
        return {"image": crop(frame, transform, self.size)}


@dataclass(frozen=True)
class CropEach(Crop):
    """`Crop` of frames that have a transform each, as `register` returns them: the same values, so the same key."""

    stacks: ClassVar[tuple[str, ...]] = ("frame", "transform")

    def __call__(self, *, frame: Sequence[np.ndarray], transform: np.ndarray) -> dict[str, np.ndarray]:
        pairs = zip(_checked(frame), transform, strict=True)
        return {"image": np.concatenate([crop([one], where, self.size) for one, where in pairs])}


def _checked(frames: np.ndarray | Sequence[np.ndarray]) -> list[np.ndarray]:
    frames = [np.asarray(frame) for frame in frames]
    if not frames:
        raise ClipError("no frames to crop")
    for frame in frames:
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise ClipError(f"a frame is {frame.dtype} of shape {frame.shape}, not uint8 of shape (H, W, 3)")
        if frame.shape != frames[0].shape:
            raise ClipError(
                f"frames differ in size: {frames[0].shape[:2]} and {frame.shape[:2]}",
                "One transform serves a whole clip: its frames must have one size.",
            )
    return frames


def _raw_from_output(transform: np.ndarray, size: int) -> np.ndarray:
    """(2, 3): output pixel (column, row) to raw (x, y)."""
    (a, b, u), (c, d, v) = inverse(transform).tolist()
    half = 0.5 / size
    return np.array([[a / size, b / size, u + (a + b) * half], [c / size, d / size, v + (c + d) * half]])


def _check_overlap(to_raw: np.ndarray, size: int, shape: tuple[int, ...]) -> None:
    last = size - 1
    corners = to_raw @ np.array([[0, last, 0, last], [0, 0, last, last], [1, 1, 1, 1]])
    if (corners.max(1) < 0).any() or (corners.min(1) > (shape[1] - 1, shape[0] - 1)).any():
        raise ClipError(f"the face square lies outside the {shape[0]}x{shape[1]} frame", "Look at the align stage.")


def _bordered(frame: np.ndarray, left: int, top: int, right: int, bottom: int) -> np.ndarray:
    """Rows top..bottom-1 and columns left..right-1, as float32, of a frame whose border pixels go on for ever."""
    height, width = frame.shape[:2]
    inside = frame[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    beyond = [(max(-top, 0), max(bottom - height, 0)), (max(-left, 0), max(right - width, 0))]
    if any(map(any, beyond)):
        inside = np.pad(inside, [*beyond, (0, 0)][: frame.ndim], mode="edge")
    return inside.astype(np.float32, order="C")
