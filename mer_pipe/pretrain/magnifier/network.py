"""The network that is trained, its first weights and its loss. Imports torch: import it lazily."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from mer_pipe.pretrain.magnifier.settings import Settings
from mer_pipe.stages.magnify.dialects import DIALECTS, Shape, layers
from mer_pipe.stages.magnify.network import Network

DIALECT = DIALECTS[0]
"""That of the original: fed AF - 1, the target as the base, images on -1..1."""

RESIDUAL = 0.3
"""What the last convolution of a residual block begins with, of the usual size (He et al., ICCV 2015)."""


def first(settings: Settings) -> Network:
    """The network before its first step, seeded."""
    net = Network(
        DIALECT, Shape(bias=False, kernel=7, shape_conv=True, texture_up=True, extra=False, width=settings.width)
    )
    source = torch.Generator().manual_seed(settings.seed)
    state = {}
    for name, tensor in net.state_dict().items():
        deviation = math.sqrt(2.0 / tensor[0].numel())
        if name.endswith(".b.weight"):
            deviation *= RESIDUAL
        elif name == "decoder.leave.weight":
            deviation *= 0.5
        state[name] = torch.empty(tensor.shape).normal_(0, deviation, generator=source)
    net.load_state_dict(state)
    return net.to(memory_format=torch.channels_last)


def published(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors under the names of the dialect, as `dialects.recognise` reads them."""
    names = layers(DIALECT)
    return {f"{names[name.rpartition('.')[0]]}.{name.rpartition('.')[2]}": tensor for name, tensor in state.items()}


def loss(net: Network, batch: dict[str, Tensor], settings: Settings, half: bool) -> Tensor:
    """Loss of a batch.

    The L1 distance of images where the target shows what the truth does, `ssim` x (1 - SSIM), and for scenes with a twin
    `codes` x the L1 distances that Oh et al. (ECCV 2018, Sect. 3.3) ask of codes: the textures of two frames in the same
    colours, and the shapes of one frame in two colours.

    Parameters
    ----------
    batch : the arrays of `batches.Batch` as tensors; images (n, 3, y, x), `known` (n, 1, y, x).
    half : whether convolutions are computed in bfloat16.
    """
    n, twins = len(batch["af"]), len(batch["twin"])
    frames = torch.cat([batch["reference"], batch["target"], batch["twin"], batch["truth"][:twins]])
    frames = frames.contiguous(memory_format=torch.channels_last)
    with torch.autocast(frames.device.type, torch.bfloat16, enabled=half):
        texture, shape = net.encoder(frames)
        target = shape[n : 2 * n]
        factor = (batch["af"] - 1)[:, None, None, None].to(shape.dtype)
        code = net.manipulator(target - shape[:n], target, factor)
        out = net.decoder(texture[n : 2 * n], code).float()
    truth, known = batch["truth"], batch["known"]
    total = ((out - truth).abs() * known).mean()
    if settings.ssim:
        total = total + settings.ssim * (1 - (ssim(luma(out), luma(truth), 2.0) * known).sum() / known.sum())
    if settings.codes and twins:
        texture, shape = texture.float(), shape.float()
        a, b, c, y = (slice(k, k + twins) for k in (0, n, 2 * n, 2 * n + twins))
        apart = F.l1_loss(texture[y], texture[b]) + F.l1_loss(texture[a], texture[c]) + F.l1_loss(shape[b], shape[c])
        total = total + settings.codes * twins / n * apart
    return total


def luma(images: Tensor) -> Tensor:
    """(n, 3, y, x) RGB to (n, 1, y, x), BT.601."""
    return (images * images.new_tensor([0.299, 0.587, 0.114])[None, :, None, None]).sum(1, keepdim=True)


def ssim(a: Tensor, b: Tensor, span: float) -> Tensor:
    """SSIM at every pixel of (n, 1, y, x) images, `span` from black to white (Wang et al. 2004: Gaussian of 1.5 px)."""
    blur_y, blur_x = (_blur(size).to(a.device) for size in a.shape[2:])
    fields = blur_y @ torch.cat([a, b, a * a, b * b, a * b]) @ blur_x.mT
    ma, mb, aa, bb, ab = fields.chunk(5)
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    top = (2 * ma * mb + c1) * (2 * (ab - ma * mb) + c2)
    return top / ((ma * ma + mb * mb + c1) * (aa - ma * ma + bb - mb * mb + c2))


@lru_cache(maxsize=8)
def _blur(size: int) -> Tensor:
    """(size, size) the matrix of a Gaussian of 1.5 px, cut at 5 px, mirrored at the border: on a CPU it beats a convolution."""
    at = torch.arange(size)
    matrix = torch.zeros(size, size)
    for away in range(-5, 6):
        to = (at + away).abs()
        to = torch.where(to >= size, 2 * (size - 1) - to, to)
        matrix[at, to] += math.exp(-0.5 * (away / 1.5) ** 2)
    return matrix / matrix.sum(1, keepdim=True)
