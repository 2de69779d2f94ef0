"""UAMRN: MRN that weights each clip by how uncertain it is of it. Imports torch: import it lazily.

Wei et al., "Micro-Expression Recognition Using Uncertainty-Aware Magnification-Robust Networks", Entropy 24(9), 1271, 2022.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mer_pipe.heads.head import Batch, Clips, Inputs
from mer_pipe.heads.mrn import ARRAY, Mrn, Network
from mer_pipe.heads.settings import at_least, one_of

GAMMAS = ("normalised", "raw")
FLOOR = 1e-6
"""Least variance of a class, so that gamma is never 0."""


class Passes(NamedTuple):
    """The output of m Monte-Carlo passes over n clips.

    Attributes
    ----------
    mean : y, the logits, (m, n, classes).
    variance : s2 of the logits, (m, n, classes), above 0.
    """

    mean: Tensor
    variance: Tensor

    def epistemic(self) -> Tensor:
        """How far the passes differ: mean(y^2) - mean(y)^2 over them, (n, classes)."""
        return self.mean.var(dim=0, correction=0)

    def aleatoric(self) -> Tensor:
        """The variance that the network itself tells: mean(s2), (n, classes)."""
        return self.variance.mean(0)


@dataclass(frozen=True)
class Uamrn(Mrn):
    """UAMRN: MRN with 2 heads, Monte-Carlo dropout, and a loss that heeds uncertainty.

    The network's output is a mean y and a variance s2 (softplus) of every class's logit. Over `passes` passes with dropout,
    gamma = mean(y^2) - mean(y)^2 + mean(s2), averaged over the classes, weights the clip's cross-entropy; no gradient
    passes through gamma. With it alone s2 would learn nothing, so that the loss takes the logits as the normal
    distribution that they are: p is the mean softmax of `passes` draws y + s e (Kendall and Gal, NeurIPS 2017, Eq. 12).
    The prediction is the mean softmax of y over the passes.

    The paper leaves open: the dropout rate, the number of passes, the form of s2, and how gamma, one a class, weights a
    clip. Of the passes of a training step only one is differentiated.

    Attributes
    ----------
    dropout : share of the values that both residual branches of a block drop, in training and in prediction. With 0 one
        pass is made: the others would repeat it.
    passes : Monte-Carlo passes.
    gamma : "normalised" to mean 1 over the batch, or "raw", where the loss's scale follows the uncertainty.

    The other settings are MRN's.
    """

    name: ClassVar[str] = "uamrn"
    title: ClassVar[str] = "UAMRN (Wei et al., Entropy 2022)"
    system: ClassVar[str] = "uamrn"

    heads: int = 2
    dropout: float = 0.1
    passes: int = 10
    gamma: str = "normalised"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("gamma", self.gamma, GAMMAS)
        at_least("passes", self.passes, 1)

    def network(self, inputs: Inputs) -> Network:
        return self._network(inputs, 2 * len(inputs.classes))

    def loss(self, network: Network, batch: Batch, clips: Clips) -> Tensor:
        features = batch.arrays[ARRAY]
        learning = self._run(network, features, 1)
        with torch.no_grad():
            every = learning
            if self._passes > 1:
                others = self._run(network, features, self._passes - 1)
                every = Passes(*(torch.cat(pair) for pair in zip(learning, others, strict=True)))
            gamma = self.weigh(every)
        return (gamma * self.surprise(learning, batch.labels)).mean()

    def weigh(self, passes: Passes) -> Tensor:
        """gamma of each clip (n,), a constant to the gradient."""
        gamma = (passes.epistemic() + passes.aleatoric()).mean(-1).detach()
        return gamma / gamma.mean() if self.gamma == "normalised" else gamma

    def surprise(self, one: Passes, labels: Tensor) -> Tensor:
        """-log p of each clip's class (n,), p the mean softmax over draws from the logits' distribution of one pass."""
        noise = torch.randn((self.passes, *one.mean.shape[1:]), device=one.mean.device)
        logits = one.mean + one.variance.sqrt() * noise
        log_p = logits.log_softmax(-1).logsumexp(0) - math.log(self.passes)
        return nn.functional.nll_loss(log_p, labels, reduction="none")

    def probabilities(self, network: Network, batch: Batch) -> Tensor:
        return self._run(network, batch.arrays[ARRAY], self._passes).mean.softmax(-1).mean(0)

    def views(self, network: Network, batch: Batch) -> dict[str, np.ndarray]:
        with torch.no_grad():
            passes = self._run(network, batch.arrays[ARRAY], self._passes)
        epistemic, aleatoric = passes.epistemic(), passes.aleatoric()
        return super().views(network, batch) | {
            "epistemic[class]": epistemic.cpu().numpy(),
            "uncertainty[class]": (epistemic + aleatoric).cpu().numpy(),
        }

    @property
    def _passes(self) -> int:
        return self.passes if self.dropout else 1

    def _run(self, network: Network, features: Tensor, passes: int) -> Passes:
        """Passes with dropout, side by side as one large batch."""
        values = network(features.repeat(passes, 1, 1), drop=True).values.float()
        mean, spread = values.unflatten(0, (passes, len(features))).chunk(2, dim=-1)
        return Passes(mean, nn.functional.softplus(spread) + FLOOR)
