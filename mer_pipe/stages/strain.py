"""Optical strain of a flow field, and the three-channel motion image [u, v, strain]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mer_pipe.types import ArraySpec, ClipError, RecipeError, Stage


def optical_strain(flow: np.ndarray, sigma: float = 2.0) -> np.ndarray:
    """Return the magnitude of the infinitesimal strain tensor of a flow.

    sqrt(exx^2 + eyy^2 + 1/2 (du/dy + dv/dx)^2), with exx = du/dx, eyy = dv/dy: the Frobenius norm of the symmetric part
    of the flow's gradient, as in MSMMT (Wang et al., 2022). Translation and rotation have none.

    Parameters
    ----------
    flow : (y, x, 2) floating point, u (right) and v (down) in px. float32 is calculated in float32, float64 in float64.
    sigma : standard deviation, in px, of the Gaussian whose derivatives are taken (cut at 4 sigma). 0 takes central
        differences without smoothing.

    Returns
    -------
    (y, x) float32, >= 0, px per px. A linear flow gives its exact strain up to the border: outside the image the
    flow is continued by point reflection, f(-i) = 2 f(0) - f(i).

    Raises
    ------
    ClipError : the array is not (y, x, 2), floating point and finite.
    RecipeError : sigma is negative or not finite.
    """
    if flow.ndim != 3 or flow.shape[2] != 2 or flow.dtype.kind != "f" or 0 in flow.shape:
        raise ClipError(f"an array of shape {flow.shape} and type {flow.dtype} is no flow", "Pass (y, x, 2) float32.")
    if not np.isfinite(flow).all():
        raise ClipError("the flow holds values that are not finite", "Compute the flow again.")
    from mer_pipe.stages import _derivatives

    smooth, slope = _taps(sigma)
    flow = np.ascontiguousarray(flow, np.float64 if flow.dtype.itemsize > 4 else np.float32)
    if sigma == 0:
        return _derivatives.central_strain(flow)
    return _derivatives.gaussian_strain(flow, smooth.astype(flow.dtype), slope.astype(flow.dtype))


def _taps(sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian and derivative-of-Gaussian weights at 0, 1, ..., scaled to be exact on constants and on straight lines."""
    if not (np.isfinite(sigma) and sigma >= 0):
        raise RecipeError(f"strain cannot smooth with sigma {sigma}", "Give 0 or a positive number of px.")
    x = np.arange(max(1, int(np.ceil(4 * sigma))) + 1, dtype=np.float64)
    if sigma == 0:
        return np.array([1.0, 0.0]), x / 2
    smooth = np.exp(-0.5 * (x / sigma) ** 2)
    slope = x * np.exp(-0.5 * (x**2 - 1).clip(0) / sigma**2)  # relative to the first tap, which no small sigma loses
    return smooth / (2 * smooth.sum() - 1), slope / (2 * x @ slope)


def motion(flow: np.ndarray, strain: np.ndarray) -> np.ndarray:
    """Return the (y, x, 3) float32 image [u, v, strain] of a flow (y, x, 2) and its strain (y, x).

    Raises ClipError where the two differ in size.
    """
    if flow.shape != (*strain.shape, 2):
        raise ClipError(f"a flow of shape {flow.shape} and a strain of shape {strain.shape} do not belong together")
    return np.concatenate([flow, strain[..., None]], axis=2).astype(np.float32, copy=False)


@dataclass(frozen=True)
class Strain(Stage):
    """The optical strain of one flow: `flow` (y, x, 2) to (y, x). See `optical_strain`.

    Attributes
    ----------
    sigma : standard deviation of the derivative filter in px; 0 for central differences.
    """

    name: ClassVar[str] = "strain"
    version: ClassVar[int] = 2

    sigma: float = 2.0

    def __post_init__(self) -> None:
        _taps(self.sigma)

    @property
    def returns(self) -> dict[str, ArraySpec]:
        return {"strain": ArraySpec(("y", "x"), "float32", "px/px", 0, about="magnitude of the strain tensor")}

    def __call__(self, flow: np.ndarray) -> dict[str, np.ndarray]:
        return {"strain": optical_strain(flow, self.sigma)}


@dataclass(frozen=True)
class Motion(Stage):
    """Flow and strain as one image: `flow` (y, x, 2) and `strain` (y, x) to (y, x, 3), channels [u, v, strain]."""

    name: ClassVar[str] = "motion"
    version: ClassVar[int] = 1

    @property
    def returns(self) -> dict[str, ArraySpec]:
        spec = ArraySpec(
            ("y", "x", "channel"), "float32", "px, px, px/px", shape=(None, None, 3), about="channels [u, v, strain]"
        )
        return {"motion": spec}

    def __call__(self, flow: np.ndarray, strain: np.ndarray) -> dict[str, np.ndarray]:
        return {"motion": motion(flow, strain)}
