"""How far the phases of one band have turned between two frames, and whether motion or noise has turned them."""

from __future__ import annotations

import math

import numpy as np

from mer_pipe.stages.magnify._steerable import Band, Pyramid

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
WINDOW = 2.0  # wavelengths: sigma of the Gaussian window over which motion is told from noise
BROADEST = 24.0  # px: a frame holds too few of longer waves to tell their noise
ROUNDING = 1.0 / 6.0  # variance of the difference of two rounded frames


def luma_of(channels: np.ndarray) -> np.ndarray:
    """Luma of RGB spectra or coefficients (3, n, m), or the one channel of (1, n, m): (n, m)."""
    if len(channels) == 1:
        return channels[0]
    red, green, blue = (np.float32(weight) * channel for weight, channel in zip(LUMA, channels, strict=True))
    return red + green + blue


def angle(values: np.ndarray) -> np.ndarray:
    """Angles of complex64 values in radians, -pi..pi, float32 of the same shape."""
    return np.arctan2(values.imag, values.real)


def noise(
    before: np.ndarray,
    after: np.ndarray,
    turned: np.ndarray,
    band: Band,
    padded: tuple[int, int],
    quantum: float = 1.0,
) -> float:
    """Variance of the coefficients that `turned` (n, m) leaves unexplained, not below that of rounding two frames.

    They are rounded to `quantum`. Robust: from the median of squared magnitudes, which is ln 2 of the mean for complex noise.
    """
    left = after - before * (further(turned, 1.0) + np.float32(1.0))
    found = float(np.median(np.square(left.real) + np.square(left.imag))) / math.log(2.0)
    return found + rounding(band, padded, quantum)


def rounding(band: Band, padded: tuple[int, int], quantum: float = 1.0) -> float:
    """Variance that rounding two frames to `quantum` leaves in the difference of their coefficients."""
    return quantum * quantum * ROUNDING * math.prod(padded) * float(np.square(band.filter).sum()) / band.filter.size**2


def evidence(energy: np.ndarray, across: np.ndarray, variance: float, bands: Pyramid) -> np.ndarray:
    """What turning explains over the variance of the noise: float32 on a grid of about 4 px that all bands share.

    A turn by ``across / energy`` fits the change best (least squares under the window, first order) and explains
    ``across^2 / energy`` of it, where `energy` is the windowed product of the magnitudes and `across` the windowed
    imaginary part of ``after * conj(before)``. In noise this is about the same whether a band holds texture or not.
    """
    import cv2

    explained = np.square(across) / np.maximum(energy, np.float32(1e-9)) * np.float32(1.0 / variance)
    down, right = (length // 4 for length in bands.padded)
    return cv2.resize(explained, (right, down), interpolation=cv2.INTER_LINEAR)


def steadiness(pooled: np.ndarray, noise_floor: float) -> np.ndarray:
    """Factor ``max(0, 1 - (noise_floor / pooled)^2)`` for the turns of all bands at a place, from pooled `evidence`.

    In white noise the pool is about 0.03, and below 0.07 nearly everywhere. A tenth of a pixel on skin texture explains
    several times that.
    """
    doubt = np.float32(noise_floor) / np.maximum(pooled, np.float32(1e-9))
    return np.maximum(np.float32(1.0) - doubt * doubt, np.float32(0.0))


def spread_to(factor: np.ndarray, band: Band) -> np.ndarray:
    """`factor` from the shared grid on that of `band`."""
    import cv2

    down, right = band.filter.shape
    return cv2.resize(factor, (right, down), interpolation=cv2.INTER_LINEAR)


def further(turned: np.ndarray, times: float) -> np.ndarray:
    """``exp(i times turned) - 1`` as complex64: what is added to a coefficient to turn it."""
    angle = np.float32(times) * turned
    out = np.empty(turned.shape, np.complex64)
    np.subtract(np.cos(angle), np.float32(1.0), out=out.real)
    np.sin(angle, out=out.imag)
    return out


def blurred(values: np.ndarray, band: Band, wavelengths: float) -> np.ndarray:
    """`values` (n, m), float32 or complex64, under a Gaussian whose sigma is that many wavelengths of the band."""
    import cv2

    if wavelengths == 0.0:
        return values
    sigma = [max(wavelengths * band.wavelength / spacing, 1e-3) for spacing in band.spacing]
    size = [2 * math.ceil(3.0 * s) + 1 for s in sigma]
    planes = np.ascontiguousarray(values).view(np.float32).reshape(*values.shape, -1)
    smooth = cv2.GaussianBlur(planes, (size[1], size[0]), sigma[1], sigmaY=sigma[0], borderType=cv2.BORDER_REFLECT)
    return smooth.view(values.dtype).reshape(values.shape)
