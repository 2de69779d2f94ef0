"""Batches of scenes to train on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mer_pipe.pretrain.magnifier import camera, scenes, sources
from mer_pipe.pretrain.magnifier.settings import Settings

TEXTURES = 36
"""Textures that are drawn for a round."""

PHOTOGRAPHS = 0.5
"""How often a layer shows a photograph."""


@dataclass(frozen=True)
class Batch:
    """Scenes as the network sees them; images are (n, size, size, 3) float32 on -1..1.

    Attributes
    ----------
    reference, target : noisy frames.
    truth : the target, its motion magnified by AF, without noise.
    af : (n,) float32.
    known : (n, size, size) float32, 1 where the target shows what the truth does, else 0.
    twin : (twins, size, size, 3): the first targets in the colours of their reference; the target and truth of those have
        other colours.
    """

    reference: np.ndarray
    target: np.ndarray
    truth: np.ndarray
    af: np.ndarray
    known: np.ndarray
    twin: np.ndarray


class Pool:
    """The pictures of one round, and batches of scenes from them."""

    def __init__(self, photographs: list[sources.Source], settings: Settings, rng: np.random.Generator) -> None:
        self.settings, self.rng = settings, rng
        self.photographs, self.textures = photographs, sources.textures(TEXTURES, rng)

    def batch(self) -> Batch:
        """The next batch."""
        s, size = self.settings, self.settings.size
        images = np.empty((3, s.batch, size, size, 3), np.float32)
        twins = np.empty((min(s.twins, s.batch), size, size, 3), np.float32)
        af, known = np.empty(s.batch, np.float32), np.empty((s.batch, size, size), np.float32)
        for i in range(s.batch):
            images[:, i], af[i], known[i], twin = self._pair(i < len(twins))
            if twin is not None:
                twins[i] = twin
        return Batch(*_signed(images), af, known, _signed(twins))

    def _pair(self, twin: bool):
        rng = self.rng
        scene = scenes.draw(self._picture, self.settings, rng)
        af = _factor(scene.af, rng)
        reference, target, truth = (scene.frame(f) for f in (0.0, 1.0, af))
        look, taken = camera.look(rng), camera.camera(self.settings, rng)
        reference, target, truth = look(reference), look(target), look(truth)
        again = taken.take(target, rng) if twin else None
        if twin:
            other = camera.recolour(rng)
            target, truth = other(target), other(truth)
        pair = taken.take(reference, rng, reference=True), taken.take(target, rng), truth
        return np.stack(pair), af, scene.known(af), again

    def _picture(self) -> sources.Source:
        if self.rng.random() < PHOTOGRAPHS:
            shares = np.array([sources.TRAINING[one.name] for one in self.photographs], float)
            return self.photographs[int(self.rng.choice(len(shares), p=shares / shares.sum()))]
        return self.textures[int(self.rng.integers(len(self.textures)))]


def _factor(highest: float, rng: np.random.Generator) -> float:
    """AF between 1 and the highest, whole in one scene of four."""
    way = rng.random()
    af = np.exp(rng.uniform(0, np.log(highest))) if way < 0.4 else rng.uniform(1, highest)
    if way > 0.75:
        af = max(1.0, np.floor(af))
    return float(af)


def _signed(levels: np.ndarray) -> np.ndarray:
    levels *= np.float32(1 / 127.5)
    levels -= np.float32(1)
    return levels
