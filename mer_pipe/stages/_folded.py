"""ResNet-18 for inference on the CPU: BatchNorm folded, channels last. Imports torch and numba: import it lazily."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from mer_pipe.stages import resnet
from mer_pipe.stages._convolution import Convolution, Winograd, fold, winograd_pays
from mer_pipe.types import Weights


class Folded:
    """The maps of a `resnet.ResNet18` in evaluation mode, to rounding: in float32, below 1e-6 of their norm.

    In bfloat16 activations and weights have 8 bits, sums float32, and all convolutions are direct.
    """

    def __init__(self, net: resnet.ResNet18, fused: bool = True, dtype: torch.dtype = torch.float32) -> None:
        self.fused, self.dtype = fused, dtype
        with torch.no_grad():
            self.stem = _convolution(net.conv1, net.bn1, dtype=dtype)
            self.blocks = [
                [
                    (
                        _convolution(block.conv1, block.bn1, dtype=dtype),
                        _convolution(block.conv2, block.bn2, dtype=dtype),
                        None if block.downsample is None else _convolution(*block.downsample, dtype=dtype),
                    )
                    for block in layer
                ]
                for layer in (net.layer1, net.layer2, net.layer3, net.layer4)
            ]

    def layer3(self, x: Tensor) -> Tensor:
        """(n, 3, y, x) normalised, channels last, of `dtype`, to (n, 256, y/16, x/16)."""
        x = nn.functional.max_pool2d(self.stem(x, True, fused=self.fused), 3, 2, 1)
        for depth in range(3):
            x = self._layer(depth, x)
        return x

    def layer4(self, x: Tensor) -> Tensor:
        """The map of `layer3`, which may be overwritten, to (n, 512, y/32, x/32)."""
        return self._layer(3, x)

    def outputs(self, images: np.ndarray, output: str, mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
        """`stages.features` of (n, y, x, 3) uint8, in float32."""
        shift, scale = (torch.tensor(v, dtype=torch.float32)[None, :, None, None] for v in (mean, std))
        results = []
        with torch.inference_mode():
            # One at a time: 224 x 224 activations stay in a 2 MB cache, and no kernel is chosen by the size of the batch.
            for image in images:
                # A permuted (y, x, c) array is channels_last already.
                pixels = torch.from_numpy(np.ascontiguousarray(image))[None].permute(0, 3, 1, 2)
                x = self.layer3(((pixels.float() / 255 - shift) / scale).to(self.dtype))
                if output == "pool512":
                    x = self.layer4(x).float().mean(dim=(2, 3))
                elif output == "pool1024":
                    x = nn.functional.adaptive_avg_pool2d(x.float(), 2).flatten(1)
                results.append(x[0].float().contiguous().numpy())
        return np.stack(results)

    def _layer(self, depth: int, x: Tensor) -> Tensor:
        for first, second, project in self.blocks[depth]:
            inner = first(x, True, fused=self.fused)
            shortcut = x if project is None else project(x, False, fused=self.fused)
            x = second(inner, True, shortcut, fused=self.fused)
        return x


def _convolution(conv: nn.Conv2d, norm: nn.BatchNorm2d, dtype: torch.dtype) -> Convolution | Winograd:
    """Winograd's where it is faster: not in the last stage, whose weights outgrow the caches and whose side may be odd."""
    weight, bias = fold(conv, norm)
    small = conv.kernel_size == (3, 3) and conv.stride == (1, 1) and conv.out_channels < 512
    if small and dtype == torch.float32 and winograd_pays(conv.out_channels):
        return Winograd(weight, bias)
    return Convolution(weight, bias, conv.stride, conv.padding, dtype=dtype)


@lru_cache(maxsize=4)
def load(weights: Weights, precision: str = "float32") -> Folded:
    """Return the folded ResNet-18 of a checkpoint, kept for the next call with the same digest."""
    return Folded(resnet.load(weights), dtype=getattr(torch, precision))
