"""Two modalities, three scales each: the network of MSMMT (Wang et al., 2022). Imports torch: import it lazily."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_pipe.heads.patch_weighting import patch_weights
from mer_pipe.stages.vit import ViT

SCALES = (1, 2, 4)
"""By what the sides of an image are divided: full, half and quarter size."""


def smaller(images: Tensor, factor: int) -> Tensor:
    """Images (n, c, y, x) with sides divided by a whole factor: each pixel is the mean of factor x factor of them."""
    return images if factor == 1 else F.avg_pool2d(images, factor)


class Modality(nn.Module):
    """The class tokens of one modality's images at three scales, and the weights of the patches at the full one.

    Parameters
    ----------
    transformers : one for all scales, or one a scale.
    weighting : "mean" or "max", as `patch_weights` takes it; "off" weighs nothing.
    place : where the weights act. "normed": behind the last layer's first norm, on what is attended by. "input": on the
        tokens before it, word by word as the paper; the norm then divides the weights out again.
    """

    def __init__(self, transformers: Sequence[ViT], weighting: str, place: str) -> None:
        super().__init__()
        self.transformers = nn.ModuleList(transformers)
        self.weighting, self.place = weighting, place

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, y, x) to class tokens (n, 3 * width) and weights (n, rows * columns), 1 on average."""
        tokens, weights = [], []
        for i, factor in enumerate(SCALES):
            token, weight = self._one(self.transformers[min(i, len(self.transformers) - 1)], smaller(images, factor))
            tokens.append(token)
            weights.append(weight)
        return torch.cat(tokens, 1), weights[0]

    def _one(self, net: ViT, images: Tensor) -> tuple[Tensor, Tensor]:
        x, maps = net.tokens(images), []
        for layer in net.blocks[:-1]:
            x, attention = layer(x, maps=self.weighting != "off")
            if attention is not None:
                maps.append(attention.mean(1))
        weights = patch_weights(maps, self.weighting) if maps else x.new_ones(x[:, 1:, 0].shape)
        scale = F.pad(weights, (1, 0), value=1.0) if maps else None  # the class token has no weight
        if self.place == "input" and scale is not None:
            x, scale = x * scale[..., None], None
        x, _ = net.blocks[-1](x, scale=scale)
        return net.norm(x[:, 0]), weights


class Output(NamedTuple):
    """What the network says of n clips.

    Attributes
    ----------
    logits : (n, classes).
    features : class tokens of each modality, (n, 3 * width) each: dynamic, motion.
    weights : of the patches at full size, (n, rows * columns) each: dynamic, motion.
    """

    logits: Tensor
    features: tuple[Tensor, Tensor]
    weights: tuple[Tensor, Tensor]


class Network(nn.Module):
    """Both modalities, their class tokens side by side, and FC - ReLU - dropout - FC.

    `forward` takes the standardised images of both, (n, 3, y, x) each, sides multiples of 4 patches.

    Buffers
    -------
    mean, scale : (2, 3), by which `standardised` brings the channels of each modality to a common size.
    """

    def __init__(
        self, dynamic: Modality, motion: Modality, width: int, hidden: int, dropout: float, classes: int
    ) -> None:
        super().__init__()
        self.dynamic, self.motion = dynamic, motion
        self.classifier = nn.Sequential(
            nn.Linear(2 * len(SCALES) * width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, classes)
        )
        self.register_buffer("mean", torch.zeros(2, 3))
        self.register_buffer("scale", torch.ones(2, 3))

    def standardised(self, images: Tensor, modality: int) -> Tensor:
        """Images (n, 3, y, x) of modality 0 (dynamic) or 1 (motion) by the statistics of the training clips."""
        return (images - self.mean[modality][:, None, None]) / self.scale[modality][:, None, None]

    def forward(self, dynamic: Tensor, motion: Tensor) -> Output:
        features, weights = zip(self.dynamic(dynamic), self.motion(motion), strict=True)
        return Output(self.classifier(torch.cat(features, 1)), features, weights)
