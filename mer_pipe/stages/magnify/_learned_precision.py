"""How far the learned magnifier in bfloat16 lies from itself in float32, and whether that is near enough.

Imports torch: import it lazily.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mer_pipe.stages.magnify import _packed
from mer_pipe.types import ModelError, Weights

GATE = 0.0005
FACTORS = (2.0, 6.0, 13.0)


def calibration() -> tuple[np.ndarray, np.ndarray]:
    """Four fixed pairs, references and targets, each (4, 64, 64, 3) uint8: textures that move by 0.4 to 0.9 px, in noise.

    Fields of random waves, of the contrast of faces; moved by the shift theorem, exactly.
    """
    rng = np.random.default_rng(0)
    rows, columns = np.fft.fftfreq(64)[:, None], np.fft.fftfreq(64)[None]
    fall = 1 / np.maximum(np.hypot(rows, columns), 1 / 64) ** 1.3 * (np.hypot(rows, columns) < 0.4)
    pairs = []
    for angle, length in zip(rng.uniform(0, 2 * np.pi, 4), (0.4, 0.55, 0.7, 0.9), strict=True):
        waves = np.fft.fft2(rng.standard_normal((3, 64, 64))) * fall
        moved = waves * np.exp(-2j * np.pi * length * (np.cos(angle) * columns + np.sin(angle) * rows))
        pair = np.moveaxis(np.fft.ifft2([waves, moved]).real, 1, 3)
        pair = 128 + 40 * pair / pair.std() + rng.normal(0, 1, pair.shape)
        pairs.append(pair.clip(0, 255).round().astype(np.uint8))
    first, second = zip(*pairs, strict=True)
    return np.stack(first), np.stack(second)


@lru_cache(maxsize=8)
def difference(weights: Weights) -> float:
    """Return 1 - SSIM between images in bfloat16 and in float32, the mean over the pairs of `calibration` at its worst AF.

    Six decimals, rounded up.

    Raises
    ------
    ModelError : it is above 0.0005, or the checkpoint cannot be used.
    """
    import torch
    from skimage.metrics import structural_similarity

    exact, near = (_packed.load(weights, precision) for precision in ("float32", "bfloat16"))
    apart = np.zeros((4, len(FACTORS)))
    with torch.inference_mode():
        for row, pair in zip(apart, zip(*calibration(), strict=True), strict=True):
            frames = [torch.from_numpy(frame) for frame in pair]
            made = [[image.numpy() for image in net(*frames, FACTORS)] for net in (exact, near)]
            row[:] = [1 - structural_similarity(a, b, channel_axis=2) for a, b in zip(*made, strict=True)]
    worst = float(np.ceil(apart.mean(0).max() * 1e6) / 1e6)
    if not worst <= GATE:
        raise ModelError(
            f"in bfloat16, images of {weights.digest} have an SSIM of {1 - worst:.6f} to those in float32, less than {1 - GATE}",
            "take precision float32",
        )
    return worst
