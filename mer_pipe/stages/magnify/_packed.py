"""The learned magnifier for inference on the CPU: packed and fused convolutions. Imports torch: import it lazily."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mer_pipe.stages.magnify import network
from mer_pipe.stages.magnify._reflected import Doubled, Quartered, Reflected
from mer_pipe.types import Weights


class Packed:
    """A `network.Network` that gives the same images, to rounding, several times as fast on one thread.

    What does not depend on AF is computed once for a pair: both codes, the difference under g and h, the texture.
    In bfloat16 that remains in float32, since it holds differences of a fraction of a pixel's step; what is decoded for each
    AF has 8 bits, its sums float32, and the last layer, which makes grey levels, is float32 again.
    """

    def __init__(self, net: network.Network, dtype: torch.dtype = torch.float32) -> None:
        self.net, self.dialect, self.dtype = net, net.dialect, dtype
        late = ("manipulator.block", "decoder.blocks", "decoder.extra", "decoder.narrow")
        after_nearest = ("decoder.texture_up", "decoder.extra" if net.decoder.extra is not None else "decoder.narrow")
        self.layers: dict[str, Callable[..., Tensor]] = {}
        for name, module in net.named_modules():
            if isinstance(module, nn.Conv2d):
                kind = Doubled if name in after_nearest else Quartered if name == "decoder.leave" else Reflected
                self.layers[name] = kind(module, dtype if name.startswith(late) else torch.float32)
        # h is linear: without its bias it need not see the factor.
        self.added = net.manipulator.h.bias
        if self.added is not None:
            self.layers["manipulator.h"] = Reflected(net.manipulator.h, torch.float32, bias=False)

    def __call__(self, reference: Tensor, target: Tensor, factors: tuple[float, ...]) -> list[Tensor]:
        """As `network.Network.forward`: (y, x, 3) images to one magnified image of the target's type for each AF."""
        shape_a = self._shape(self._trunk(reference))
        trunk = self._trunk(target)
        texture = self._texture(trunk)
        shape_b = self._shape(trunk)
        moved = self._layer("manipulator.h", self._layer("manipulator.g", shape_b - shape_a, relu=True))
        base = shape_b if self.dialect.base == "target" else shape_a
        base, texture = base.to(self.dtype), texture.to(self.dtype)
        images = []
        for af in factors:
            x = moved * (af - 1.0 if self.dialect.excess else af)
            if self.added is not None:
                x += self.added[:, None, None]
            code = self._block("manipulator.block", x.to(self.dtype)) + base
            images.append(_interleaved(self.net.levels(self._decoded(texture, code), target.dtype)))
        return images

    def _trunk(self, image: Tensor) -> Tensor:
        x = self._layer("encoder.enter", self.net.scaled(image), relu=True)
        return self._blocks("encoder.blocks", self._layer("encoder.halve", x, relu=True))

    def _texture(self, x: Tensor) -> Tensor:
        x = self._blocks("encoder.texture_blocks", self._layer("encoder.texture_conv", x, relu=True))
        if "decoder.texture_up" in self.layers:
            return self._layer("decoder.texture_up", x, relu=True)
        return interpolate(x, scale_factor=2, mode="nearest")

    def _shape(self, x: Tensor) -> Tensor:
        """The shape code; `x` may be overwritten."""
        if "encoder.shape_conv" in self.layers:
            x = self._layer("encoder.shape_conv", x, relu=True)
        return self._blocks("encoder.shape_blocks", x)

    def _decoded(self, texture: Tensor, code: Tensor) -> Tensor:
        """The image in its four phases: see `Quartered`."""
        x = self._blocks("decoder.blocks", torch.cat((texture, code), 1).contiguous(memory_format=torch.channels_last))
        if "decoder.extra" in self.layers:
            x = self._layer("decoder.extra", x, relu=True)
        return self._layer("decoder.leave", self._layer("decoder.narrow", x, relu=True).float())

    def _blocks(self, name: str, x: Tensor) -> Tensor:
        i = 0
        while f"{name}.{i}.a" in self.layers:
            x = self._block(f"{name}.{i}", x)
            i += 1
        return x

    def _block(self, name: str, x: Tensor) -> Tensor:
        return self.layers[f"{name}.b"](self._layer(f"{name}.a", x, relu=True), relu=False, shortcut=x)

    def _layer(self, name: str, x: Tensor, relu: bool = False) -> Tensor:
        return self.layers[name](x, relu)


@lru_cache(maxsize=4)
def load(weights: Weights, precision: str = "float32") -> Packed:
    """The packed network of a checkpoint file, kept for the next call with the same digest."""
    return Packed(network.load(weights), getattr(torch, precision))


def _interleaved(phases: Tensor) -> Tensor:
    """(y/2, x/2, 12), the four phases of an image as `Quartered` orders them, to (y, x, 3)."""
    height, width, _ = phases.shape
    return phases.reshape(height, width, 2, 2, 3).transpose(1, 2).reshape(2 * height, 2 * width, 3)
