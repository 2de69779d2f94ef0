"""Phase-based magnification of a pair: what turns the phases of a complex steerable pyramid is turned further."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mer_pipe.stages.magnify._steerable import Pyramid, coefficients, planes_of, put_back, pyramid, spectra
from mer_pipe.stages.magnify._turns import (
    BROADEST,
    WINDOW,
    angle,
    blurred,
    evidence,
    further,
    luma_of,
    noise,
    spread_to,
    steadiness,
)
from mer_pipe.stages.magnify.frames import check_pair, checked_factors, quantum_of
from mer_pipe.stages.magnify.levels import grey_levels
from mer_pipe.types import ArraySpec, RecipeError, Stage


def phase(
    reference: np.ndarray, target: np.ndarray, af: Sequence[float], blur: float = 0.35, noise_floor: float = 0.07
) -> np.ndarray:
    """`target` with its motion since `reference` multiplied: (af, y, x, c).

    Wadhwa et al., SIGGRAPH 2013, for two frames. A motion by d turns the phase of a band of wavelength lambda by
    ``2 pi d / lambda``; here the target's coefficients are turned by AF - 1 times as much again and added up. The turn
    is measured on luma and applied to all channels, so that colours move along. Brightness that changes without motion
    turns no phase, and is left alone. AF 1 returns the target's values, and so do identical frames; AF 0 gives about
    the reference.

    The turn is known while the motion is below half a wavelength. Turned waves leave their envelopes in place, so the
    result holds while ``(AF - 1) d`` is small against the wavelength: on random patterns one octave wide the error is
    10 % of the contrast at a quarter of the wavelength, 20 % at a half, 50 % at a whole one. Detail of 3 px errs by
    those 10 % where it is moved by 0.7 px, a pattern of 16 px where it is moved by 4 px.
    Waves longer than about half the shorter side are not moved.

    Parameters
    ----------
    reference, target : uint8, or float32 in 0..255, (y, x, 1) or (y, x, 3), alike. The result has their type.
    af : total displacement factors, >= 0, fractional or not.
    blur : sigma of the amplitude-weighted blur of the turns, in wavelengths of the band; 0 for none.
    noise_floor : turns are shrunk where they explain less than this part of the noise, see `steadiness`; 0 for never.

    Raises
    ------
    ClipError : the frames differ in size or type, or are no such images.
    RecipeError : a factor is negative or not finite, or a parameter is out of range.
    """
    check_pair(reference, target)
    factors = checked_factors(af)
    check_turns(blur, noise_floor)
    out = np.empty((len(factors), *target.shape), target.dtype)
    out[:] = target
    moving = [i for i, factor in enumerate(factors) if factor != 1.0]
    if not moving or np.array_equal(reference, target):
        return out
    bands = pyramid(*target.shape[:2])
    before, after = (spectra(bands, np.moveaxis(f, 2, 0).astype(np.float32)) for f in (reference, target))
    parts = [coefficients(after, band) for band in bands.bands]
    turns = _turns(bands, luma_of(before), parts, blur, noise_floor, quantum_of(reference, target))
    for i in moving:
        out[i] = grey_levels(target + change(bands, parts, turns, factors[i] - 1.0), target.dtype)
    return out


def change(bands: Pyramid, parts: list[np.ndarray], turns: list[np.ndarray], times: float) -> np.ndarray:
    """What turning each of `parts` (c, n, m) by `times` the `turns` (n, m) adds to the frame: float32 (y, x, c)."""
    channels = parts[0].shape[0] if parts else 1
    spectrum = np.zeros((channels, *bands.padded), np.complex64)
    for band, part, turned in zip(bands.bands, parts, turns, strict=True):
        put_back(spectrum, band, part * further(turned, times))
    return np.moveaxis(planes_of(bands, spectrum), 0, 2)


def _turns(
    bands: Pyramid,
    reference: np.ndarray,
    parts: list[np.ndarray],
    blur: float,
    noise_floor: float,
    quantum: float,
) -> list[np.ndarray]:
    """For each band how far the target has turned since `reference` (spectrum of its luma): float32 (n, m)."""
    turns, seen = [], []
    for band, part in zip(bands.bands, parts, strict=True):
        before, after = coefficients(reference, band), luma_of(part)
        product = after * np.conj(before)
        turns.append(angle(blurred(product, band, blur)))
        if noise_floor > 0.0 and band.wavelength <= BROADEST:
            broad = blurred(product, band, WINDOW)
            energy = blurred(np.abs(product), band, WINDOW)
            variance = noise(before, after, angle(broad), band, bands.padded, quantum)
            seen.append(evidence(energy, broad.imag, variance, bands))
    if not seen:
        return turns
    factor = steadiness(np.mean(seen, axis=0), noise_floor)
    return [turned * spread_to(factor, band) for band, turned in zip(bands.bands, turns, strict=True)]


def check_turns(blur: float, noise_floor: float) -> None:
    """Raise RecipeError unless the parameters of `phase` can be used."""
    if not 0.0 <= blur <= 4.0:
        raise RecipeError(f"blur {blur} wavelengths is outside 0..4", "leave it at 0.35, or give 0 for none")
    if not 0.0 <= noise_floor <= 100.0:
        raise RecipeError(f"noise_floor {noise_floor} is outside 0..100", "leave it at 0.07, or give 0 to turn it off")


@dataclass(frozen=True)
class Phase(Stage):
    """Frame pair to magnified frames by `phase`. Inputs: reference, target uint8 (y, x, c), and `af`."""

    name: ClassVar[str] = "magnify.phase"
    version: ClassVar[int] = 1
    along: ClassVar[str | None] = "af"

    blur: float = 0.35
    noise_floor: float = 0.07

    def __post_init__(self) -> None:
        check_turns(self.blur, self.noise_floor)

    @property
    def returns(self) -> dict[str, ArraySpec]:
        """One magnified frame for each AF."""
        about = "target frame, the turn of its phases since the reference times AF"
        return {"image": ArraySpec(("y", "x", "channel"), "uint8", "grey level", 0, 255, about=about)}

    def __call__(self, *, reference: np.ndarray, target: np.ndarray, af: tuple[float, ...]) -> dict[str, np.ndarray]:
        return {"image": phase(reference, target, af, self.blur, self.noise_floor)}
