"""The dual-branch network: eyes and mouth, weighted against each other. Imports torch: import it lazily.

Ruan et al., "Mimicking the Annotation Process for Recognizing the Micro Expressions", ACM MM 2022.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mer_pipe.stages import resnet

WIDTH = 512
"""Channels of a branch."""
HIDDEN = 1024
"""Hidden width of the Area Weighted Module."""


class AttentiveBlock(resnet.Block):
    """A block of ResNet-18 with attention at the end of its residual path."""

    def __init__(self, inputs: int, outputs: int, stride: int, attention: nn.Module) -> None:
        super().__init__(inputs, outputs, stride)
        self.attention = attention

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        residual = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(self.attention(residual) + shortcut)


class Base(nn.Module):
    """What both halves pass: the stem and layers 1 and 2. (n, 3, y, x) to (n, 128, y/8, x/8)."""

    def __init__(self, source: resnet.ResNet18) -> None:
        super().__init__()
        self.layers = nn.Sequential(source.conv1, source.bn1, source.relu, source.maxpool, source.layer1, source.layer2)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Branch(nn.Module):
    """Layers 3 and 4 of one half: (n, 128, y/8, x/8) to (n, 512, y/32, x/32), sides rounded up.

    Parameters
    ----------
    source : the ResNet-18 whose layers 3 and 4 it starts from.
    attention : makes the attention of a block of so many channels; None leaves plain blocks.
    """

    def __init__(self, source: resnet.ResNet18, attention: Callable[[int], nn.Module] | None) -> None:
        super().__init__()
        self.layers = nn.Sequential(source.layer3, source.layer4)
        if attention is not None:
            self.layers = nn.Sequential(
                *(
                    nn.Sequential(
                        AttentiveBlock(narrow, wide, 2, attention(wide)), AttentiveBlock(wide, wide, 1, attention(wide))
                    )
                    for narrow, wide in ((128, 256), (256, 512))
                )
            )
            known = nn.Sequential(source.layer3, source.layer4).state_dict()
            self.layers.load_state_dict(self.layers.state_dict() | known)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class AreaWeights(nn.Module):
    """The Area Weighted Module (AWM): sigmoid(W2 relu(W1 [eyes|mouth] + b1) + b2), one weight a feature."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2 * WIDTH, HIDDEN)
        self.second = nn.Linear(HIDDEN, 2 * WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1024) to weights (n, 1024), 0..1."""
        return self.second(self.first(x).relu()).sigmoid()


class Output(NamedTuple):
    """What the network says of n clips.

    Attributes
    ----------
    eyes, mouth : logits of the two heads, (n, classes).
    features : the weighted features, eyes then mouth, (n, 1024).
    maps : what each branch ends in, (n, 512, y/64, x/32) each, sides rounded up: eyes, mouth.
    """

    eyes: Tensor
    mouth: Tensor
    features: Tensor
    maps: tuple[Tensor, Tensor]


class Network(nn.Module):
    """Two branches over one base, the AWM, and a head of two layers for each region.

    `forward` takes standardised images (n, 3, y, x) with an even y; the upper half goes through the eyes' branch, the
    lower through the mouth's. Batch norms of the base see both halves together.

    Parameters
    ----------
    sources : the ResNet-18 that the base, the eyes' and the mouth's branch start from.
    attention : as `Branch` takes it.
    halves : which units belong to the eyes and which to the mouth, as `region_replacing.unit_halves` gives them.

    Buffers
    -------
    mean, scale : (3,), by which `standardised` brings channels to mean 0 and standard deviation 1.
    class_weights : (classes,).
    halves : (2, units).
    """

    def __init__(
        self,
        sources: tuple[resnet.ResNet18, resnet.ResNet18, resnet.ResNet18],
        classes: int,
        halves: Tensor,
        attention: Callable[[int], nn.Module] | None,
        dropout: float,
    ) -> None:
        super().__init__()
        base, eyes, mouth = sources
        self.base = Base(base)
        self.eyes, self.mouth = Branch(eyes, attention), Branch(mouth, attention)
        self.area_weights = AreaWeights()
        self.eyes_head, self.mouth_head = (
            nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Dropout(dropout), nn.Linear(WIDTH, classes))
            for _ in range(2)
        )
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("scale", torch.ones(3))
        self.register_buffer("class_weights", torch.ones(classes))
        self.register_buffer("halves", halves)
        self.to(memory_format=torch.channels_last)

    def standardised(self, pictures: Tensor) -> Tensor:
        """Pictures (n, 3, y, x) by the statistics of the training clips."""
        return (pictures - self.mean[:, None, None]) / self.scale[:, None, None]

    def forward(self, images: Tensor) -> Output:
        halves = torch.cat(images.chunk(2, 2)).contiguous(memory_format=torch.channels_last)
        eyes, mouth = self.base(halves).chunk(2)
        maps = self.eyes(eyes), self.mouth(mouth)
        features = torch.cat([part.mean((2, 3)) for part in maps], 1)
        features = features * self.area_weights(features)
        of_eyes, of_mouth = features.chunk(2, 1)
        return Output(self.eyes_head(of_eyes), self.mouth_head(of_mouth), features, maps)
