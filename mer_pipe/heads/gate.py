"""Sigmoid-gated averaging of a set of vectors. Imports torch: import it lazily."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Gate(nn.Module):
    """Weights of a set of vectors F_i: sigmoid(q0 . F_i), divided by their sum over the set.

    Meng et al., "Frame Attention Networks", ICIP 2019, Eq. 1 and 2. AMAN uses it over amplification factors and over
    frames (Wei et al., ICASSP 2022), MRN for its fusion (Wei et al., ICPR 2022). It has no order: permuting the vectors
    permutes the weights.

    Parameters
    ----------
    width : length of the vectors.
    learnt : False gives every vector the same weight, and there is no q0.
    """

    def __init__(self, width: int, learnt: bool = True) -> None:
        super().__init__()
        self.q0 = nn.Parameter(torch.empty(width).uniform_(-1, 1) / math.sqrt(width)) if learnt else None

    def forward(self, vectors: Tensor) -> Tensor:
        """(..., k, width) to weights (..., k) that sum to 1 over k."""
        if self.q0 is None:
            return vectors.new_full(vectors.shape[:-1], 1 / vectors.shape[-2])
        # The softmax of log-sigmoids is the quotient itself, and stays defined where every sigmoid rounds to 0.
        return nn.functional.logsigmoid(vectors @ self.q0).softmax(-1)


def mean(vectors: Tensor, weights: Tensor) -> Tensor:
    """The weighted sum of vectors (..., k, width) by weights (..., k): (..., width)."""
    return (weights[..., None] * vectors).sum(-2)
