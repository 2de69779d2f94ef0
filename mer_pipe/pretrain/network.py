"""The network that is trained, its loss and what it sees. Imports torch: import it lazily."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_pipe.pretrain.settings import Settings
from mer_pipe.pretrain.votes import EMOTIONS
from mer_pipe.stages import resnet
from mer_pipe.stages.features import IMAGENET_MEAN, IMAGENET_STD

EPSILON = 0.001
"""What "multi_target" gives to emotions that are no target, as the released code has it: the loss stays finite."""


class Classifier(resnet.ResNet18):
    """ResNet-18 with a linear layer on the average of `layer4`. All names are torchvision's.

    `forward` takes normalised images (n, 3, y, x) and returns (n, 8) logits in the order of `votes.EMOTIONS`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(512, len(EMOTIONS))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(super().forward(x)[1].mean((2, 3)))


def first(seed: int, body: resnet.ResNet18 | None = None) -> Classifier:
    """Return the network before its first step: seeded random, or `body` with a seeded random `fc`.

    A random network has one filter for all three channels of `conv1`. FER+ is grey: it never teaches a difference between
    channels, and a difference drawn at random would answer to the colour of skin when the features are taken in RGB.
    """
    state = resnet.random_state(seed) if body is None else body.state_dict()
    if body is None:
        state["conv1.weight"] = state["conv1.weight"].mean(1, keepdim=True).expand(-1, 3, -1, -1).clone()
    source = torch.Generator().manual_seed(seed)
    state["fc.weight"] = torch.empty(len(EMOTIONS), 512).normal_(0, 0.01, generator=source)
    state["fc.bias"] = torch.zeros(len(EMOTIONS))
    net = Classifier()
    net.load_state_dict(state, strict=True)
    return net.to(memory_format=torch.channels_last)


def loss(logits: Tensor, labels: Tensor, mode: str) -> Tensor:
    """Mean loss of a batch (Barsoum et al., ICMI 2016, by mode).

    Cross-entropy with the label distribution; in "multi_target" the most likely of the targets counts alone:
    -log max_k t_k p_k, where t is 1 for targets and `EPSILON` for the others.

    Parameters
    ----------
    logits, labels : (n, 8); each row of labels sums to 1.
    """
    told = F.log_softmax(logits.float(), 1)
    if mode != "multi_target":
        return -(labels * told).sum(1).mean()
    weight = (1 - EPSILON) * (labels > 0) + EPSILON
    return -(told + weight.log()).max(1).values.mean()


def views(images: Tensor, side: int, affine: Tensor | None = None) -> Tensor:
    """Grey images as the network sees them: enlarged, on three channels, normalised as the features stage normalises.

    Parameters
    ----------
    images : (n, 48, 48) uint8.
    side : side of the result, px.
    affine : (n, 2, 3) float32 from a place in the result to a place in the image, both on -1..1; None changes nothing.

    Returns
    -------
    (n, 3, side, side) float32, channels last. Bilinear, border pixels repeated.
    """
    x = images[:, None].float() / 255
    if affine is None:
        x = F.interpolate(x, (side, side), mode="bilinear", align_corners=False)
    else:
        grid = F.affine_grid(affine, (len(x), 1, side, side), align_corners=False)
        x = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    shift, scale = (x.new_tensor(v)[None, :, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    return ((x - shift) / scale).contiguous(memory_format=torch.channels_last)


def changes(count: int, settings: Settings, rng: np.random.Generator) -> np.ndarray:
    """Draw the affine changes of training images for `views`: (count, 2, 3) float32."""
    low_high = np.array([np.deg2rad(settings.rotate), settings.scale, settings.shift * 2, settings.shift * 2])
    turn, grow, right, down = rng.uniform(-low_high, low_high, (count, 4)).T
    mirror = np.where(rng.random(count) < 0.5, -1.0, 1.0) if low_high.any() else 1.0
    cos, sin = np.cos(turn) / (1 + grow), np.sin(turn) / (1 + grow)
    rows = np.stack([cos * mirror, -sin, right, sin * mirror, cos, down], 1)
    return rows.reshape(count, 2, 3).astype(np.float32)


@torch.inference_mode()
def predict(net: Classifier, images: Tensor, side: int, half: bool = False) -> Tensor:
    """Logits (n, 8) float32 of (n, 48, 48) uint8 images, in evaluation mode, 64 at a time; `half` by bfloat16 autocast."""
    net.eval()
    out = []
    for batch in images.split(64):
        with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
            out.append(net(views(batch, side)).float())
    return torch.cat(out)
