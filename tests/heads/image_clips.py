"""Made-up clips of images in memory, with action units, as a head is given them."""

from __future__ import annotations

import torch
from torch import Tensor

from mer_pipe.heads.head import Batch, Inputs


class ImageClips:
    """Clips of one fold. `asked` lists the positions that were read."""

    def __init__(self, arrays: dict[str, Tensor], labels: Tensor, units: Tensor | None = None) -> None:
        self.arrays, self.labels = arrays, labels
        self.units = torch.zeros(len(labels), 0) if units is None else units
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, positions: Tensor) -> Batch:
        self.asked += positions.tolist()
        arrays = {name: array[positions] for name, array in self.arrays.items()}
        return Batch(arrays, self.labels[positions], self.units[positions], positions)

    def all(self) -> Batch:
        return self.batch(torch.arange(len(self)))


def inputs_of(clips: ImageClips, classes: tuple[str, ...], units: tuple[int, ...] = ()) -> Inputs:
    return Inputs({name: tuple(array.shape[1:]) for name, array in clips.arrays.items()}, {}, classes, units)


def trained(head, clips: ImageClips, inputs: Inputs, steps: int, batch: int, lr: float, seed: int = 0):
    """A network after some steps of AdamW, in evaluation mode."""
    torch.manual_seed(seed)
    network = head.network(inputs)
    head.prepare(network, clips)
    optimizer = torch.optim.AdamW(network.parameters(), lr)
    network.train()
    for _ in range(steps):
        loss = head.loss(network, clips.batch(torch.randperm(len(clips))[:batch]), clips)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def accuracy(head, network, clips: ImageClips) -> float:
    with torch.no_grad():
        return (head.probabilities(network, clips.all()).argmax(1) == clips.labels).float().mean().item()
