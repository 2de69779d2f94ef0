"""ResNet-18 with torchvision's parameter names. Imports torch: import it lazily."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mer_pipe.stages.weights import load_state, misfits
from mer_pipe.types import ModelError, Weights


class Block(nn.Module):
    """Two 3x3 convolutions round a shortcut (He et al., CVPR 2016, Fig. 2)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))) + shortcut)


class ResNet18(nn.Module):
    """ResNet-18 without its classifier. Parameter names and shapes are torchvision's, less `fc`.

    `forward` takes normalised images (n, 3, y, x) and returns the maps of `layer3` (n, 256, y/16, x/16) and of `layer4`
    (n, 512, y/32, x/32).
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(Block(64, 64, 1), Block(64, 64, 1))
        self.layer2 = nn.Sequential(Block(64, 128, 2), Block(128, 128, 1))
        self.layer3 = nn.Sequential(Block(128, 256, 2), Block(256, 256, 1))
        self.layer4 = nn.Sequential(Block(256, 512, 2), Block(512, 512, 1))

    def stem(self, x: Tensor) -> Tensor:
        """Everything before `layer1`."""
        return self.maxpool(self.relu(self.bn1(self.conv1(x))))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        middle = self.layer3(self.layer2(self.layer1(self.stem(x))))
        return middle, self.layer4(middle)


def random_state(seed: int) -> dict[str, Tensor]:
    """Return seeded random parameters of `ResNet18`: for tests, demonstrations and training from scratch.

    Convolutions are Kaiming-normal (fan-out, ReLU), drawn in the order of the module's parameters from one
    `torch.Generator(seed)` on the CPU. BatchNorms have weight 1, bias 0, mean 0, variance 1, except the last one of
    each block, whose running variance is 3: a block then adds a third of its input's power, so that eight blocks in
    evaluation mode neither fade nor grow past float16.
    """
    source = torch.Generator().manual_seed(seed)
    state = ResNet18().state_dict()
    for name, value in state.items():
        if value.ndim == 4:
            fan_out = value.shape[0] * value.shape[2] * value.shape[3]
            value.normal_(0, math.sqrt(2 / fan_out), generator=source)
        elif name.endswith("bn2.running_var"):
            value.fill_(3)
    return state


def read(state: dict[str, Tensor], label: str) -> ResNet18:
    """Return a ResNet-18 in evaluation mode with the parameters of a checkpoint, loaded strictly.

    Accepted: torchvision's names, bare or under "state_dict" (FER+ checkpoints), with or without a "module." prefix. A
    classifier `fc.*` of any size is left out. Every other name that is missing, unknown or of another shape is an
    error.

    Raises
    ------
    ModelError : naming the parameters that do not fit.
    """
    found = {name: value for name, value in state.items() if not name.startswith("fc.")}
    net = ResNet18()
    wanted = net.state_dict()
    if any(k.endswith("num_batches_tracked") for k in wanted.keys() - found.keys()):
        # Written by PyTorch before 0.4.1, which did not count batches; evaluation does not read the count.
        found |= {k: v for k, v in wanted.items() if k.endswith("num_batches_tracked") and k not in found}
    if wrong := misfits(found, wanted):
        raise ModelError(f"{label} is no ResNet-18: {wrong}", "Use a ResNet-18 with torchvision's names.")
    net.load_state_dict(found, strict=True)
    return net.eval()


def load(weights: Weights) -> ResNet18:
    """Return the ResNet-18 of a checkpoint, or a seeded random one for a digest "random:<seed>"; in evaluation mode."""
    kind, _, value = weights.digest.partition(":")
    if kind == "random":
        if not value.isdecimal():
            raise ModelError(f"{weights.digest!r} names no seed", 'Write "random:0".')
        return read(random_state(int(value)), weights.digest)
    return read(load_state(weights), weights.digest)
