"""ResNet-18 for inference on the CPU: BatchNorm folded, channels last, packed weights. Imports torch: import it lazily."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from mer_pipe.stages import resnet
from mer_pipe.types import Weights


class Convolution:
    """A convolution that has swallowed the BatchNorm after it (in float64), and takes a shortcut and a ReLU with it.

    Where this build of PyTorch has oneDNN's fused convolutions they are used, with the weights packed once for each
    size of image; otherwise the plain operations are. The two differ by rounding, as two builds of PyTorch do.
    """

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        gain = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        weight = (conv.weight.double() * gain[:, None, None, None]).float()
        self.weight = weight.contiguous(memory_format=torch.channels_last)
        self.bias = (norm.bias.double() - norm.running_mean.double() * gain).float()
        self.geometry = (conv.padding, conv.stride, conv.dilation, 1)
        self.packed: dict[torch.Size, Tensor] = {}

    def __call__(self, x: Tensor, relu: bool, shortcut: Tensor | None = None, fused: bool = True) -> Tensor:
        """Convolve; add `shortcut`, which may be overwritten; cut below zero if `relu`."""
        if not (fused and _FUSED):
            padding, stride, dilation, groups = self.geometry
            y = nn.functional.conv2d(x, self.weight, self.bias, stride, padding, dilation, groups)
            y = y if shortcut is None else y.add_(shortcut)
            return y.relu_() if relu else y
        if x.shape not in self.packed:
            self.packed[x.shape] = torch._C._nn.mkldnn_reorder_conv2d_weight(
                self.weight.to_mkldnn(), *self.geometry, x.shape
            )
        common = (x, self.packed[x.shape], self.bias, *self.geometry)
        after = "relu" if relu else "none"
        if shortcut is None:
            return torch.ops.mkldnn._convolution_pointwise(*common, after, [], "")
        return torch.ops.mkldnn._convolution_pointwise_.binary(
            shortcut, *common, "add", 1.0, after if relu else None, [], ""
        )


_FUSED = (
    torch.backends.mkldnn.is_available()
    and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    and hasattr(torch.ops.mkldnn, "_convolution_pointwise_")
    and hasattr(torch._C._nn, "mkldnn_reorder_conv2d_weight")
)


class Folded:
    """The maps of a `resnet.ResNet18` in evaluation mode, to rounding (about 1e-6 of their norm)."""

    def __init__(self, net: resnet.ResNet18, fused: bool = True) -> None:
        self.fused = fused
        with torch.no_grad():
            self.stem = Convolution(net.conv1, net.bn1)
            self.blocks = [
                [
                    (
                        Convolution(block.conv1, block.bn1),
                        Convolution(block.conv2, block.bn2),
                        None if block.downsample is None else Convolution(*block.downsample),
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


@lru_cache(maxsize=2)
def load(weights: Weights) -> Folded:
    """Return the folded ResNet-18 of a checkpoint, kept for the next call with the same digest."""
    return Folded(resnet.load(weights))
