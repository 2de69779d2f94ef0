"""How much each patch of a transformer matters, from its attention. Imports torch: import it lazily."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

POOLS = ("mean", "max")


def patch_weights(maps: Sequence[Tensor], pool: str = "mean") -> Tensor:
    """One weight for each patch from the product of the layers' attention (MSMMT, Wang et al., 2022).

    Of each layer's attention between patches the rows are divided by their sums: without the class token, which is no
    patch, they do not sum to 1. The product of the layers, the last on the left, tells how much of each patch reaches
    each place after the last layer (Abnar and Zuidema, ACL 2020). Its column mean or its column maximum is the weight.

    Parameters
    ----------
    maps : attention of layers 1 .. L-1, averaged over the heads: (n, 1 + patches, 1 + patches) each, class token first.
    pool : "mean" or "max" over the rows of the product.

    Returns
    -------
    (n, patches) float32, >= 0, divided by their mean, so that they sum to the number of patches: tokens keep their size.
    """
    with torch.autocast(maps[0].device.type, enabled=False):
        product = None
        for attention in reversed(maps):
            patches = attention[:, 1:, 1:].float()
            patches = patches / patches.sum(2, keepdim=True)
            if product is None:
                product = patches.mean(1, keepdim=True) if pool == "mean" else patches
            else:
                product = product @ patches  # for the mean, one row times a matrix
    weights = product.amax(1)
    return weights / weights.mean(1, keepdim=True)
