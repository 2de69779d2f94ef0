"""How far ResNet-18 in bfloat16 lies from itself in float32, and whether that is near enough. Imports torch: import it lazily."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from mer_pipe.stages import _folded
from mer_pipe.types import ModelError, Weights

GATE = 0.9999


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 (AVX-512 BF16, AMX); elsewhere it is emulated, slower than float32."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def calibration() -> np.ndarray:
    """Eight fixed images, (8, 128, 128, 3) uint8: textures of three scales, of the contrast of faces."""
    rng = np.random.default_rng(0)
    images = np.full((8, 128, 128, 3), 128.0)
    for cells, contrast in ((4, 40), (16, 20), (128, 5)):
        images += np.kron(rng.normal(0, contrast, (8, cells, cells, 3)), np.ones((1, 128 // cells, 128 // cells, 1)))
    return images.clip(0, 255).round().astype(np.uint8)


@lru_cache(maxsize=8)
def agreement(weights: Weights, output: str, mean: tuple[float, ...], std: tuple[float, ...]) -> float:
    """Return the least cosine between features in bfloat16 and in float32 over the images of `calibration`.

    Six decimals, rounded down.

    Raises
    ------
    ModelError : it is below 0.9999.
    """
    exact, near = (
        _folded.load(weights, precision).outputs(calibration(), output, mean, std).reshape(8, -1).astype(np.float64)
        for precision in ("float32", "bfloat16")
    )
    lengths = np.linalg.norm(exact, axis=1) * np.linalg.norm(near, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        least = float(np.floor(np.min((exact * near).sum(axis=1) / lengths) * 1e6) / 1e6)
    if not least >= GATE:
        raise ModelError(
            f"in bfloat16, {output} of {weights.digest} has a cosine of {least:.6f} to float32, less than {GATE}",
            "Take features.precision=float32.",
        )
    return least
