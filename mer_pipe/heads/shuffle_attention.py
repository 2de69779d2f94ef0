"""Shuffle attention with weights for each group of its own. Imports torch: import it lazily."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_pipe.types import RecipeError

GATES = ("sigmoid", "softmax")


class ShuffleAttention(nn.Module):
    """Channel and spatial attention in groups of channels (Zhang and Yang, "SA-Net", ICASSP 2021).

    The channels are cut into groups, each group into two halves. The first half is weighted by gate(w mean(x) + b), a
    number a channel; the second by gate(w norm(x) + b), a number a place, where norm is over each channel's places.
    Then the channels of the first halves and of the last are interleaved across the whole, as `nn.ChannelShuffle(2)`.

    SA-Net has one w and one b for all groups; Ruan et al. (ACM MM 2022) have them for each group. SA-Net's affine
    parameters inside norm are left out: w and b hold them already.

    Parameters
    ----------
    channels : a multiple of 2 * groups.
    groups : of channels.
    shared : one set of weights for all groups, as in SA-Net.
    gate : "sigmoid"; or "softmax" over the groups, as in the released code of Ruan et al., where groups compete.

    Raises
    ------
    RecipeError : the groups do not divide the channels, or the gate is unknown.
    """

    def __init__(self, channels: int, groups: int = 4, shared: bool = False, gate: str = "sigmoid") -> None:
        super().__init__()
        if groups < 1 or channels % (2 * groups):
            told = f"{channels} channels do not divide into 2 x {groups} groups"
            raise RecipeError(told, "take groups=4 or another power of two")
        if gate not in GATES:
            raise RecipeError(f"gate={gate!r} is unknown", f"take one of {', '.join(GATES)}")
        self.groups, self.gate = groups, gate
        shape = (1 if shared else groups, channels // (2 * groups), 1, 1)
        self.channel_weight, self.spatial_weight = (nn.Parameter(torch.zeros(shape)) for _ in range(2))
        self.channel_bias, self.spatial_bias = (nn.Parameter(torch.ones(shape)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) to the same shape; the channels come out shuffled."""
        n, channels, *places = x.shape
        first, second = x.reshape(n, self.groups, 2, -1, *places).unbind(2)
        channel = self.channel_weight * first.mean((3, 4), keepdim=True) + self.channel_bias
        normed = F.group_norm(second.reshape(n, channels // 2, *places), channels // 2).reshape(second.shape)
        spatial = self.spatial_weight * normed + self.spatial_bias
        seen = torch.stack([first * self._gate(channel), second * self._gate(spatial)], 2)
        return seen.reshape(n, 2, channels // 2, *places).transpose(1, 2).reshape(x.shape)

    def _gate(self, values: Tensor) -> Tensor:
        return values.sigmoid() if self.gate == "sigmoid" else values.softmax(1)
