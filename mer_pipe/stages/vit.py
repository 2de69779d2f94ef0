"""Vision Transformer with timm's parameter names. Imports torch: import it lazily."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_pipe.stages.weights import load_state, misfits
from mer_pipe.types import ModelError, RecipeError, Weights


@dataclass(frozen=True)
class Layout:
    """The sizes of a Vision Transformer; the default is ViT-B/16 for 224 px (Dosovitskiy et al., ICLR 2021, Table 1).

    Attributes
    ----------
    depth : layers.
    width : length of a token; a multiple of `heads`.
    heads : attention heads a layer.
    patch : side of a patch in px.
    grid : rows and columns of patches that `pos_embed` holds; other grids are interpolated from it.

    Raises
    ------
    RecipeError : a size below 1, or a width that the heads do not divide.
    """

    depth: int = 12
    width: int = 768
    heads: int = 12
    patch: int = 16
    grid: tuple[int, int] = (14, 14)

    def __post_init__(self) -> None:
        for name in ("depth", "width", "heads", "patch"):
            if getattr(self, name) < 1:
                raise RecipeError(f"a transformer cannot have {name}={getattr(self, name)}", "give 1 or more")
        if min(self.grid) < 1:
            raise RecipeError(f"a transformer cannot have a grid of {self.grid} patches", "give 1 or more a side")
        if self.width % self.heads:
            told = f"width={self.width} cannot be shared by heads={self.heads}"
            raise RecipeError(told, f"give a width that is a multiple of {self.heads}")


class Patches(nn.Module):
    """Images (n, 3, y, x) to patches (n, width, rows, columns)."""

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)

    def forward(self, images: Tensor) -> Tensor:
        return self.proj(images)


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al., 2017); query, key and value come from one matrix."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, maps: bool = False) -> tuple[Tensor, Tensor | None]:
        n, tokens, width = x.shape
        query, key, value = self.qkv(x).reshape(n, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        attention = None
        if maps:
            attention = (query @ key.transpose(2, 3) / math.sqrt(width // self.heads)).softmax(3)
            mixed = attention @ value
        else:
            mixed = F.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).reshape(n, tokens, width)), attention


class Mlp(nn.Module):
    """Two linear layers round the exact GELU; the inner width is 4 times the outer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Layer(nn.Module):
    """One layer: normalise, attend, add; normalise, transform, add."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width)

    def forward(self, x: Tensor, maps: bool = False, scale: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Tokens (n, tokens, width) of the next layer, and this one's attention (n, heads, query, key) or None.

        `scale`, (n, tokens), multiplies the *normalised* tokens: what they are attended by, not what is added to.
        """
        seen = self.norm1(x)
        if scale is not None:
            seen = seen * scale[..., None]
        mixed, attention = self.attn(seen, maps)
        x = x + mixed
        return x + self.mlp(self.norm2(x)), attention


