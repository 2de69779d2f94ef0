"""Convolutions for inference on the CPU: packed, fused, and Winograd's. Imports torch and numba: import it lazily."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from mer_pipe.stages import _tiles

_FUSED = (
    torch.backends.mkldnn.is_available()
    and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    and hasattr(torch.ops.mkldnn, "_convolution_pointwise_")
    and hasattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported")
    and hasattr(torch._C._nn, "mkldnn_reorder_conv2d_weight")
)


def fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return weight and bias, float64, of a convolution that has swallowed the BatchNorm after it."""
    gain = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return conv.weight.double() * gain[:, None, None, None], norm.bias.double() - norm.running_mean.double() * gain


@lru_cache
def winograd_pays(channels: int) -> bool:
    """Whether `Winograd` is faster than `Convolution` on this processor, for convolutions of that width.

    Where AVX-512 multiplies as fast as on Intel's server processors, the direct one is faster below 128 channels: up to
    twice at 32. With AVX2, or AVX-512 at half the rate (AMD's Zen 4), Winograd's is faster at every width measured.
    """
    from llvmlite.binding import get_host_cpu_name

    fast = torch.backends.cpu.get_cpu_capability() == "AVX512" and not get_host_cpu_name().startswith("znver")
    return channels >= 128 or not fast


class Convolution:
    """A convolution that takes a shortcut and a ReLU with it, on channels-last images.

    Where this build of PyTorch has oneDNN's fused convolutions they are used, with the weights packed once for each
    size of image; otherwise the plain operations are. The two differ by rounding, as two builds of PyTorch do.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        stride: tuple[int, int] = (1, 1),
        padding: tuple[int, int] = (0, 0),
        groups: int = 1,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.weight = weight.to(dtype).contiguous(memory_format=torch.channels_last)
        self.bias = bias.to(dtype)
        self.geometry = (padding, stride, (1, 1), groups)
        self.packed: dict[torch.Size, Tensor] = {}
        # oneDNN has no bfloat16 on processors without AVX-512; PyTorch's own operations have it everywhere.
        self.fusible = _FUSED and (dtype != torch.bfloat16 or torch.ops.mkldnn._is_mkldnn_bf16_supported())

    def __call__(self, x: Tensor, relu: bool, shortcut: Tensor | None = None, fused: bool = True) -> Tensor:
        """Convolve; add `shortcut`, which may be overwritten; cut below zero if `relu`."""
        if not (fused and self.fusible):
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


class Winograd:
    """A 3 x 3 convolution of stride 1 with zeros round the image, or with its mirror image, by F(2 x 2, 3 x 3).

    Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016: 16 products a channel and 2 x 2 pixels
    in the place of 36. The sums are over channels alone, and so shorter than those of the direct convolution: in float32
    the error is smaller too. Height and width are even. A band of tiles at a time stays in the second-level cache.
    """

    BAND = 7 * 28 * 64  # tiles times channels

    def __init__(self, weight: Tensor, bias: Tensor, mirrored: bool = False) -> None:
        outputs, self.channels = weight.shape[:2]  # equal
        spread = torch.tensor([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], dtype=torch.float64)
        products = torch.einsum("ij,ocjl,ml->imoc", spread, weight, spread).reshape(16 * outputs, self.channels, 1, 1)
        # Of the 16, the sixth goes into all four pixels once: the bias goes with it.
        biases = torch.zeros(16, outputs, dtype=torch.float64)
        biases[5] = bias
        self.products = Convolution(products, biases.flatten(), groups=16)
        self.to_tiles = _tiles.forth(self.channels, mirrored)

    def __call__(self, x: Tensor, relu: bool, shortcut: Tensor | None = None, fused: bool = True) -> Tensor:
        """As `Convolution`, but never over the shortcut."""
        _, _, height, width = x.shape
        images = _flat(x)
        added = shortcut is not None
        shortcuts = _flat(shortcut) if added else images
        out = torch.empty(x.shape, dtype=x.dtype, memory_format=torch.channels_last)
        from_tiles = _tiles.back(self.channels, added, relu)
        across, rows = width // 2, height // 2
        band = min(rows, max(1, self.BAND // (across * self.channels)))
        tiles = np.empty((band, across, 16 * self.channels), np.float32)
        for image, plus, to in zip(images, shortcuts, _flat(out), strict=True):
            for first in range(0, rows, band):
                last = min(rows, first + band)
                self.to_tiles(image, height, width, first, last, tiles.reshape(-1))
                products = torch.from_numpy(tiles[: last - first])[None].permute(0, 3, 1, 2)
                found = _flat(self.products(products, False, fused=fused))[0]
                from_tiles(found, height, width, first, last, plus, to)
        return out


def _flat(x: Tensor) -> np.ndarray:
    """The memory of channels-last images, one row an image."""
    return x.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1).reshape(len(x), -1).numpy()
