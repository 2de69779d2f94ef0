"""Muon: momentum whose matrices are made orthogonal. Imports torch: import it lazily.

Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks". A convolution is a matrix of outputs by
inputs x kernel. The first and the last layer, which meet pixels, and vectors are trained by Adam.
"""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor

PIXELS = ("encoder.enter", "decoder.leave")
MOMENTUM = 0.95
BETAS, EPSILON = (0.9, 0.99), 1e-8
POLYNOMIAL = 3.4445, -4.7750, 2.0315


class Muon:
    """The optimizer of one network.

    Attributes
    ----------
    momentum, squares : its state by parameter name; `squares` of those that Adam trains alone.
    """

    def __init__(self, named: dict[str, Tensor], momentum: dict[str, Tensor], squares: dict[str, Tensor]) -> None:
        self.named = named
        self.groups: dict[torch.Size, list[str]] = defaultdict(list)
        for name, tensor in named.items():
            if tensor.ndim > 1 and not name.startswith(PIXELS):
                self.groups[tensor.shape].append(name)
        matrices = {name for group in self.groups.values() for name in group}
        self.momentum = {n: momentum[n].to(p) if n in momentum else torch.zeros_like(p) for n, p in named.items()}
        self.squares = {
            n: squares[n].to(p) if n in squares else torch.zeros_like(p) for n, p in named.items() if n not in matrices
        }

    @torch.no_grad()
    def step(self, number: int, lr: float, adam_lr: float) -> None:
        """Take step number `number`, from 1, by the gradients that the parameters hold; they are cleared."""
        for shape, names in self.groups.items():
            gradient = torch.stack([self.named[n].grad.reshape(shape[0], -1) for n in names])
            momentum = torch.stack([self.momentum[n].reshape(shape[0], -1) for n in names])
            momentum.lerp_(gradient, 1 - MOMENTUM)
            change = orthogonal(gradient.lerp(momentum, MOMENTUM))
            size = lr * max(1.0, shape[0] / change.shape[-1]) ** 0.5
            for name, moved, moment in zip(names, change, momentum, strict=True):
                self.named[name].add_(moved.reshape(shape), alpha=-size)
                self.momentum[name].copy_(moment.reshape(shape))
        for name, square in self.squares.items():
            gradient, momentum = self.named[name].grad, self.momentum[name]
            momentum.lerp_(gradient, 1 - BETAS[0])
            square.lerp_(gradient * gradient, 1 - BETAS[1])
            deviation = (square / (1 - BETAS[1] ** number)).sqrt_().add_(EPSILON)
            self.named[name].addcdiv_(momentum / (1 - BETAS[0] ** number), deviation, value=-adam_lr)
        for parameter in self.named.values():
            parameter.grad = None


def orthogonal(matrices: Tensor) -> Tensor:
    """(n, rows, columns) matrices with their singular values brought near 1 (0.7 to 1.2), by five Newton-Schulz steps."""
    x = matrices / (matrices.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    a, b, c = POLYNOMIAL
    for _ in range(5):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x
