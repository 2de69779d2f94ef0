"""Self-attention among vectors that hash alike (LSH): the SSA blocks of MRN. Imports torch: import it lazily.

Wei et al., ICPR 2022. Hashing by the signs of random projections: Charikar, "Similarity estimation techniques from
rounding algorithms", STOC 2002.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

MASKS = ("pre_softmax", "post_softmax")


def draw_planes(seed: int, tables: int, layers: int, heads: int, planes: int, width: int) -> Tensor:
    """Normals of random hyperplanes: float32 (tables, layers, heads, planes, width), standard normal.

    Drawn table by table from one `torch.Generator(seed)` on the CPU, so that a further table leaves the others as they
    are.
    """
    source = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randn(layers, heads, planes, width, generator=source) for _ in range(tables)])


def buckets(vectors: Tensor, planes: Tensor) -> Tensor:
    """The bucket of each vector in each table: the signs of its projections as the bits of a number, plane 0 lowest.

    Parameters
    ----------
    vectors : (n, heads, length, width).
    planes : (tables, heads, planes, width). With no planes there is one bucket, 0.

    Returns
    -------
    (n, tables, heads, length) int64, 0 .. 2^planes - 1. A projection of exactly 0 counts as positive.
    """
    # Always in float32, so that mixed precision moves no vector over a plane by the projection's own rounding.
    with torch.no_grad(), torch.autocast(vectors.device.type, enabled=False):
        bits = torch.einsum("nhld,thpd->nthlp", vectors.float(), planes.float()) >= 0
        return (bits * 2 ** torch.arange(planes.shape[2], device=bits.device)).sum(-1)


def alike(queries: Tensor, keys: Tensor, planes: Tensor) -> Tensor:
    """Which query may attend to which key: those that share a bucket in any table; bool (n, heads, length, length).

    Both are hashed by the same planes: equal vectors are always a pair. A further table can only add pairs.
    """
    own, other = buckets(queries, planes), buckets(keys, planes)
    return (own[..., :, None] == other[..., None, :]).any(dim=1)


def weights(queries: Tensor, keys: Tensor, allowed: Tensor, mask: str = "pre_softmax") -> Tensor:
    """Attention softmax(q k^T / sqrt(width)) on the allowed pairs; a query without any has a row of zeros.

    Parameters
    ----------
    queries, keys : (n, heads, length, width).
    allowed : bool (n, heads, length, length).
    mask : "pre_softmax": the softmax is taken over the allowed keys: rows sum to 1 (or are zero). "post_softmax": it is
        taken over all keys and the others are cut (the paper's Eq. 6 as it is written): rows sum to less than 1.

    Returns
    -------
    (n, heads, length, length) in [0, 1]. Gradients are finite everywhere.
    """
    scores = queries @ keys.transpose(-1, -2) / math.sqrt(queries.shape[-1])
    if mask == "pre_softmax":
        # The smallest finite number, not minus infinity: a row without any pair would be 0 / 0. It is cut below.
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    return scores.softmax(-1).masked_fill(~allowed, 0)


class SparseSelfAttention(nn.Module):
    """Multi-head self-attention on the pairs that hash alike in their head; its projections have no bias (Vaswani et al.).

    Parameters
    ----------
    planes : (tables, heads, planes, width / heads), kept as a buffer; None attends to every key (full attention).
    width : of the vectors; a multiple of `heads`.
    mask : see `weights`.
    """

    def __init__(self, planes: Tensor | None, width: int, heads: int, mask: str = "pre_softmax") -> None:
        super().__init__()
        self.heads, self.mask = heads, mask
        self.query, self.key, self.value, self.output = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.register_buffer("planes", planes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, length, width) to the attended vectors, of the same shape, and weights (n, heads, length, length)."""
        q, k, v = (
            part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        if self.planes is None:
            allowed = torch.ones((*q.shape[:3], q.shape[2]), dtype=torch.bool, device=q.device)
        else:
            allowed = alike(q, k, self.planes)
        attention = weights(q, k, allowed, self.mask)
        mixed = attention.to(v.dtype) @ v
        return self.output(mixed.transpose(1, 2).flatten(2)), attention


class SparseBlock(nn.Module):
    """Attention and a feed-forward network, each inside a residual connection with a layer norm after it.

    The layer of Vaswani et al., "Attention is all you need", 2017, section 3.1 and 5.4 (residual dropout), with sparse
    attention in place of full.

    Parameters
    ----------
    attention : of vectors as long as `width`.
    hidden : units of the feed-forward network's hidden layer.
    dropout : share of the values that both residual branches drop.
    """

    def __init__(self, attention: SparseSelfAttention, width: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.attention, self.dropout = attention, dropout
        self.feed_forward = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: Tensor, drop: bool) -> tuple[Tensor, Tensor]:
        """(n, length, width) to the same shape and the attention's weights; values are dropped only if `drop`.

        An argument and not the module's training mode, for Monte-Carlo dropout drops in evaluation too.
        """
        mixed, attention = self.attention(x)
        x = self.norm1(x + nn.functional.dropout(mixed, self.dropout, drop))
        x = self.norm2(x + nn.functional.dropout(self.feed_forward(x), self.dropout, drop))
        return x, attention
