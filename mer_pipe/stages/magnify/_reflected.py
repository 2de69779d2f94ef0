"""Convolutions with reflected padding, rearranged to be fast on a CPU. Imports torch: import it lazily."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from mer_pipe.stages._convolution import Convolution, Winograd, winograd_pays

BAND = 14 * 28 * 64
"""Tiles times channels in hand, see `Winograd`: twice as many as for ResNet-18, whose images are smaller."""


class Reflected:
    """A convolution with reflected padding; Winograd's in float32 where that pays and the size is even."""

    def __init__(self, conv: nn.Conv2d, dtype: torch.dtype, bias: bool = True) -> None:
        self.edge = conv.kernel_size[0] // 2
        weight, added = conv.weight.detach(), _bias(conv) if bias else torch.zeros(conv.out_channels)
        self.convolution = Convolution(weight, added, conv.stride, dtype=dtype)
        square = conv.kernel_size == (3, 3) and conv.stride == (1, 1) and conv.in_channels == conv.out_channels
        self.winograd = None
        if square and dtype == torch.float32 and winograd_pays(conv.in_channels):
            self.winograd = Winograd(weight.double(), added.double(), mirrored=True)
            self.winograd.BAND = BAND

    def __call__(self, x: Tensor, relu: bool, shortcut: Tensor | None = None) -> Tensor:
        """Convolve (1, c, y, x), channels last; add `shortcut`, which may be overwritten; cut below zero if `relu`."""
        if self.winograd is not None and x.shape[2] % 2 == x.shape[3] % 2 == 0:
            return self.winograd(x, relu, shortcut)
        return self.convolution(reflected(x, self.edge), relu, shortcut)


class Doubled:
    """A 3 x 3 convolution of an image that is doubled by repeating pixels, without doubling it.

    Of three neighbours in the doubled image two are the same pixel: each of the four phases of the result is a convolution
    by 2 x 2 of the small image, with summed weights. Beyond the border the doubled image's mirror image repeats the
    outermost pixel.
    """

    def __init__(self, conv: nn.Conv2d, dtype: torch.dtype) -> None:
        w = conv.weight.detach().double()
        rows = [
            torch.stack((w[:, :, 0], w[:, :, 1] + w[:, :, 2]), 2),
            torch.stack((w[:, :, 0] + w[:, :, 1], w[:, :, 2]), 2),
        ]
        phases = []
        for r in rows:
            phases += [
                torch.stack((r[..., 0], r[..., 1] + r[..., 2]), 3),
                torch.stack((r[..., 0] + r[..., 1], r[..., 2]), 3),
            ]
        self.convolution = Convolution(torch.cat(phases), _bias(conv).repeat(4), dtype=dtype)

    def __call__(self, x: Tensor, relu: bool) -> Tensor:
        """(1, c, y, x), channels last, to (1, outputs, 2 y, 2 x)."""
        found = self.convolution(pad(x, (1, 1, 1, 1), mode="replicate"), relu)
        _, _, height, width = x.shape
        n = found.shape[1] // 4
        out = torch.empty((1, n, 2 * height, 2 * width), dtype=x.dtype, memory_format=torch.channels_last)
        for phase in range(4):
            i, j = divmod(phase, 2)
            out[:, :, i::2, j::2] = found[:, n * phase : n * (phase + 1), i : i + height, j : j + width]
        return out


class Quartered:
    """The last convolution: its few outputs at 2 x 2 pixels at once, as the outputs of one convolution of stride 2.

    oneDNN computes 16 outputs whether there are 16 or 3. The result is (1, 4 outputs, y/2, x/2): the phases of the image, one
    after the other, the upper left, the upper right, the lower left, the lower right.
    """

    def __init__(self, conv: nn.Conv2d, dtype: torch.dtype) -> None:
        outputs, inputs, kernel, _ = conv.weight.shape
        self.edge = kernel // 2
        weight = torch.zeros(2, 2, outputs, inputs, kernel + 1, kernel + 1)
        for i in range(2):
            for j in range(2):
                weight[i, j, :, :, i : i + kernel, j : j + kernel] = conv.weight.detach()
        self.convolution = Convolution(weight.flatten(0, 2), _bias(conv).repeat(4), (2, 2), dtype=dtype)

    def __call__(self, x: Tensor, relu: bool) -> Tensor:
        """(1, c, y, x), channels last, y and x even."""
        return self.convolution(reflected(x, self.edge), relu)


def reflected(x: Tensor, edge: int) -> Tensor:
    """(1, c, y, x) with `edge` rows and columns mirrored about the outermost ones; channels last."""
    return pad(x, (edge, edge, edge, edge), mode="reflect").contiguous(memory_format=torch.channels_last)


def _bias(conv: nn.Conv2d) -> Tensor:
    return torch.zeros(conv.out_channels) if conv.bias is None else conv.bias.detach()
