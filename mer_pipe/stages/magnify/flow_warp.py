"""Flow-warp magnification: measure the motion once, multiply it, move the target's pixels to where it leads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mer_pipe.stages.magnify.frames import check_clip, check_pair, checked_factors
from mer_pipe.stages.magnify.levels import rounding_half
from mer_pipe.stages.magnify.motion import motion
from mer_pipe.types import ArraySpec, RecipeError, Stage


def flow_warp(
    reference: np.ndarray,
    target: np.ndarray,
    af: Sequence[float],
    noise_floor: float = 0.03,
    window: float = 6.0,
    finest: int = 0,
) -> np.ndarray:
    """`target` with its motion since `reference` multiplied by each factor: (af, y, x, c).

    A point that lies at x in the reference and at x + f(x) in the target lies at x + AF f(x) in the result, which
    keeps the target's colours: ``out(x + AF f(x)) = target(x + f(x))``. AF 1 returns the target's values; AF 0 moves
    the target back onto the reference. f is `motion.motion`; the inverse of x + AF f(x) is found by fixed point, and the
    target is sampled by cubic B-spline. Where AF x motion folds over itself no exact answer exists and the nearest is
    taken.

    Parameters
    ----------
    reference, target : uint8, or float32 in 0..255, (y, x, 1) or (y, x, 3), alike. The result has their type.
    af : total displacement factors, >= 0, fractional or not.
    noise_floor, window, finest : how the motion is measured, see `motion.motion`.

    Raises
    ------
    ClipError : the frames differ in size or type, or are no such images.
    RecipeError : a factor is negative or not finite.
    """
    check_pair(reference, target)
    factors = checked_factors(af)
    moving = [factor for factor in factors if factor != 1.0]
    flow = motion(reference, target, noise_floor, window, finest) if moving else None
    out = np.empty((len(factors), *target.shape), target.dtype)
    if flow is None or not flow.any():
        out[:] = target
        return out

    from mer_pipe.stages.magnify._warp_kernels import positions_in_target, sample
    from mer_pipe.stages.magnify.spline import spline

    surface, image, half = spline(target), np.array(target, order="C"), rounding_half(target.dtype)
    for row, factor in zip(out, factors, strict=True):
        row[:] = target if factor == 1.0 else sample(surface, image, positions_in_target(flow, factor), half)
    return out


def check_motion(noise_floor: float, window: float, finest: int) -> None:
    """Raise RecipeError unless the parameters of `motion.motion` can be used."""
    if not 0.0 <= noise_floor <= 100.0:
        raise RecipeError(f"noise_floor {noise_floor} is outside 0..100", "leave it at 0.03, or give 0 to turn it off")
    if not 0.5 <= window <= 100.0:
        raise RecipeError(f"window {window} px is outside 0.5..100", "leave it at 6")
    if finest not in (0, 1, 2):
        raise RecipeError(f"finest {finest} is not a pyramid level", "give 0 (full resolution), 1 (half) or 2")


@dataclass(frozen=True)
class FlowWarp(Stage):
    """Frame pair to magnified frames by `flow_warp`. Inputs: reference, target uint8 (y, x, c), and `af`."""

    name: ClassVar[str] = "magnify.flow"
    version: ClassVar[int] = 2
    along: ClassVar[str | None] = "af"

    noise_floor: float = 0.03
    window: float = 6.0
    finest: int = 0

    def __post_init__(self) -> None:
        check_motion(self.noise_floor, self.window, self.finest)

    @property
    def returns(self) -> dict[str, ArraySpec]:
        """One magnified frame for each AF."""
        about = "target frame, its motion since the reference times AF"
        return {"image": ArraySpec(("y", "x", "channel"), "uint8", "grey level", 0, 255, about=about)}

    def __call__(self, *, reference: np.ndarray, target: np.ndarray, af: tuple[float, ...]) -> dict[str, np.ndarray]:
        return {"image": flow_warp(reference, target, af, self.noise_floor, self.window, self.finest)}


@dataclass(frozen=True)
class FlowWarpClip(Stage):
    """Clip to magnified clip by `flow_warp` of every frame against the first. Input: clip uint8 (T, y, x, c)."""

    name: ClassVar[str] = "magnify.flow_clip"
    version: ClassVar[int] = 2

    af: float = 11.0
    noise_floor: float = 0.03
    window: float = 6.0
    finest: int = 0

    def __post_init__(self) -> None:
        checked_factors((self.af,))
        check_motion(self.noise_floor, self.window, self.finest)

    @property
    def returns(self) -> dict[str, ArraySpec]:
        """The clip, magnified."""
        about = "clip, its motion since the first frame times AF"
        return {"image": ArraySpec(("frame", "y", "x", "channel"), "uint8", "grey level", 0, 255, about=about)}

    def __call__(self, *, clip: np.ndarray) -> dict[str, np.ndarray]:
        check_clip(clip)
        out = np.empty_like(clip)
        for row, frame in zip(out, clip, strict=True):
            row[:] = flow_warp(clip[0], frame, (self.af,), self.noise_floor, self.window, self.finest)[0]
        return {"image": out}
