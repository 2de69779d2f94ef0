"""Phase-based magnification of a clip: what turns the phases within a band of frequencies is turned further."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mer_pipe.stages.magnify._steerable import Pyramid, coefficients, pyramid, spectra
from mer_pipe.stages.magnify._turns import (
    BROADEST,
    WINDOW,
    angle,
    blurred,
    evidence,
    luma_of,
    noise,
    rounding,
    spread_to,
    steadiness,
)
from mer_pipe.stages.magnify.eulerian_clip import check_band, temporal_filter
from mer_pipe.stages.magnify.frames import check_clip, checked_factors
from mer_pipe.stages.magnify.levels import grey_levels
from mer_pipe.stages.magnify.phase import change, check_turns
from mer_pipe.types import ArraySpec, Stage

STEP = 2.0**-16  # rad: turns are counted in these, so that float64 sums of weight x turn are exact
FINE = 0.125  # of the noise of rounding: what `evidence` is made of is counted in these
WHOLE = np.float32(np.rint(2.0 * np.pi / STEP))  # steps in a whole turn
BLOCK = 1 << 12  # coefficients of each frame filtered at a time
APART = 2  # every second coefficient down and right is enough where a Gaussian of `WINDOW` has passed


def phase_clip(
    clip: np.ndarray,
    af: float,
    fps: float,
    low: float = 0.5,
    high: float = 15.0,
    filter: str = "butterworth",
    blur: float = 0.35,
    noise_floor: float = 0.07,
) -> np.ndarray:
    """`clip` with its motions between `low` and `high` Hz multiplied: uint8 (T, y, x, c).

    Wadhwa et al., SIGGRAPH 2013. In each band of the pyramid of `phase.phase` the turn of every frame since the first
    is measured, unwrapped in time, and filtered by `eulerian_clip.temporal_filter`; each frame's coefficients are turned
    by AF - 1 times the result again. The filter has zero phase: magnified motion comes neither late nor early. Motion
    is counted from the clip's mean, so the first frame moves too. A clip that does not change is returned as it is,
    and so is AF 1. What is said there of brightness, colours, wavelengths and noise holds here; whether a place moves
    is judged once, by the frame in which it moves most.

    Memory grows by about 20 bytes a pixel and frame: the turns of all frames are held as float32, the coefficients of
    one frame only. 150 frames of 256 x 256 take 220 MB.

    Parameters
    ----------
    clip : uint8 (T, y, x, 1 or 3), T >= 2.
    af : total displacement factor, >= 0.
    fps : frames per second.
    low, high, filter : see `eulerian_clip.temporal_filter`.
    blur, noise_floor : see `phase.phase`.

    Raises
    ------
    ClipError : not a uint8 clip of 2 frames or more, or no frequency of it lies in the band.
    RecipeError : a parameter is out of range.
    """
    check_clip(clip)
    (af,) = checked_factors((af,))
    check_turns(blur, noise_floor)
    weights = temporal_filter(len(clip), fps, low, high, filter)
    out = clip.copy()
    bands = pyramid(*clip.shape[1:3])
    if af == 1.0 or not bands.bands:
        return out
    turns, factor = _turns(clip, bands, weights, blur, noise_floor)
    factors = [spread_to(factor, band) for band in bands.bands]
    for t, frame in enumerate(clip):
        spectrum = spectra(bands, np.moveaxis(frame, 2, 0).astype(np.float32))
        parts = [coefficients(spectrum, band) for band in bands.bands]
        turned = [turn[t] * f for turn, f in zip(turns, factors, strict=True)]
        out[t] = grey_levels(frame + change(bands, parts, turned, af - 1.0))
    return out


def _turns(
    clip: np.ndarray, bands: Pyramid, weights: np.ndarray, blur: float, noise_floor: float
) -> tuple[list[np.ndarray], np.ndarray]:
    """For each band its turns, filtered in time: float32 (T, n, m); and the `steadiness` of each place."""
    frames = len(clip)
    turns = [np.empty((frames, *band.filter.shape), np.float32) for band in bands.bands]
    judged = [i for i, band in enumerate(bands.bands) if noise_floor > 0.0 and band.wavelength <= BROADEST]
    across = {i: np.empty_like(turns[i][:, ::APART, ::APART]) for i in judged}
    energy = {i: np.zeros(turns[i].shape[1:]) for i in judged}
    variance = dict.fromkeys(judged, 0.0)
    first = _parts(clip[0], bands)
    for t, frame in enumerate(clip):
        for i, (band, before, after) in enumerate(zip(bands.bands, first, _parts(frame, bands), strict=True)):
            product = after * np.conj(before)
            turn = _in_steps(angle(blurred(product, band, blur)), STEP)
            turns[i][t] = _unwrapped(turn, turns[i][t - 1]) if t else turn
            if i in across:
                broad = blurred(product, band, WINDOW)
                across[i][t] = _in_steps(broad.imag[::APART, ::APART], rounding(band, bands.padded) * FINE)
                energy[i] += np.abs(product)
                variance[i] += noise(before, after, angle(broad), band, bands.padded) if t else 0.0
    for turn in turns:
        _filter(turn, weights, STEP)
    if not judged:
        return turns, np.ones((1, 1), np.float32)
    pooled = np.zeros((frames, bands.padded[0] // 4, bands.padded[1] // 4), np.float32)
    for i in judged:
        _filter(across[i], weights, rounding(bands.bands[i], bands.padded) * FINE)
        mean = blurred((energy[i] / frames).astype(np.float32), bands.bands[i], WINDOW)[::APART, ::APART]
        for t in range(frames):
            pooled[t] += evidence(mean, across[i][t], variance[i] / (frames - 1), bands)
    return turns, steadiness(pooled.max(axis=0) / np.float32(len(judged)), noise_floor)


def _parts(frame: np.ndarray, bands: Pyramid) -> list[np.ndarray]:
    """The coefficients of a frame's luma."""
    spectrum = spectra(bands, luma_of(np.moveaxis(frame, 2, 0).astype(np.float32)))
    return [coefficients(spectrum, band) for band in bands.bands]


