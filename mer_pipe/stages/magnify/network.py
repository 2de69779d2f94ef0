"""The network of Oh et al. (ECCV 2018) with the variations of its published ports as parameters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mer_pipe.stages.magnify.dialects import Dialect, Shape, recognise
from mer_pipe.stages.weights import load_state
from mer_pipe.types import ModelError, Weights


class Block(nn.Module):
    """x + b(relu(a(x))), both 3 x 3 and of one width."""

    def __init__(self, width: int, bias: bool) -> None:
        super().__init__()
        self.a, self.b = conv(width, width, bias=bias), conv(width, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.b(self.a(x).relu_())


def conv(enter: int, leave: int, kernel: int = 3, stride: int = 1, *, bias: bool) -> nn.Conv2d:
    """A convolution that keeps the size (or halves it, with stride 2) by reflected padding."""
    return nn.Conv2d(enter, leave, kernel, stride, kernel // 2, bias=bias, padding_mode="reflect")


class Encoder(nn.Module):
    """Image (n, 3, y, x) to texture code (n, width/2, y/4, x/4) and shape code (n, width/2, y/2, x/2)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        layer, block = partial(conv, bias=shape.bias), partial(Block, bias=shape.bias)
        first, code = shape.width // 4, shape.width // 2
        self.enter, self.halve = layer(3, first, 7), layer(first, code, 3, 2)
        self.blocks = nn.Sequential(*(block(code) for _ in range(3)))
        self.texture_conv = layer(code, code, 3, 2)
        self.texture_blocks = nn.Sequential(*(block(code) for _ in range(2)))
        self.shape_conv = layer(code, code) if shape.shape_conv else None
        self.shape_blocks = nn.Sequential(*(block(code) for _ in range(2)))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = self.blocks(self.halve(self.enter(image).relu_()).relu_())
        texture = self.texture_blocks(self.texture_conv(x).relu_())
        return texture, self.shape_blocks(x if self.shape_conv is None else self.shape_conv(x).relu_())


class Manipulator(nn.Module):
    """base + h(factor * g(shape_b - shape_a)); g is a convolution and ReLU, h a convolution and a block."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        code = shape.width // 2
        self.g = conv(code, code, shape.kernel, bias=shape.bias)
        self.h = conv(code, code, bias=shape.bias)
        self.block = Block(code, shape.bias)

    def forward(self, difference: Tensor, base: Tensor, factor: float | Tensor) -> Tensor:
        return base + self.block(self.h(self.g(difference).relu_() * factor))


class Decoder(nn.Module):
    """Texture code and shape code to image (n, 3, y, x)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        layer = partial(conv, bias=shape.bias)
        width, code = shape.width, shape.width // 2
        self.texture_up = layer(code, code) if shape.texture_up else None
        self.blocks = nn.Sequential(*(Block(width, shape.bias) for _ in range(9)))
        self.extra = layer(width, width) if shape.extra else None
        self.narrow, self.leave = layer(width, code), layer(code, 3, 7)

    def forward(self, texture: Tensor, code: Tensor) -> Tensor:
        texture = interpolate(texture, scale_factor=2, mode="nearest")
        if self.texture_up is not None:
            texture = self.texture_up(texture).relu_()
        x = interpolate(self.blocks(torch.cat((texture, code), 1)), scale_factor=2, mode="nearest")
        if self.extra is not None:
            x = self.extra(x).relu_()
        return self.leave(self.narrow(x).relu_())


class Network(nn.Module):
    """Encoder, manipulator and decoder, with the conventions of the dialect that its weights were trained under."""

    def __init__(self, dialect: Dialect, shape: Shape) -> None:
        super().__init__()
        self.dialect, self.shape = dialect, shape
        self.encoder, self.manipulator, self.decoder = Encoder(shape), Manipulator(shape), Decoder(shape)

    def forward(self, reference: Tensor, target: Tensor, factors: tuple[float, ...]) -> list[Tensor]:
        """Images (y, x, 3), sizes multiples of 4, to one magnified image (y, x, 3) for each AF.

        All of them uint8, or float32 in 0..255.
        Both frames are encoded once. AFs are decoded one at a time: on a CPU a batch outgrows the cache and is slower.
        """
        _, shape_a = self.encoder(self.scaled(reference))
        texture, shape_b = self.encoder(self.scaled(target))
        difference = shape_b - shape_a
        base = shape_b if self.dialect.base == "target" else shape_a
        images = []
        for af in factors:
            code = self.manipulator(difference, base, af - 1.0 if self.dialect.excess else af)
            images.append(self.levels(self.decoder(texture, code), target.dtype))
        return images

    def scaled(self, image: Tensor) -> Tensor:
        """Grey levels (y, x, 3) to what the net was trained on: float32 (1, 3, y, x), -1..1 or 0..1."""
        x = image.permute(2, 0, 1)[None].float().contiguous(memory_format=torch.channels_last)
        return x / 127.5 - 1.0 if self.dialect.signed else x / 255.0

    def levels(self, output: Tensor, dtype: torch.dtype = torch.uint8) -> Tensor:
        """The inverse of `scaled`, clipped; rounded for uint8, kept for float32."""
        x = (output + 1.0) * 127.5 if self.dialect.signed else output * 255.0
        x = x.round_() if dtype == torch.uint8 else x
        return x.clamp_(0.0, 255.0).to(dtype)[0].permute(1, 2, 0)


def build(state: Mapping[str, Tensor], label: str) -> Network:
    """The network of a checkpoint's tensors, every one of them used; ModelError if they are of no known dialect."""
    dialect, shape, tensors = recognise(state, label)
    network = Network(dialect, shape)
    try:
        network.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise ModelError(
            f"{label} has the names of dialect {dialect.name} and other sizes: {first[0].strip()}",
            "give a whole checkpoint: 16, 32 and 64 channels, or all of them narrower or wider alike",
        ) from None
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


@lru_cache(maxsize=2)
def load(weights: Weights) -> Network:
    """The network of a checkpoint file, kept for the next call."""
    return build(load_state(weights), weights.path or weights.digest)


@lru_cache(maxsize=2)
def on_device(weights: Weights, place: torch.device) -> Network:
    """The network of a checkpoint file on a GPU, kept for the next call."""
    return build(load_state(weights), weights.path or weights.digest).to(place)
