"""Magnification of grey levels pixel by pixel: the plainest there is, kept to compare others with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mer_pipe.stages.magnify.frames import check_pair, checked_factors
from mer_pipe.stages.magnify.levels import grey_levels
from mer_pipe.types import ArraySpec, Stage


def pixel(reference: np.ndarray, target: np.ndarray, af: Sequence[float]) -> np.ndarray:
    """``reference + AF (target - reference)`` at each pixel, clipped to 0..255: (af, y, x, c).

    The first-order formula that micro-expression papers state for magnification, taken literally. It is Wu et al.,
    SIGGRAPH 2012, ``I + alpha B``, with alpha = AF - 1, the change since the reference as B, and neither bands nor
    filters. Grey levels change, nothing moves: it holds while AF x motion is below an eighth of the wavelength, it
    multiplies noise and flicker by AF, and it saturates. Use it for ablations. AF 0 returns the reference's values, AF
    1 the target's.

    Parameters
    ----------
    reference, target : uint8, or float32 in 0..255, (y, x, 1) or (y, x, 3), alike. The result has their type.
    af : total displacement factors, >= 0, fractional or not.

    Raises
    ------
    ClipError : the frames differ in size or type, or are no such images.
    RecipeError : a factor is negative or not finite.
    """
    check_pair(reference, target)
    factors = checked_factors(af)
    before = reference.astype(np.float64)
    difference = target.astype(np.float64) - before
    out = np.empty((len(factors), *target.shape), target.dtype)
    for row, factor in zip(out, factors, strict=True):
        row[:] = target if factor == 1.0 else grey_levels(before + factor * difference, target.dtype)
    return out


@dataclass(frozen=True)
class Pixel(Stage):
    """Frame pair to magnified frames by `pixel`. Inputs: reference, target uint8 (y, x, c), and `af`."""

    name: ClassVar[str] = "magnify.pixel"
    version: ClassVar[int] = 1
    along: ClassVar[str | None] = "af"

    @property
    def returns(self) -> dict[str, ArraySpec]:
        """One magnified frame for each AF."""
        about = "reference frame plus AF times the change of grey level to the target"
        return {"image": ArraySpec(("y", "x", "channel"), "uint8", "grey level", 0, 255, about=about)}

    def __call__(self, *, reference: np.ndarray, target: np.ndarray, af: tuple[float, ...]) -> dict[str, np.ndarray]:
        return {"image": pixel(reference, target, af)}