class ViT(nn.Module):
    """A Vision Transformer without its classifier. Parameter names and shapes are timm's, less `head`.

    A fresh one is drawn from PyTorch's default generator: normal with standard deviation .02; biases 0; norms 1 and 0.
    """

    def __init__(self, layout: Layout = Layout()) -> None:
        super().__init__()
        self.layout = layout
        rows, columns = layout.grid
        self.patch_embed = Patches(layout.width, layout.patch)
        self.cls_token = nn.Parameter(torch.empty(1, 1, layout.width))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + rows * columns, layout.width))
        self.blocks = nn.ModuleList(Layer(layout.width, layout.heads) for _ in range(layout.depth))
        self.norm = nn.LayerNorm(layout.width, eps=1e-6)
        _draw(self)

    def positions(self, rows: int, columns: int) -> Tensor:
        """The position embedding (1, 1 + rows * columns, width) of a grid of patches.

        Another grid than the layout's is interpolated as timm does: bicubic, antialiased where it shrinks, corners not
        aligned, in float32. The class token keeps its own.
        """
        if (rows, columns) == self.layout.grid:
            return self.pos_embed
        first, patches = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        grid = patches.float().reshape(1, *self.layout.grid, -1).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, (rows, columns), mode="bicubic", antialias=True, align_corners=False)
        return torch.cat([first, grid.flatten(2).transpose(1, 2).to(first.dtype)], 1)

    def tokens(self, images: Tensor) -> Tensor:
        """What enters the first layer, (n, 1 + rows * columns, width): the class token, then the patches row by row.

        Raises
        ------
        RecipeError : the images are not (n, 3, y, x), or a side is no multiple of the patch.
        """
        patch = self.layout.patch
        if images.ndim != 4 or images.shape[1] != 3:
            raise RecipeError(f"a transformer needs images (n, 3, y, x), not {tuple(images.shape)}")
        if images.shape[2] % patch or images.shape[3] % patch or 0 in images.shape:
            told = f"images of {images.shape[2]} x {images.shape[3]} px do not divide into patches of {patch} px"
            raise RecipeError(told, f"crop to a multiple of {patch}")
        patches = self.patch_embed(images)
        positions = self.positions(*patches.shape[2:])
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), patches.flatten(2).transpose(1, 2)], 1)
        return tokens + positions

    def forward(self, images: Tensor, maps: bool = False) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Normalised images (n, 3, y, x), sides multiples of the patch, to tokens and attention.

        Returns
        -------
        The tokens after the last norm, (n, 1 + rows * columns, width), the class token first; and, with `maps`, the
        attention of each layer, (n, heads, query, key), rows that sum to 1.
        """
        x, seen = self.tokens(images), []
        for layer in self.blocks:
            x, attention = layer(x, maps)
            seen.append(attention)
        return self.norm(x), tuple(seen) if maps else ()


def _draw(net: ViT, source: torch.Generator | None = None) -> None:
    """Give every parameter its start value, in the order of the module's parameters."""
    with torch.no_grad():
        for name, value in net.named_parameters():
            if name.endswith("bias"):
                value.zero_()
            elif "norm" in name:
                value.fill_(1)
            else:
                value.normal_(0, 0.02, generator=source)


def random_state(seed: int, layout: Layout = Layout()) -> dict[str, Tensor]:
    """Return seeded random parameters of `ViT`, drawn as a fresh one from one `torch.Generator(seed)` on the CPU.

    PyTorch's default generator is left as it is.
    """
    with torch.device("meta"):
        net = ViT(layout)
    net = net.to_empty(device="cpu")
    _draw(net, torch.Generator().manual_seed(seed))
    return net.state_dict()


def read(state: dict[str, Tensor], label: str, layout: Layout = Layout()) -> ViT:
    """Return a transformer in evaluation mode with the parameters of a checkpoint, loaded strictly.

    Accepted: timm's names. A classifier `head.*` of any size is left out. Every other name that is missing, unknown or
    of another shape is an error. The grid is the checkpoint's own, square unless it has as many patches as the
    layout's: the result's `layout` tells it.

    Raises
    ------
    ModelError : naming the parameters that do not fit.
    """
    found = {name: value for name, value in state.items() if not name.startswith("head.")}
    layout = replace(layout, grid=_grid(found.get("pos_embed"), layout.grid))
    with torch.device("meta"):
        net = ViT(layout)
    wanted = net.state_dict()
    if wrong := misfits(found, wanted):
        kind = f"Vision Transformer of depth {layout.depth}, width {layout.width} and patch {layout.patch}"
        raise ModelError(f"{label} is no {kind}: {wrong}", "Use a checkpoint with timm's names and these sizes.")
    net = net.to_empty(device="cpu")
    net.load_state_dict(found, strict=True)
    return net.eval()


def _grid(positions: Tensor | None, usual: tuple[int, int]) -> tuple[int, int]:
    """The grid that a checkpoint's position embedding was made for; the usual one where that cannot be told."""
    if positions is None or positions.ndim != 3 or positions.shape[1] - 1 == usual[0] * usual[1]:
        return usual
    side = math.isqrt(max(positions.shape[1] - 1, 0))
    return (side, side) if side and side * side == positions.shape[1] - 1 else usual


def load(weights: Weights, layout: Layout = Layout()) -> ViT:
    """Return the transformer of a checkpoint, or a seeded random one for a digest "random:<seed>"; in evaluation mode."""
    kind, _, value = weights.digest.partition(":")
    if kind == "random":
        if not value.isdecimal():
            raise ModelError(f"{weights.digest!r} names no seed", 'Write "random:0".')
        return read(random_state(int(value), layout), weights.digest, layout)
    return read(load_state(weights), weights.digest, layout)
