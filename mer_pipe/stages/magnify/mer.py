"""mer-pipe's own magnifier: fine motion, both frames in one picture, layers in front of each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mer_pipe.stages.magnify.fine_motion import fine_motion
from mer_pipe.stages.magnify.frames import check_clip, check_pair, checked_factors, quantum_of
from mer_pipe.stages.magnify.levels import grey_levels, rounding_half
from mer_pipe.stages.magnify.motion import blurred, illumination, luma
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
    of the point's two pictures (`blended`), which halves the noise's variance; the result is a mesh whose moving parts cover the
    resting ones (`_mesh_kernels.positions_in_front`). AF 1 returns the target's values, identical frames come back
    identical at every AF.

    Parameters
    ----------
    reference, target : uint8, or float32 in 0..255, (y, x, 1) or (y, x, 3), alike. The result has their type.
    af : total displacement factors, >= 0, fractional or not.
    noise_floor, edges : how the motion is measured, see `fine_motion.fine_motion`.
    blend : greatest share of the reference in the picture, 0..0.5; with 0 the target's pixels are kept as they are.

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

    from mer_pipe.stages.magnify._mesh_kernels import positions_in_front
    from mer_pipe.stages.magnify._warp_kernels import sample
    from mer_pipe.stages.magnify.spline import spline

    before, after = luma(reference), luma(target)
    quantum = quantum_of(reference, target)
    gain, bias = (np.float32(v) for v in illumination(before, after, quantum))
    flow = fine_motion(np.clip(gain * before + bias, 0, 255), after, noise_floor, edges, quantum)
    picture = target.astype(np.float32)
    if blend > 0:
        picture = blended(np.clip(gain * reference + bias, 0, 255), picture, flow, blend, quantum)
    surface, image, half = spline(picture), grey_levels(picture, target.dtype), rounding_half(target.dtype)
    for row, factor in zip(out, factors, strict=True):
        if factor != 1.0:
            row[:] = sample(surface, image, positions_in_front(flow, factor), half) if flow.any() else image
    return out


def blended(
    reference: np.ndarray, target: np.ndarray, flow: np.ndarray, share: float, quantum: float = 1.0
) -> np.ndarray:
    """The target with each point's grey levels in the reference mixed in, where both show the same: float32 (y, x, c).

    The reference is carried onto the target along `flow`. Of it `share` is taken where the lumas differ by noise alone,
    ``share / (1 + (e / 4)^2)`` elsewhere: e is their squared difference under a Gaussian of 1.5 px, over the variance of
    the noise (robust, from the median absolute difference). What was covered or uncovered stays the target's own.

    Parameters
    ----------
    reference, target : float32 (y, x, c), grey levels, of equal brightness.
    flow : float32 (y, x, 2), px, from reference to target.
    quantum : see `frames.quantum_of`.
    """
    from mer_pipe.stages.magnify._warp_kernels import follow
    from mer_pipe.stages.magnify.spline import spline

    back, surface = inverted(flow), spline(reference)
    difference = target - np.stack([follow(surface[c : c + 1], back) for c in range(target.shape[2])], axis=2)
    apart = luma(difference)
    deviation = 1.4826 * float(np.median(np.abs(apart - np.median(apart))))
    misfit = blurred(apart * apart, 1.5) / np.float32(deviation * deviation + quantum * quantum / 15.0)
    mixed = np.float32(share) / (np.float32(1.0) + np.square(misfit / np.float32(4.0)))
    return target - mixed[..., None] * difference


def inverted(flow: np.ndarray, steps: int = 4) -> np.ndarray:
    """The motion that undoes `flow`, by fixed point: float32 (y, x, 2), px."""
    import cv2

    rows, columns = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    there = flow
    for _ in range(steps):
        x, y = columns - there[..., 0], rows - there[..., 1]
        there = cv2.remap(flow, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return -there


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
    version: ClassVar[int] = 1
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
    version: ClassVar[int] = 1

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
