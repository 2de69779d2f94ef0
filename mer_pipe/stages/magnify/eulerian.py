"""Linear Eulerian magnification: the change of a frame, band by band of a Laplacian pyramid, multiplied and added."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mer_pipe.stages.magnify.frames import check_pair, checked_factors
from mer_pipe.stages.magnify.levels import grey_levels
from mer_pipe.types import ArraySpec, RecipeError, Stage

BROADEST = 4  # px: no pyramid level is smaller than this


def eulerian(
    reference: np.ndarray, target: np.ndarray, af: Sequence[float], lambda_c: float = 24.0, chroma: float = 0.1
) -> np.ndarray:
    """`target` with its change since `reference` multiplied: (af, y, x, c).

    Wu et al., SIGGRAPH 2012, for two frames: ``target + sum over bands of alpha_band * change_band``, where alpha is
    AF - 1 in the bands that are coarse enough and less in the finer ones (`band_gains`). AF 1 returns the target's
    values, AF 0 the reference's. First-order: it holds while AF x motion is below about an eighth of the wavelength.

    Parameters
    ----------
    reference, target : uint8, or float32 in 0..255, (y, x, 1) or (y, x, 3), alike. The result has their type.
    af : total displacement factors, >= 0.
    lambda_c : px: the spatial wavelength from which on the full alpha is used; 0 for no attenuation.
    chroma : what remains of alpha for the two colour axes, 0..1 (used for AF above 1).

    Raises
    ------
    ClipError : the frames differ in size or type, or are no such images.
    RecipeError : a factor is negative or not finite.
    """
    check_pair(reference, target)
    factors = checked_factors(af)
    out = np.empty((len(factors), *target.shape), target.dtype)
    bands = laplacian_bands(target.astype(np.float32) - reference.astype(np.float32))
    for row, factor in zip(out, factors, strict=True):
        row[:] = added(target, bands, factor, lambda_c, chroma)
    return out


def added(target: np.ndarray, bands: list[np.ndarray], af: float, lambda_c: float, chroma: float) -> np.ndarray:
    """`target` (y, x, c) plus the weighted sum of `bands` (`laplacian_bands` of its change), in the target's type."""
    if af == 1.0:
        return target
    change = collapsed(
        [np.float32(gain) * band for gain, band in zip(band_gains(len(bands), af, lambda_c), bands, strict=True)]
    )
    if af > 1.0 and chroma < 1.0 and change.shape[2] == 3:
        luma = change @ np.array([0.299, 0.587, 0.114], np.float32)
        change = luma[..., None] + np.float32(chroma) * (change - luma[..., None])
    return grey_levels(target + change, target.dtype)


def band_gains(levels: int, af: float, lambda_c: float) -> list[float]:
    """alpha of each pyramid level, finest first.

    Level l holds wavelengths about ``4 * 2**l`` px. Wu et al. bound the excess by ``(1 + alpha) * motion < lambda / 8``
    and let alpha fall linearly below the cut-off wavelength: ``alpha_l = min(AF - 1, AF * lambda_l / lambda_c - 1)``,
    not below 0. The coarsest level holds everything coarser and keeps AF - 1. An AF below 1 takes motion away and needs
    no bound.
    """
    alpha = af - 1.0
    if alpha <= 0.0 or lambda_c == 0.0:
        return [alpha] * levels
    gains = [max(0.0, min(alpha, af * 4.0 * 2.0**level / lambda_c - 1.0)) for level in range(levels)]
    return [*gains[:-1], alpha]


def laplacian_bands(image: np.ndarray) -> list[np.ndarray]:
    """Laplacian pyramid (Burt & Adelson 1983) of a float32 (y, x, c) image, finest band first, the rest last."""
    import cv2

    levels = max(0, int(math.log2(max(1.0, min(image.shape[:2]) / BROADEST))))
    bands, rest = [], image
    for _ in range(levels):
        smaller = _with_channels(cv2.pyrDown(rest, borderType=cv2.BORDER_REFLECT_101))
        bands.append(rest - _doubled(smaller, rest))
        rest = smaller
    return [*bands, rest]


def collapsed(bands: list[np.ndarray]) -> np.ndarray:
    """The image whose `laplacian_bands` these are."""
    image = bands[-1]
    for band in reversed(bands[:-1]):
        image = band + _doubled(image, band)
    return image


def _doubled(image: np.ndarray, like: np.ndarray) -> np.ndarray:
    import cv2

    return _with_channels(cv2.pyrUp(image, dstsize=(like.shape[1], like.shape[0])))


def _with_channels(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 3 else image[..., None]


def check_attenuation(lambda_c: float, chroma: float) -> None:
    """Raise RecipeError unless the wavelength and the share of chroma can be used."""
    if not 0.0 <= lambda_c < math.inf:
        raise RecipeError(
            f"lambda_c {lambda_c} is not a wavelength in px", "give 0 (no attenuation) or more, for example 24"
        )
    if not 0.0 <= chroma <= 1.0:
        raise RecipeError(f"chroma {chroma} is outside 0..1", "give 1 for full colour change, 0 for none")


@dataclass(frozen=True)
class Eulerian(Stage):
    """Frame pair to magnified frames by `eulerian`. Inputs: reference, target uint8 (y, x, c), and `af`."""

    name: ClassVar[str] = "magnify.eulerian"
    version: ClassVar[int] = 1
    along: ClassVar[str | None] = "af"

    lambda_c: float = 24.0
    chroma: float = 0.1

    def __post_init__(self) -> None:
        check_attenuation(self.lambda_c, self.chroma)

    @property
    def returns(self) -> dict[str, ArraySpec]:
        """One magnified frame for each AF."""
        about = "target frame, its change since the reference times AF"
        return {"image": ArraySpec(("y", "x", "channel"), "uint8", "grey level", 0, 255, about=about)}

    def __call__(self, *, reference: np.ndarray, target: np.ndarray, af: tuple[float, ...]) -> dict[str, np.ndarray]:
        return {"image": eulerian(reference, target, af, self.lambda_c, self.chroma)}