def _in_steps(values: np.ndarray, step: float) -> np.ndarray:
    """`values` (n, m) rounded to multiples of `step`, counted in steps: float32."""
    return np.rint(values * np.float32(1.0 / step))


def _unwrapped(turn: np.ndarray, last: np.ndarray) -> np.ndarray:
    """`turn` and as many whole turns as bring it nearest to `last`, all in steps."""
    return turn + np.rint((last - turn) / WHOLE) * WHOLE


def _filter(values: np.ndarray, weights: np.ndarray, step: float) -> None:
    """`weights` (T, T) applied in place to the change of `values` (T, n, m) since the first frame, given in steps.

    Whole numbers times weights that are multiples of 2^-24 have exact sums in float64, so that their order (threads,
    blocks) cannot matter.
    """
    flat = values.reshape(len(values), -1)
    for start in range(0, flat.shape[1], BLOCK):
        block = slice(start, start + BLOCK)
        levels = flat[:, block].astype(np.float64)
        flat[:, block] = (weights @ (levels - levels[0])) * step


@dataclass(frozen=True)
class PhaseClip(Stage):
    """Clip to magnified clip by `phase_clip`. Input: clip uint8 (T, y, x, c)."""

    name: ClassVar[str] = "magnify.phase_clip"
    version: ClassVar[int] = 1

    af: float = 11.0
    low: float = 0.5
    high: float = 15.0
    fps: float = 200.0
    filter: str = "butterworth"
    blur: float = 0.35
    noise_floor: float = 0.07

    def __post_init__(self) -> None:
        checked_factors((self.af,))
        check_band(self.low, self.high, self.filter)
        check_turns(self.blur, self.noise_floor)

    @property
    def returns(self) -> dict[str, ArraySpec]:
        """The clip, magnified."""
        about = "clip, the turns of its phases in the temporal band times AF"
        return {"image": ArraySpec(("frame", "y", "x", "channel"), "uint8", "grey level", 0, 255, about=about)}

    def __call__(self, *, clip: np.ndarray) -> dict[str, np.ndarray]:
        image = phase_clip(clip, self.af, self.fps, self.low, self.high, self.filter, self.blur, self.noise_floor)
        return {"image": image}
