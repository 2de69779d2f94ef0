"""ResNet-18 for inference on the CPU: BatchNorm folded, channels last. Imports torch and numba: import it lazily."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from mer_pipe.stages import resnet
from mer_pipe.stages._convolution import Convolution, Winograd, fold
from mer_pipe.types import Weights


class Folded:
    """The maps of a `resnet.ResNet18` in evaluation mode, to rounding (below 1e-6 of their norm)."""

    def __init__(self, net: resnet.ResNet18, fused: bool = True) -> None:
        self.fused = fused
        with torch.no_grad():
            self.stem = _convolution(net.conv1, net.bn1)
            self.blocks = [
                [
                    (
                        _convolution(block.conv1, block.bn1),
                        _convolution(block.conv2, block.bn2),
                        None if block.downsample is None else _convolution(*block.downsample),
                    )
                    for block in layer
                ]
                for layer in (net.layer1, net.layer2, net.layer3, net.layer4)
            ]

    def layer3(self, x: Tensor) -> Tensor:
        """(n, 3, y, x) normalised float32, channels last, to (n, 256, y/16, x/16)."""
        x = nn.functional.max_pool2d(self.stem(x, True, fused=self.fused), 3, 2, 1)
        for depth in range(3):
            x = self._layer(depth, x)
        return x

    def layer4(self, x: Tensor) -> Tensor:
        """The map of `layer3`, which may be overwritten, to (n, 512, y/32, x/32)."""
        return self._layer(3, x)

    def _layer(self, depth: int, x: Tensor) -> Tensor:
        for first, second, project in self.blocks[depth]:
            inner = first(x, True, fused=self.fused)
            shortcut = x if project is None else project(x, False, fused=self.fused)
            x = second(inner, True, shortcut, fused=self.fused)
        return x


def _convolution(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Convolution | Winograd:
    """Winograd's where it is faster: not in the last stage, whose weights outgrow the caches and whose side may be odd."""
    weight, bias = fold(conv, norm)
    if conv.kernel_size == (3, 3) and conv.stride == (1, 1) and conv.out_channels < 512:
        return Winograd(weight, bias)
    return Convolution(weight, bias, conv.stride, conv.padding)


@lru_cache(maxsize=2)
def load(weights: Weights) -> Folded:
    """Return the folded ResNet-18 of a checkpoint, kept for the next call with the same digest."""
    return Folded(resnet.load(weights))
