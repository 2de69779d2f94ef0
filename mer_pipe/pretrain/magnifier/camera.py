"""What a camera makes of a frame: colours, noise, flicker, compression, whole grey levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mer_pipe.pretrain.magnifier.settings import Settings


@dataclass(frozen=True)
class Look:
    """A change of colours that is the same in every frame of a scene: out = 255 (gain in / 255 + bias) ** gamma.

    Attributes
    ----------
    gain, bias, gamma : three values each, for the channels in the order of `order`.
    order : permutation of the channels.
    gray : whether the three channels become equal.
    """

    gain: np.ndarray
    bias: np.ndarray
    gamma: np.ndarray
    order: tuple[int, ...] = (0, 1, 2)
    gray: bool = False

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(y, x, 3) float32 grey levels in another look."""
        if self.gray:
            luma = image @ np.array([0.299, 0.587, 0.114], np.float32)
            image = np.repeat(luma[..., None], 3, axis=2)
        else:
            image = image[..., list(self.order)]
        unit = np.clip(image * (self.gain / 255) + self.bias, 0, 1)
        if (self.gamma != 1).any():
            unit = unit**self.gamma
        return unit.astype(np.float32) * np.float32(255)


def look(rng: np.random.Generator) -> Look:
    """Draw the colours of a scene."""
    gray = bool(rng.random() < 0.15)
    spread = 0.0 if gray else 0.12
    gain = np.exp(rng.uniform(-0.5, 0.3) + rng.normal(0, spread, 3))
    pivot = rng.uniform(0.3, 0.7)
    bias = pivot * (1 - gain) + rng.uniform(-0.12, 0.12)
    gamma = np.full(3, np.exp(rng.uniform(-0.3, 0.3)) if rng.random() < 0.3 else 1.0)
    order = tuple(rng.permutation(3).tolist()) if rng.random() < 0.5 else (0, 1, 2)
    return Look(*(v.astype(np.float32) for v in (gain, bias, gamma)), order, gray)


def recolour(rng: np.random.Generator) -> Look:
    """Draw a small change of colours, for a twin."""
    gain = np.exp(rng.uniform(-0.15, 0.15) + rng.normal(0, 0.04, 3))
    bias = 0.5 * (1 - gain) + rng.uniform(-0.05, 0.05) + rng.normal(0, 0.01, 3)
    return Look(*(v.astype(np.float32) for v in (gain, bias, np.exp(rng.normal(0, 0.08, 3)))))


@dataclass(frozen=True)
class Camera:
    """How both frames of a pair are taken.

    Attributes
    ----------
    noise : standard deviation of the noise, grey levels.
    shot : the part of its variance that grows with brightness (Poisson), 0..1.
    gain, bias : flicker, of the reference alone; bias in grey levels.
    quality : of JPEG compression, 0 for none.
    """

    noise: float
    shot: float = 0.0
    gain: float = 1.0
    bias: float = 0.0
    quality: int = 0

    def take(self, image: np.ndarray, rng: np.random.Generator, reference: bool = False) -> np.ndarray:
        """(y, x, 3) float32 grey levels as whole grey levels 0..255, float32."""
        if reference:
            image = image * np.float32(self.gain) + np.float32(self.bias)
        if self.noise:
            deviation = np.float32(self.noise)
            if self.shot:
                deviation = deviation * np.sqrt(np.maximum(1 - self.shot + self.shot / 128 * image, 0))
            image = image + deviation * rng.standard_normal(image.shape, np.float32)
        image = np.clip(np.rint(image), 0, 255)
        if not self.quality:
            return image
        import cv2

        _, coded = cv2.imencode(".jpg", image.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, self.quality])
        return cv2.imdecode(coded, cv2.IMREAD_COLOR).astype(np.float32)


def camera(settings: Settings, rng: np.random.Generator) -> Camera:
    """Draw a camera."""
    noise = np.exp(rng.uniform(np.log(0.13), 0)) * settings.noise if rng.random() < 0.9 else 0.0
    shot = rng.uniform(0.3, 1) if rng.random() < 0.5 else 0.0
    gain, bias = (rng.uniform(0.95, 1.05), rng.uniform(-5, 5)) if rng.random() < 0.2 else (1.0, 0.0)
    quality = int(rng.integers(70, 97)) if rng.random() < 0.08 else 0
    return Camera(float(noise), float(shot), float(gain), float(bias), quality)
