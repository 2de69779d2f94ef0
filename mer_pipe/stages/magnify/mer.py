"""mer-pipe's own magnifier: fine motion, both frames in one picture, layers in front of each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mer_pipe.stages.magnify.fine_motion import fine_motion, scatter
from mer_pipe.stages.magnify.frames import check_clip, check_pair, checked_factors, quantum_of
from mer_pipe.stages.magnify.levels import rounding_half
from mer_pipe.stages.magnify.motion import blurred, illumination, luma
from mer_pipe.stages.magnify.spline import LUMA
from mer_pipe.types import ArraySpec, RecipeError, Stage


def mer(
    reference: np.ndarray,
    target: np.ndarray,
    af: Sequence[float],
    noise_floor: float = 0.2,
    edges: bool = True,
    blend: float = 0.5,
) -> np.ndarray:
    """`target` with its motion since `reference` multiplied by each factor: (af, y, x, c).

    A point that lies at x in the reference and at x + f(x) in the target lies at x + AF f(x) in the result. f is
    `fine_motion.fine_motion` after the reference is brought to the target's brightness; what is drawn there is the mean
    of the point's two pictures (`shares`), which halves the noise's variance; the result is a mesh whose moving parts cover
    the resting ones (`_mesh_kernels.motion_in_front`). AF 1 returns the target's values, identical frames come back
    identical at every AF.

    Parameters
    ----------
    reference, target : uint8, or float32 in 0..255, (y, x, 1) or (y, x, 3), alike. The result has their type.
    af : total displacement factors, >= 0, fractional or not.
    noise_floor, edges : how the motion is measured, see `fine_motion.fine_motion`.
    blend : greatest share of the reference in the picture, 0..0.5; with 0 the target's pixels are kept as they are (in
        float32 to 1e-3 grey levels).

    Raises
    ------
    ClipError : the frames differ in size or type, or are no such images.
    RecipeError : a factor is negative or not finite.
    """
    check_pair(reference, target)
    factors = checked_factors(af)
    out = np.empty((len(factors), *target.shape), target.dtype)
    out[:] = target
    if all(factor == 1.0 for factor in factors) or np.array_equal(reference, target):
        return out

    from mer_pipe.stages.magnify._mesh_kernels import motion_in_front, tears
    from mer_pipe.stages.magnify._warp_kernels import draw
    from mer_pipe.stages.magnify.spline import spline, with_luma

    quantum, half = quantum_of(reference, target), rounding_half(target.dtype)
    gain, bias = (np.float32(v) for v in illumination(luma(reference), luma(target), quantum))
    before, after = np.clip(gain * reference + bias, 0, 255), target.astype(np.float32)
    surface = spline(with_luma(after))
    flow = fine_motion(before, after, surface, noise_floor, edges, quantum)
    shared = with_share(spline(before), shares(luma(before), surface, flow, blend, quantum))
    tear = tears(flow)
    for row, factor in zip(out, factors, strict=True):
        if factor != 1.0:
            draw(row, surface, shared, motion_in_front(flow, tear, factor), factor, half)
    return out


def shares(before: np.ndarray, surface: np.ndarray, flow: np.ndarray, most: float, quantum: float = 1.0) -> np.ndarray:
    """The share of the reference in the picture of each of its points: float32 (y, x), 0..`most`.

    It is `most` where the lumas differ by noise alone, ``most / (1 + (e / 4)^2)`` elsewhere: e is their squared
    difference under a Gaussian of 1.5 px, over the variance of the noise (robust, from the median absolute difference).
    What was covered or uncovered stays the target's own.

    Parameters
    ----------
    before : luma of the reference at the target's brightness, float32 (y, x).
    surface : `spline.spline` of the target, with its luma.
    flow : float32 (y, x, 2), px, from reference to target.
    quantum : see `frames.quantum_of`.
    """
    from mer_pipe.stages.magnify._warp_kernels import follow

    apart = follow(surface, flow, LUMA) - before
    deviation = scatter(apart)
    misfit = blurred(apart * apart, 1.5) / np.float32(deviation * deviation + quantum * quantum / 15.0)
    return np.float32(most) / (np.float32(1.0) + np.square(misfit / np.float32(4.0)))


def with_share(surface: np.ndarray, share: np.ndarray) -> np.ndarray:
    """`surface` of the reference, its last lane filled so that it is sampled to `share` (y, x), smoothed by a pixel."""
    import cv2

    surface[..., -1] = cv2.copyMakeBorder(share, 1, 2, 1, 2, cv2.BORDER_REPLICATE)
    return surface


def check_mer(noise_floor: float, blend: float) -> None:
    """Raise RecipeError unless the parameters of `mer` can be used."""
    if not 0.0 <= noise_floor <= 100.0:
        raise RecipeError(f"noise_floor {noise_floor} is outside 0..100", "leave it at 0.2, or give 0 to turn it off")
    if not 0.0 <= blend <= 0.5:
        raise RecipeError(f"blend {blend} is outside 0..0.5", "leave it at 0.5, or give 0 to keep the target's pixels")


@dataclass(frozen=True)
class Mer(Stage):
    """Frame pair to magnified frames by `mer`. Inputs: reference, target uint8 (y, x, c), and `af`."""

    name: ClassVar[str] = "magnify.mer"
    version: ClassVar[int] = 2
    along: ClassVar[str | None] = "af"

    noise_floor: float = 0.2
    edges: bool = True
    blend: float = 0.5

    def __post_init__(self) -> None:
        check_mer(self.noise_floor, self.blend)

    @property
    def returns(self) -> dict[str, ArraySpec]:
        """One magnified frame for each AF."""
        about = "target frame, its motion since the reference times AF"
        return {"image": ArraySpec(("y", "x", "channel"), "uint8", "grey level", 0, 255, about=about)}

    def __call__(self, *, reference: np.ndarray, target: np.ndarray, af: tuple[float, ...]) -> dict[str, np.ndarray]:
        return {"image": mer(reference, target, af, self.noise_floor, self.edges, self.blend)}


@dataclass(frozen=True)
class MerClip(Stage):
    """Clip to magnified clip by `mer` of every frame against the first. Input: clip uint8 (T, y, x, c)."""

    name: ClassVar[str] = "magnify.mer_clip"
    version: ClassVar[int] = 2

    af: float = 11.0
    noise_floor: float = 0.2
    edges: bool = True
    blend: float = 0.5

    def __post_init__(self) -> None:
        checked_factors((self.af,))
        check_mer(self.noise_floor, self.blend)

    @property
    def returns(self) -> dict[str, ArraySpec]:
        """The clip, magnified."""
        about = "clip, its motion since the first frame times AF"
        return {"image": ArraySpec(("frame", "y", "x", "channel"), "uint8", "grey level", 0, 255, about=about)}

    def __call__(self, *, clip: np.ndarray) -> dict[str, np.ndarray]:
        check_clip(clip)
        out = np.empty_like(clip)
        for row, frame in zip(out, clip, strict=True):
            row[:] = mer(clip[0], frame, (self.af,), self.noise_floor, self.edges, self.blend)[0]
        return {"image": out}
