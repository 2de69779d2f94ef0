"""Scenes that are never trained on, of other pictures, by which a training is watched. Imports torch: import it lazily."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from mer_pipe.pretrain.magnifier import camera, network, scenes, sources
from mer_pipe.pretrain.magnifier.settings import Settings

FACTORS = (2.0, 6.0, 10.0, 13.0)
SCENES, SIZE, SEED = 24, 96, 7
EDGE = 8
"""Pixels at the border that do not count."""


@dataclass(frozen=True)
class Pairs:
    """Validation scenes; images are (n, SIZE, SIZE, 3) float32.

    Attributes
    ----------
    reference, target : whole grey levels, with noise of sigma 1.
    truth : (factors, n, SIZE, SIZE, 3) grey levels without noise.
    inside : (factors, n, SIZE, SIZE) bool, what moves and is known.
    """

    reference: np.ndarray
    target: np.ndarray
    truth: np.ndarray
    inside: np.ndarray


def pairs(settings: Settings, count: int = SCENES) -> Pairs:
    """Draw the scenes: smooth motions and moving objects alike, each with all of `FACTORS`."""
    rng = np.random.default_rng([SEED, count])
    pictures = sources.photographs(sources.VALIDATION) * 4 + sources.textures(8, rng)
    asked = replace(settings, least=0.3, most=0.9, af=13.0)
    kept = []
    while len(kept) < count:
        scene = scenes.draw(lambda: pictures[int(rng.integers(len(pictures)))], asked, rng, SIZE)
        if scene.af < 12.9 or not scene.moving(1.0)[EDGE:-EDGE, EDGE:-EDGE].any():
            continue
        taken, look = camera.Camera(1.0), camera.look(rng)
        reference, target = (taken.take(look(scene.frame(f)), rng) for f in (0.0, 1.0))
        truth = np.stack([look(scene.frame(f)) for f in FACTORS])
        inside = np.stack([scene.moving(f) & scene.known(f) for f in FACTORS])
        inside[:, :EDGE] = inside[:, -EDGE:] = inside[:, :, :EDGE] = inside[:, :, -EDGE:] = False
        kept.append((reference, target, truth, inside))
    a, b, t, w = (np.stack(parts) for parts in zip(*kept, strict=True))
    return Pairs(a, b, np.moveaxis(t, 1, 0), np.moveaxis(w, 1, 0))


def likeness(net: network.Network | None, found: Pairs, device: torch.device) -> list[float]:
    """Mean SSIM of what moves, for each of `FACTORS`, in float32; without a network, of the target left as it is."""

    def images(levels: np.ndarray) -> Tensor:
        x = torch.from_numpy(levels).to(device).movedim(-1, 1) / 127.5 - 1
        return x.contiguous(memory_format=torch.channels_last)

    sums = np.zeros((len(FACTORS), 2))
    with torch.inference_mode():
        for i in range(0, len(found.target), 4):
            target = images(found.target[i : i + 4])
            if net is not None:
                _, a = net.encoder(images(found.reference[i : i + 4]))
                texture, b = net.encoder(target)
            for k, af in enumerate(FACTORS):
                out = target
                if net is not None:
                    out = net.decoder(texture, net.manipulator(b - a, b, af - 1)).clamp(-1, 1)
                seen = network.ssim(network.luma(out), network.luma(images(found.truth[k, i : i + 4])), 2.0)[:, 0]
                for one, inside in zip(seen.cpu().numpy(), found.inside[k, i : i + 4], strict=True):
                    if inside.any():
                        sums[k] += one[inside].mean(), 1
    return (sums[:, 0] / sums[:, 1]).tolist()
