"""Clips that lie in memory, and the few steps of training that a test of one head needs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from mer_pipe.heads.head import Batch, Head, Inputs


@dataclass(frozen=True)
class ToyClips:
    """The training clips of a fold, whole in memory: a `Clips`."""

    arrays: dict[str, Tensor]
    labels: Tensor

    @property
    def units(self) -> Tensor:
        return torch.zeros(len(self), 0)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, positions: Tensor) -> Batch:
        arrays = {name: array[positions] for name, array in self.arrays.items()}
        return Batch(arrays, self.labels[positions], self.units[positions], positions)

    def whole(self) -> Batch:
        return self.batch(torch.arange(len(self)))

    def relabelled(self) -> ToyClips:
        """The same clips with labels that say nothing: those of each class carry every label equally often."""
        labels, classes = self.labels.clone(), int(self.labels.max()) + 1
        for of_class in range(classes):
            where = self.labels == of_class
            labels[where] = torch.arange(int(where.sum())) % classes
        return replace(self, labels=labels)


def trained(head: Head, inputs: Inputs, clips: ToyClips, steps: int, lr: float, batch: int = 16) -> nn.Module:
    """A network after some steps of gradient descent with momentum from the seed 0, in evaluation mode."""
    torch.manual_seed(0)
    network = head.network(inputs).train()
    head.prepare(network, clips)
    optimizer = torch.optim.SGD(network.parameters(), lr=lr, momentum=0.9)
    for _ in range(steps):
        positions = torch.randperm(len(clips))[:batch]
        optimizer.zero_grad()
        head.loss(network, clips.batch(positions), clips).backward()
        optimizer.step()
    return network.eval()


def accuracy(head: Head, network: nn.Module, clips: ToyClips) -> float:
    with torch.no_grad():
        predicted = head.probabilities(network, clips.whole()).argmax(1)
    return (predicted == clips.labels).float().mean().item()


def without_gradient(network: nn.Module) -> list[str]:
    """Names of the parameters that have no gradient or a zero one."""
    return [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 1e-9]
