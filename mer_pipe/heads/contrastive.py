"""Contrastive losses: weighted by shared action units, and between two modalities. Imports torch: import it lazily."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def overlap(units: Tensor) -> Tensor:
    """How far the action units of clips agree: w_ij = |A_i n A_j| / |A_i u A_j| (Ruan et al., ACM MM 2022).

    Parameters
    ----------
    units : (n, units), 1 where the clip shows the action unit, else 0.

    Returns
    -------
    (n, n) float32, 0..1, symmetric. Two clips without any unit (0/0) have 0; so has such a clip with itself.
    """
    units = units.float()
    with torch.autocast(units.device.type, enabled=False):
        both = units @ units.T
    own = units.sum(1)
    return both / (own[:, None] + own[None] - both).clamp(min=1)


def weighted_contrastive(features: Tensor, weights: Tensor, temperature: float) -> Tensor:
    """The supervised contrastive loss (Khosla et al., NeurIPS 2020) with a weight for each pair instead of a class.

    Mean over the anchors i of -sum_j w_ij log(exp(z_i . z_j / t) / sum_k exp(z_i . z_k / t)) / sum_j w_ij, with j and k
    running over all others than i. Anchors whose weights are all 0 have nothing to be pulled to and are left out.

    Parameters
    ----------
    features : (n, width); brought to unit length here.
    weights : (n, n), >= 0; the diagonal is not read.
    temperature : t, above 0.

    Returns
    -------
    A float32 scalar, >= 0; 0 where no pair has a weight.
    """
    n = len(features)
    if n < 2:
        return features.new_zeros((), dtype=torch.float32)
    alone = torch.eye(n, dtype=torch.bool, device=features.device)
    with torch.autocast(features.device.type, enabled=False):
        z = F.normalize(features.float(), dim=1)
        logits = (z @ z.T / temperature).masked_fill(alone, -torch.inf)
    shares = logits.log_softmax(1).masked_fill(alone, 0)
    weights = weights.float().masked_fill(alone, 0)
    total = weights.sum(1)
    anchors = total > 0
    losses = -(weights * shares).sum(1) / torch.where(anchors, total, 1)
    return losses.sum() / anchors.sum().clamp(min=1)


def info_nce(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Cosine InfoNCE between two modalities of the same clips, both directions (as in CLIP, Radford et al., 2021).

    Row i of `first` belongs to row i of `second`; all other rows of `second` are its negatives, and the other way round.

    Parameters
    ----------
    first, second : (n, width) each; brought to unit length here.
    temperature : above 0; divides the cosines.

    Returns
    -------
    A float32 scalar, >= 0; 0 for a single clip.
    """
    with torch.autocast(first.device.type, enabled=False):
        logits = F.normalize(first.float(), dim=1) @ F.normalize(second.float(), dim=1).T / temperature
    own = torch.arange(len(first), device=first.device)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
