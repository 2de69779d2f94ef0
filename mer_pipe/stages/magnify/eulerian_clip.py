"""Eulerian video magnification of a clip: what changes within a band of frequencies is multiplied."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mer_pipe.stages.magnify.eulerian import added, check_attenuation, laplacian_bands
from mer_pipe.stages.magnify.frames import check_clip, checked_factors
from mer_pipe.types import ArraySpec, ClipError, RecipeError, Stage

FILTERS = ("butterworth", "ideal")
STEP = 2.0**-24  # temporal weights are multiples of this, so that float64 sums of weight x grey level are exact
GROUP = 16  # frames filtered at a time
BLOCK = 1 << 14  # grey levels of each frame filtered at a time


def eulerian_clip(
    clip: np.ndarray,
    af: float,
    fps: float,
    low: float = 0.5,
    high: float = 15.0,
    filter: str = "butterworth",
    lambda_c: float = 24.0,
    chroma: float = 0.1,
) -> np.ndarray:
    """`clip` with its changes between `low` and `high` Hz multiplied: uint8 (T, y, x, c).

    Wu et al., SIGGRAPH 2012: ``frame + sum over bands of alpha_band * band of (filtered frame)``, with alpha = AF - 1
    (a paper's alpha 10 is AF 11), the spatial bands of `eulerian.band_gains`, and a temporal band-pass
    (`temporal_filter`) that has zero phase: magnified motion comes neither late nor early. A clip that does not change
    is returned as it is, and so is AF 1. The change is counted from the clip's mean, so the first frame moves too.

    Parameters
    ----------
    clip : uint8 (T, y, x, 1 or 3), T >= 2.
    af : total displacement factor, >= 0.
    fps : frames per second.
    low, high, filter : see `temporal_filter`.
    lambda_c : spatial wavelength in px from which on the full alpha is used; 0 for no attenuation.
    chroma : what remains of alpha for the two colour axes, 0..1.

    Raises
    ------
    ClipError : not a uint8 clip of 2 frames or more, or no frequency of it lies in the band.
    RecipeError : a parameter is out of range.
    """
    check_clip(clip)
    (af,) = checked_factors((af,))
    check_attenuation(lambda_c, chroma)
    weights = temporal_filter(len(clip), fps, low, high, filter)
    out = np.empty_like(clip)
    for start in range(0, len(clip), GROUP):
        group = slice(start, start + GROUP)
        changes = _filtered(clip, weights[group])
        for row, frame, change in zip(out[group], clip[group], changes, strict=True):
            row[:] = added(frame, laplacian_bands(change), af, lambda_c, chroma)
    return out


def temporal_filter(frames: int, fps: float, low: float, high: float, filter: str = "butterworth") -> np.ndarray:
    """Band-pass as a matrix, float64 (frames, frames): row t gives the weights of all frames in filtered frame t.

    The clip is taken apart into its cosines (DCT-II), whose k-th has the frequency ``k fps / (2 frames)`` Hz: nothing
    wraps from the last frame to the first, and clips of 2 frames and more work. Each cosine is kept with the gain

    * "butterworth": ``1 / (1 + (f / high)^4) - 1 / (1 + (f / low)^4)``, the power response of second-order filters;
    * "ideal": 1 from low to high, both included, else 0.

    The mean (k = 0) is never kept. A clip too short for the band still has its slowest changes magnified: `high` is
    raised to twice the clip's lowest frequency, ``fps / frames``, where it is less.
    """
    check_band(low, high, filter)
    if not 0.0 < fps < math.inf:
        raise ClipError(f"{fps} frames per second is not a frame rate", "correct the fps of the database or recipe")
    k = np.arange(frames)
    f = k * (fps / (2.0 * frames))
    high = max(high, fps / frames)
    if filter == "ideal":
        gain = ((f >= low) & (f <= high)).astype(np.float64)
    else:
        gain = 1.0 / (1.0 + (f / high) ** 4)
        if low > 0.0:
            gain -= 1.0 / (1.0 + (f / low) ** 4)
    gain[0] = 0.0
    if low > f[-1] or not gain.any():
        raise ClipError(
            f"no frequency of {frames} frames at {fps:g} fps ({f[1]:g}..{f[-1]:g} Hz) lies in {low:g}..{high:g} Hz",
            "widen the band of the Eulerian filter",
        )
    cosines = np.cos(np.pi / frames * (k[None, :] + 0.5) * k[:, None]) * np.sqrt(2.0 / frames)
    return np.rint(cosines.T @ (gain[:, None] * cosines) / STEP) * STEP


def _filtered(clip: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`weights` (n, T) applied to the change of `clip` since its first frame: float32 (n, y, x, c).

    The weights of a row sum to 0 but for rounding, so counting from the first frame changes nothing and keeps a still
    clip exactly still. All products and sums are exact in float64, so that their order (threads, blocks) cannot matter.
    """
    flat = clip.reshape(len(clip), -1)
    out = np.empty((len(weights), flat.shape[1]), np.float32)
    for start in range(0, flat.shape[1], BLOCK):
        block = slice(start, start + BLOCK)
        levels = flat[:, block].astype(np.float64)
        out[:, block] = weights @ (levels - levels[0])
    return out.reshape(len(weights), *clip.shape[1:])


def check_band(low: float, high: float, filter: str) -> None:
    """Raise RecipeError unless the band and the filter can be used."""
    if not 0.0 <= low < high < math.inf:
        raise RecipeError(f"{low}..{high} Hz is not a band", "give low >= 0 and a greater high")
    if filter not in FILTERS:
        raise RecipeError(f"{filter!r} is not a temporal filter", f"choose one of {', '.join(FILTERS)}")


@dataclass(frozen=True)
class EulerianClip(Stage):
    """Clip to magnified clip by `eulerian_clip`. Input: clip uint8 (T, y, x, c)."""

    name: ClassVar[str] = "magnify.eulerian_clip"
    version: ClassVar[int] = 1

    af: float = 11.0
    low: float = 0.5
    high: float = 15.0
    fps: float = 200.0
    filter: str = "butterworth"
    lambda_c: float = 24.0
    chroma: float = 0.1

    def __post_init__(self) -> None:
        checked_factors((self.af,))
        check_band(self.low, self.high, self.filter)
        check_attenuation(self.lambda_c, self.chroma)

    @property
    def returns(self) -> dict[str, ArraySpec]:
        """The clip, magnified."""
        about = "clip, its changes in the temporal band times AF"
        return {"image": ArraySpec(("frame", "y", "x", "channel"), "uint8", "grey level", 0, 255, about=about)}

    def __call__(self, *, clip: np.ndarray) -> dict[str, np.ndarray]:
        image = eulerian_clip(clip, self.af, self.fps, self.low, self.high, self.filter, self.lambda_c, self.chroma)
        return {"image": image}
