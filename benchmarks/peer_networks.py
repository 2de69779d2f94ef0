"""The peer's networks, eager modules from their published structure: ResNet-18 up to layer3, learned magnification."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate


class Basic(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride > 1:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(out)) + identity)


class ResNet(nn.Module):
    """ResNet-18 up to its third stage."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(Basic(64, 64, 1), Basic(64, 64, 1))
        self.layer2 = nn.Sequential(Basic(64, 128, 2), Basic(128, 128, 1))
        self.layer3 = nn.Sequential(Basic(128, 256, 2), Basic(256, 256, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer3(self.layer2(self.layer1(self.maxpool(torch.relu(self.bn1(self.conv1(x)))))))


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False, padding_mode="reflect")


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(width, width), conv(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(torch.relu(self.conv1(x)))


def residuals(count: int, width: int) -> nn.Sequential:
    return nn.Sequential(*(Residual(width) for _ in range(count)))


class Named(nn.Module):
    """One convolution under the name that published checkpoints give it."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.conv1 = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.conv1(x)


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.resblks = conv(3, 16, 7), conv(16, 32, 3, 2), residuals(3, 32)
        self.conv1_text, self.resblks_text = conv(32, 32, 3, 2), residuals(2, 32)
        self.conv1_shape, self.resblks_shape = conv(32, 32), residuals(2, 32)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = self.resblks(torch.relu(self.conv2(torch.relu(self.conv1(image)))))
        return self.resblks_text(torch.relu(self.conv1_text(x))), self.resblks_shape(torch.relu(self.conv1_shape(x)))


class Manipulator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convblks = nn.Sequential(Named(conv(32, 32, 7)))
        self.convblks_after, self.resblks = nn.Sequential(Named(conv(32, 32))), residuals(1, 32)

    def forward(self, a: Tensor, b: Tensor, excess: float) -> Tensor:
        return b + self.resblks(self.convblks_after(torch.relu(self.convblks(b - a)) * excess))


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1_text, self.resblks = conv(32, 32), residuals(9, 64)
        self.conv1, self.conv2 = conv(64, 32), conv(32, 3, 7)

    def forward(self, texture: Tensor, shape: Tensor) -> Tensor:
        texture = torch.relu(self.conv1_text(interpolate(texture, scale_factor=2)))
        x = interpolate(self.resblks(torch.cat([texture, shape], 1)), scale_factor=2)
        return self.conv2(torch.relu(self.conv1(x)))


class MagNet(nn.Module):
    """Learned magnification as published: both frames in, one magnified frame out. 928,144 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.manipulator, self.decoder = Encoder(), Manipulator(), Decoder()

    def forward(self, a: Tensor, b: Tensor, excess: float) -> Tensor:
        _, shape_a = self.encoder(a)
        texture, shape_b = self.encoder(b)
        return self.decoder(texture, self.manipulator(shape_a, shape_b, excess))
