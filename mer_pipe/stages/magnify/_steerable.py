"""Complex steerable pyramid in the frequency domain: half-octave bands of six orientations, each on a grid of its own.

A band keeps one side of the spectrum within a box, and only that box is transformed back. Its coefficients are those of
Simoncelli & Freeman (ICIP 1995) but for a known rotation at each place, which differences of phase do not see. So the
whole pyramid has about 3.5 complex coefficients a pixel, where one without such boxes has 60.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

ORIENTATIONS = 6
STEP = 0.5  # octaves from band to band; each reaches over one octave
NARROWEST = 4.0  # the coarsest bands have this many samples of the frame's shorter side to an octave below Nyquist
MARGIN = 8  # px of mirrored frame on each side, so that opposite borders do not meet
ROOM = 1.3  # the box is this much wider than its band: magnified phase widens the band


@dataclass(frozen=True)
class Band:
    """One scale and orientation of the pyramid."""

    level: int
    """0 is the finest."""
    wavelength: float
    """px, of the middle of the band."""
    box: tuple[slice, slice]
    """Where the band lies in the spectrum, whose zero frequency is in the middle."""
    filter: np.ndarray
    """float32, of the size of the box: used once to take the band out and once to put it back."""
    spacing: tuple[float, float]
    """px between neighbouring coefficients: down, right."""


@dataclass(frozen=True)
class Pyramid:
    """The bands of frames of one size."""

    frame: tuple[int, int]
    padded: tuple[int, int]
    bands: tuple[Band, ...]

    @property
    def origin(self) -> tuple[int, int]:
        """Where the frame begins in the padded one."""
        return (self.padded[0] - self.frame[0]) // 2, (self.padded[1] - self.frame[1]) // 2


@lru_cache(maxsize=8)
def pyramid(height: int, width: int) -> Pyramid:
    """The pyramid of frames of height x width px. A frame of less than 6 px has no band."""
    padded = (_fast_even(height + 2 * MARGIN), _fast_even(width + 2 * MARGIN))
    down, right = (np.arange(-(n // 2), n // 2) * (2.0 / n) for n in padded)  # 1 is Nyquist
    radius = np.log2(np.maximum(np.hypot(down[:, None], right), 1e-9))
    angle = np.arctan2(down[:, None], right)
    levels = max(0, math.floor(math.log2(min(height, width) / NARROWEST) / STEP))
    bands = []
    for level in range(levels):
        octaves = (radius + (level + 1) * STEP) / STEP
        radial = np.cos(0.5 * np.pi * np.clip(octaves, -1.0, 0.0 if level == 0 else 1.0))  # the finest keeps the rest
        for orientation in range(ORIENTATIONS):
            middle = np.pi * orientation / ORIENTATIONS - 0.5 * np.pi
            turn = np.angle(np.exp(1j * (angle - middle))) * (ORIENTATIONS / np.pi)
            response = radial * np.cos(0.5 * np.pi * np.clip(turn, -1.0, 1.0))
            response[0] = response[:, 0] = 0.0  # Nyquist has no side
            response[response < 1e-4] = 0.0
            if response.any():
                bands.append(_band(level, response, padded))
    return Pyramid((height, width), padded, tuple(bands))


def _band(level: int, response: np.ndarray, padded: tuple[int, int]) -> Band:
    box = []
    for axis, length in enumerate(padded):
        used = np.flatnonzero(response.any(axis=1 - axis))
        first, size = int(used[0]), int(used[-1] - used[0]) + 1
        room = min(_fast(math.ceil(size * ROOM)), length)
        start = min(max(0, first - (room - size) // 2), length - room)
        box.append(slice(start, start + room))
    filter = np.ascontiguousarray(response[tuple(box)], np.float32)
    filter.flags.writeable = False
    spacing = (padded[0] / filter.shape[0], padded[1] / filter.shape[1])
    return Band(level, 2.0 * 2.0 ** ((level + 1) * STEP), (box[0], box[1]), filter, spacing)


def spectra(bands: Pyramid, planes: np.ndarray) -> np.ndarray:
    """Spectra of `planes` (..., y, x), mirrored at their borders: complex (..., Y, X), zero frequency in the middle.

    complex64 for float32 planes, complex128 for float64.
    """
    from scipy.fft import fft2, fftshift

    (top, left), (height, width) = bands.origin, bands.frame
    grow = ((top, bands.padded[0] - height - top), (left, bands.padded[1] - width - left))
    padded = np.pad(planes, [(0, 0)] * (planes.ndim - 2) + list(grow), mode="symmetric")
    return fftshift(fft2(padded), axes=(-2, -1))


def coefficients(spectrum: np.ndarray, band: Band) -> np.ndarray:
    """The coefficients of `band`, complex (..., n, m), of spectra (..., Y, X)."""
    from scipy.fft import ifft2

    return ifft2(spectrum[..., band.box[0], band.box[1]] * band.filter, overwrite_x=True)


def put_back(spectrum: np.ndarray, band: Band, values: np.ndarray) -> None:
    """Add the coefficients `values` (..., n, m), which may be overwritten, to spectra (..., Y, X) in place."""
    from scipy.fft import fft2

    values = fft2(values, overwrite_x=True)
    values *= band.filter
    spectrum[..., band.box[0], band.box[1]] += values


def planes_of(bands: Pyramid, spectrum: np.ndarray) -> np.ndarray:
    """The real planes (..., y, x) whose one-sided spectra (..., Y, X) `put_back` has added up."""
    from scipy.fft import ifft2, ifftshift

    (top, left), (height, width) = bands.origin, bands.frame
    planes = ifft2(ifftshift(spectrum, axes=(-2, -1)), overwrite_x=True)
    return 2.0 * planes.real[..., top : top + height, left : left + width]


def remainder(bands: Pyramid) -> np.ndarray:
    """What part of each frequency no band holds, float64 (Y, X): the coarsest, and Nyquist."""
    power = np.zeros(bands.padded)
    for band in bands.bands:
        power[band.box] += np.square(band.filter.astype(np.float64))
    power[1:, 1:] += power[1:, 1:][::-1, ::-1].copy()
    return 1.0 - power


def _fast(length: int) -> int:
    from scipy.fft import next_fast_len

    return next_fast_len(length)


def _fast_even(length: int) -> int:
    length = _fast(length)
    while length % 2:
        length = _fast(length + 1)
    return length
