"""Temporal interpolation (TIM): a clip of any length to a clip of a fixed length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mer_pipe.types import ArraySpec, ClipError, RecipeError, Stage

_PIXELS = 16384  # pixels a block: 68 frames of one block as float64 are 9 MB


def tim_weights(frames: int, length: int) -> np.ndarray:
    """Return the (length, frames) float64 matrix that takes a clip to its temporal interpolation.

    The graph embedding of Zhou et al. (CVPR 2011) maps a clip of N frames onto the curve of the first N - 1
    non-constant cosines, samples it at `length` points evenly spaced from the first to the last frame, and maps back by
    least squares. The clip cancels out: what is left is DCT-II interpolation with the weights

        W[o, i] = (1 + 2 sum_{k=1}^{N-1} cos(pi k (2 i - 1) / 2N) cos(pi k (2 N p_o - 1) / 2N)) / N,
        p_o = 1/N + (1 - 1/N) o / (length - 1),   i = 1..N,  o = 0..length - 1.

    Every row adds up to 1; `tim_weights(N, N)` is the identity.
    """
    if frames < 1:
        raise ClipError("the clip has no frame", "Check the clip's onset and offset.")
    if length < 2:
        raise RecipeError(
            f"a length of {length} cannot hold the first and the last frame", "Give a length of 2 or more."
        )
    k = np.arange(1, frames)
    at = 1 + (frames - 1) * np.arange(length) / (length - 1)
    source = np.cos(np.pi * np.outer(2 * np.arange(1, frames + 1) - 1, k) / (2 * frames))
    wanted = np.cos(np.pi * np.outer(2 * at - 1, k) / (2 * frames))
    return (1 + 2 * wanted @ source.T) / frames


def tim(clip: np.ndarray, length: int) -> np.ndarray:
    """Return the clip interpolated in time to `length` frames, the first and the last frame kept.

    Parameters
    ----------
    clip : (T, ...) uint8, or floating point; usually (T, y, x, channel).
    length : frames of the result, 2 or more.

    Returns
    -------
    (length, ...) of the clip's type. uint8 results are rounded to nearest (halves to even) and clipped to 0..255, since
    interpolation may overshoot; floating-point results are neither.

    Raises
    ------
    ClipError : the clip has no frame, or is neither uint8 nor floating point.
    RecipeError : `length` is below 2.

    Notes
    -----
    For uint8 the weights are rounded to multiples of 2**-32 (an error below 1e-7 T grey levels), so that every product
    and every sum is exact in float64 and the result cannot depend on the order in which a BLAS adds.
    Source: Zhou, Zhao, Pietikainen, "Towards a practical lipreading system", CVPR 2011; see `tim_weights`.
    """
    if clip.ndim < 1 or (clip.dtype != np.uint8 and clip.dtype.kind != "f"):
        raise ClipError(
            f"a clip of shape {clip.shape} and type {clip.dtype} cannot be interpolated", "Pass uint8 frames."
        )
    weights = tim_weights(clip.shape[0], length)
    flat = clip.reshape(clip.shape[0], -1)
    if clip.dtype != np.uint8:
        return (weights @ flat.astype(np.float64, copy=False)).astype(clip.dtype).reshape(length, *clip.shape[1:])
    weights = np.round(weights * 2.0**32) / 2.0**32
    result = np.empty((length, flat.shape[1]), np.uint8)
    for start in range(0, flat.shape[1], _PIXELS):
        block = weights @ flat[:, start : start + _PIXELS].astype(np.float64)
        np.rint(block, out=block)
        result[:, start : start + _PIXELS] = np.clip(block, 0, 255, out=block)
    return result.reshape(length, *clip.shape[1:])


@dataclass(frozen=True)
class Interpolate(Stage):
    """TIM of one clip: `clip` (T, y, x, channel) uint8 to `length` frames. See `tim`.

    Attributes
    ----------
    length : frames of the result; 2 or more.
    """

    name: ClassVar[str] = "interpolate"
    version: ClassVar[int] = 1

    length: int = 11

    def __post_init__(self) -> None:
        tim_weights(1, self.length)

    @property
    def returns(self) -> dict[str, ArraySpec]:
        spec = ArraySpec(
            ("frame", "y", "x", "channel"), "uint8", "grey level", 0, 255, (self.length, None, None, None),
            about="clip interpolated in time (TIM)",
        )  # fmt: skip
        return {"image": spec}

    def __call__(self, clip: np.ndarray) -> dict[str, np.ndarray]:
        return {"image": tim(clip, self.length)}
