"""The baseline that every head should beat: a linear classifier on stored features. Imports torch: import it lazily."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from mer_pipe.heads.head import Batch, Clips, Head, Inputs, Need, Training
from mer_pipe.heads.settings import factor_positions, one_of
from mer_pipe.types import MachineError, RecipeError


class Linear(nn.Module):
    """Standardised features through one linear layer; all of it is fitted at once, by scikit-learn."""

    def __init__(self, factors: tuple[int, ...], width: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("factors", torch.tensor(factors), persistent=False)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.register_buffer("weight", torch.zeros(classes, width))
        self.register_buffer("bias", torch.zeros(classes))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear((x - self.mean) / self.scale, self.weight, self.bias)


@dataclass(frozen=True)
class Probe(Head):
    """L2-regularised logistic regression (scikit-learn) on features that are averaged over all axes but the channels'.

    Attributes
    ----------
    af : factors to take; none means all of the store's.
    array : "features_mrn/vector", (af, 1024); or "features_aman/map", (frame, af, 256, y, x).
    pool : "mean" over AFs (and frames); or "concatenate" them.
    strength : inverse of the regularisation, scikit-learn's C. Not tuned: it is the same for every fold and store.
    balanced : weigh classes by the inverse of their frequency in the training fold.
    """

    name: ClassVar[str] = "probe"
    title: ClassVar[str] = "linear probe"

    training: Training = Training(epochs=0, batch=32)
    af: tuple[float, ...] = ()
    array: str = "features_mrn/vector"
    pool: str = "mean"
    strength: float = 0.01
    balanced: bool = True

    def __post_init__(self) -> None:
        one_of("pool", self.pool, ("mean", "concatenate"))
        one_of("array", self.array, ("features_mrn/vector", "features_aman/map"))
        if self.training.epochs:
            raise RecipeError("a linear probe is fitted at once: it has no epochs", "leave training.epochs at 0")
        if not self.strength > 0:
            raise RecipeError(f"strength={self.strength} is not above 0")

    @property
    def needs(self) -> tuple[Need, ...]:
        return (Need(self.array, "mrn" if self.array.startswith("features_mrn") else "aman"),)

    def network(self, inputs: Inputs) -> Linear:
        factors = factor_positions(inputs, self.array, self.af)
        network = Linear(factors, 1, len(inputs.classes))
        width = self._pooled(network, torch.zeros(1, *inputs.shapes[self.array])).shape[1]
        return Linear(factors, width, len(inputs.classes))

    def prepare(self, network: Linear, clips: Clips) -> None:
        try:
            from sklearn.linear_model import LogisticRegression
        except ImportError:
            raise MachineError("the probe needs scikit-learn", "pip install scikit-learn") from None

        every = torch.arange(len(clips)).split(self.training.batch)
        x = torch.cat([self._pooled(network, clips.batch(positions).arrays[self.array]) for positions in every])
        network.mean.copy_(x.mean(0))
        network.scale.copy_(x.std(0).clamp_min(1e-6))
        model = LogisticRegression(C=self.strength, max_iter=5000, class_weight="balanced" if self.balanced else None)
        model.fit(((x - network.mean) / network.scale).cpu().double().numpy(), clips.labels.cpu().numpy())
        # A class without training clips keeps weight 0 and is never said.
        network.bias.fill_(-1e4)
        found = torch.from_numpy(model.coef_), torch.from_numpy(model.intercept_)
        if len(model.classes_) == 2:  # scikit-learn gives the second class's side alone
            found = torch.cat([-found[0], found[0]]) / 2, torch.cat([-found[1], found[1]]) / 2
        at = torch.from_numpy(model.classes_)
        network.weight[at] = found[0].to(network.weight)
        network.bias[at] = found[1].to(network.bias)

    def probabilities(self, network: Linear, batch: Batch) -> Tensor:
        return network(self._pooled(network, batch.arrays[self.array])).softmax(1)

    def _pooled(self, network: Linear, x: Tensor) -> Tensor:
        """(n, ..., af, 1024) or maps to (n, width) float32."""
        if self.array.startswith("features_aman"):
            x = x.float().mean(dim=(-2, -1))
        x = x.float()[..., network.factors, :].flatten(1, -2)
        return x.mean(1) if self.pool == "mean" else x.flatten(1)
