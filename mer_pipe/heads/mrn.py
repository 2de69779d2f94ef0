"""MRN: the Magnification-Robust Network with sparse self-attention (Wei et al., ICPR 2022).

Imports torch: import it lazily.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mer_pipe.heads import gate
from mer_pipe.heads.head import Batch, Clips, Head, Inputs, Need, Training
from mer_pipe.heads.settings import at_least, factor_positions, one_of
from mer_pipe.heads.sparse_attention import MASKS, SparseBlock, SparseSelfAttention, draw_planes
from mer_pipe.types import RecipeError

ARRAY = "features_mrn/vector"
ATTENTIONS = ("sparse", "full")
TOGETHER = 64
"""Clips that `Mrn.prepare` reads at once."""


class Output(NamedTuple):
    """What the network says of n clips.

    Attributes
    ----------
    values : (n, outputs), before any softmax.
    attention : of each block, (n, heads, af, af).
    fusion : (n, af), rows that sum to 1.
    """

    values: Tensor
    attention: list[Tensor]
    fusion: Tensor


class Network(nn.Module):
    """Positions, SSA blocks, fusion with the unattended features, one fully connected layer.

    `forward` takes features (n, af, width) of any float type. Buffers: `shift` and `scale` (width,), which standardise
    the features (0 and 1 before `Mrn.prepare`); `positions` (length, width); the hyperplanes of the blocks.
    """

    def __init__(self, head: Mrn, width: int, factors: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.factors = list(factors)
        size = (head.tables, head.layers, head.heads, head.planes, width // head.heads)
        planes = draw_planes(head.hash_seed, *size) if head.attention == "sparse" else None
        self.blocks = nn.ModuleList(
            SparseBlock(
                SparseSelfAttention(None if planes is None else planes[:, i].clone(), width, head.heads, head.mask),
                width,
                head.feed_forward,
                head.dropout,
            )
            for i in range(head.layers)
        )
        self.gate = gate.Gate(width)
        self.classifier = nn.Linear(2 * width, outputs)
        self.register_buffer("positions", sinusoids(len(factors), width) * head.positions)
        self.register_buffer("shift", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def forward(self, features: Tensor, drop: bool) -> Output:
        features = (features[:, self.factors].float() - self.shift) / self.scale
        x, attention = features + self.positions, []
        for block in self.blocks:
            x, weights = block(x, drop)
            attention.append(weights)
        fusion = self.gate(features)
        joined = torch.cat([x.mean(1), gate.mean(features, fusion)], dim=-1)
        return Output(self.classifier(joined), attention, fusion)


def sinusoids(length: int, width: int) -> Tensor:
    """Position encoding (length, width) float32: entry 2d of row p is sin(p / 10000^(2d / width)), entry 2d + 1 the cosine.

    Vaswani et al., 2017, section 3.5. `width` must be even.
    """
    rate = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1).float()


@dataclass(frozen=True)
class Mrn(Head):
    """MRN: apex frames of growing amplification as a sequence for sparse self-attention.

    The paper leaves open: epochs, batch, the hidden width of the feed-forward networks, where layer norms stand, how the
    attended vectors become one, and whether the fusion's weights are divided by their sum. Chosen here: 40 epochs
    (UAMRN's), batches of 16, 2048 hidden units, the Transformer's own order, the mean, and yes (as AMAN does).

    Attributes
    ----------
    af : amplification factors to take of the store's; none means all.
    positions : whether the sinusoidal encoding of a vector's place in the sequence (0, 1, ..., not its factor) is added.
    attention : "sparse", or "full": every query sees every key (the paper's ablation).
    mask : "pre_softmax", or "post_softmax": see `sparse_attention.weights`.
    layers : SSA blocks.
    heads : of the attention; they divide the features' width.
    planes, tables : hyperplanes of one hash table, and independent tables whose pairs are united. No planes: full
        attention.
    hash_seed : of the hyperplanes, which are not learnt.
    feed_forward : hidden units of a block's feed-forward network.
    dropout : of both residual branches of a block, while training. The paper names none.
    standardise : whether each of the features is shifted and scaled to mean 0 and variance 1 over the training clips
        and their factors, before positions are added. Not in the paper. Without it nothing is learnt from features of
        random weights, the default of a store: they vary by 0.04 where positions vary by 0.7.
    """

    name: ClassVar[str] = "mrn"
    title: ClassVar[str] = "MRN (Wei et al., ICPR 2022)"
    system: ClassVar[str] = "mrn"

    training: Training = Training(epochs=40, batch=16, optimizer="adam", lr=2e-4, schedule="step", every=10, factor=0.1)
    af: tuple[float, ...] = ()
    positions: bool = True
    attention: str = "sparse"
    mask: str = "pre_softmax"
    layers: int = 3
    heads: int = 8
    planes: int = 3
    tables: int = 4
    hash_seed: int = 0
    feed_forward: int = 2048
    dropout: float = 0.0
    standardise: bool = True

    def __post_init__(self) -> None:
        one_of("attention", self.attention, ATTENTIONS)
        one_of("mask", self.mask, MASKS)
        for name, low in (
            ("layers", 1),
            ("heads", 1),
            ("planes", 0),
            ("tables", 1),
            ("hash_seed", 0),
            ("feed_forward", 1),
        ):
            at_least(name, getattr(self, name), low)
        if self.planes > 62:
            raise RecipeError(f"planes={self.planes} is above 62", "a bucket's number has 63 bits")
        if not 0 <= self.dropout < 1:
            raise RecipeError(f"dropout={self.dropout} is no share below 1", "give a number from 0 to 0.9")

    @property
    def needs(self) -> tuple[Need, ...]:
        return (Need(ARRAY, self.system),)

    def network(self, inputs: Inputs) -> Network:
        return self._network(inputs, len(inputs.classes))

    def prepare(self, network: Network, clips: Clips) -> None:
        if not self.standardise:
            return
        parts = torch.arange(len(clips), device=clips.labels.device).split(TOGETHER)
        values = torch.cat([clips.batch(part).arrays[ARRAY][:, network.factors].float() for part in parts])
        spread, centre = torch.std_mean(values.flatten(0, 1), dim=0, correction=0)
        network.shift.copy_(centre)
        # A feature that never changes stays 0 and is not blown up.
        network.scale.copy_(torch.where(spread > 1e-6, spread, 1.0))

    def loss(self, network: Network, batch: Batch, clips: Clips) -> Tensor:
        return nn.functional.cross_entropy(network(batch.arrays[ARRAY], drop=True).values, batch.labels)

    def probabilities(self, network: Network, batch: Batch) -> Tensor:
        return network(batch.arrays[ARRAY], drop=False).values.float().softmax(-1)

    def views(self, network: Network, batch: Batch) -> dict[str, np.ndarray]:
        with torch.no_grad():
            output = network(batch.arrays[ARRAY], drop=False)
        attention = torch.stack(output.attention, dim=1)
        return {
            "attention[layer,head,query,key]": attention.float().cpu().numpy(),
            "fusion[af]": output.fusion.float().cpu().numpy(),
        }

    def _network(self, inputs: Inputs, outputs: int) -> Network:
        width = inputs.shapes[ARRAY][1]
        if width % self.heads:
            raise RecipeError(f"heads={self.heads} do not divide the features' width {width}", "take 1, 2, 4 or 8")
        return Network(self, width, factor_positions(inputs, ARRAY, self.af), outputs)
