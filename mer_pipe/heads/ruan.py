"""The dual branch of Ruan et al. as a head: its input, losses and training. Imports torch: import it lazily.

Ruan et al., "Mimicking the Annotation Process for Recognizing the Micro Expressions", ACM MM 2022.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mer_pipe.heads import augment, flow_pictures, region_replacing
from mer_pipe.heads.channel_statistics import moments, spread
from mer_pipe.heads.contrastive import overlap, weighted_contrastive
from mer_pipe.heads.dual_branch import Network
from mer_pipe.heads.head import Batch, Clips, Head, Inputs, Need, Training
from mer_pipe.heads.settings import one_of
from mer_pipe.heads.shuffle_attention import GATES, ShuffleAttention
from mer_pipe.stages import resnet
from mer_pipe.stages.weights import file_digest
from mer_pipe.types import RecipeError, Weights

GRAY, ONSET, OFFSET = "gray/image", "flow_onset/flow", "flow_offset/flow"
ATTENTIONS = ("unshared", "shared", "off")
SMALLEST = 64
"""Side in px below which a half has a single place left after layer 4."""


def class_weights(labels: Tensor, classes: int) -> Tensor:
    """max(n) / n_c for each class, (classes,) float32; 0 for a class without clips."""
    counts = torch.bincount(labels, minlength=classes).float()
    return torch.where(counts > 0, counts.max() / counts.clamp(min=1), 0)


@dataclass(frozen=True)
class Ruan(Head):
    """Eyes and mouth in two branches, with Region Replacing, an Area Weighted Module and a loss over shared AUs.

    The image has three channels: the grey magnified apex, and the magnitudes of the flows from onset and from offset to
    the target. Each is standardised by the mean and standard deviation of the training clips.

    Attributes
    ----------
    flow_view : "magnitude": the flow's length in px. "released": the 8-bit picture of the released code, which throws
        away how much a clip moves (see `flow_pictures.released`).
    weights : a ResNet-18 checkpoint with torchvision's names (ImageNet, as the paper); "random:SEED"; "" draws afresh.
    attention : "unshared": shuffle attention in each block of layers 3 and 4, groups with weights of their own.
        "shared": one set for all groups, as in SA-Net. "off": plain blocks.
    gate : of the attention: "sigmoid", or "softmax" over the groups, as in the released code.
    groups : of channels, in the attention.
    region_replacing : probability that a clip's mouth, and its AUs, come from another training clip of its class.
    contrast : lambda, the share of the contrastive loss; 0 leaves it out.
    temperature : of the contrastive loss.
    smoothing : label smoothing of the cross-entropy; the released code has 0.1.
    dropout : between the two layers of each head.
    flip, erasing : probabilities of mirroring and of Random Erasing.

    Raises
    ------
    RecipeError : an unknown word or a value out of range.
    """

    name: ClassVar[str] = "ruan"
    title: ClassVar[str] = "Dual branch (Ruan et al., ACM MM 2022)"

    training: Training = Training(100, 128, "adamw", 3e-3, 1e-5, schedule="restarts", every=10, factor=2)
    flow_view: str = "magnitude"
    weights: str = ""
    attention: str = "unshared"
    gate: str = "sigmoid"
    groups: int = 4
    region_replacing: float = 0.5
    contrast: float = 0.3
    temperature: float = 0.1
    smoothing: float = 0.0
    dropout: float = 0.3
    flip: float = 0.5
    erasing: float = 0.5

    def __post_init__(self) -> None:
        one_of("flow_view", self.flow_view, flow_pictures.VIEWS)
        one_of("attention", self.attention, ATTENTIONS)
        one_of("gate", self.gate, GATES)
        for name in ("region_replacing", "contrast", "smoothing", "dropout", "flip", "erasing"):
            if not 0 <= getattr(self, name) <= 1:
                raise RecipeError(f"{name}={getattr(self, name)} is no share", "give a number from 0 to 1")
        if not self.temperature > 0:
            raise RecipeError(f"temperature={self.temperature} is not above 0")
        if self.attention != "off":
            ShuffleAttention(256, self.groups)

    @property
    def needs(self) -> tuple[Need, ...]:
        return tuple(Need(array, "ruan") for array in (GRAY, ONSET, OFFSET))

    def network(self, inputs: Inputs) -> Network:
        height, width = inputs.shapes[GRAY]
        for array in (ONSET, OFFSET):
            if tuple(inputs.shapes[array]) != (height, width, 2):
                told = (
                    f"{array} holds {inputs.shapes[array]} and {GRAY} {inputs.shapes[GRAY]}: they do not lie together"
                )
                raise RecipeError(told, "build the store anew with one crop size")
        if height % 2 or min(height, width) < SMALLEST:
            told = f"images of {height} x {width} px do not divide into an upper and a lower half"
            raise RecipeError(told, f"crop to an even height, and to {SMALLEST} px or more a side")
        halves = region_replacing.unit_halves(inputs.units)
        return Network(self._sources(), len(inputs.classes), halves, self.block_attention(), self.dropout)

    def block_attention(self) -> Callable[[int], ShuffleAttention] | None:
        """What makes the attention of a block of so many channels; None where there is none."""
        if self.attention == "off":
            return None
        return partial(ShuffleAttention, groups=self.groups, shared=self.attention == "shared", gate=self.gate)

    def _sources(self) -> tuple[resnet.ResNet18, resnet.ResNet18, resnet.ResNet18]:
        """The networks that the base and the two branches start from."""
        if self.weights.startswith("random:"):
            return tuple(resnet.load(Weights(self.weights)) for _ in range(3))
        if self.weights:
            weights = Weights(file_digest(self.weights), self.weights)
            return tuple(resnet.load(weights) for _ in range(3))
        seeds = torch.randint(2**31, (3,)).tolist()
        return tuple(resnet.read(resnet.random_state(seed), "random").train() for seed in seeds)

    def pictures(self, batch: Batch) -> Tensor:
        """The three channels of some clips: (n, 3, y, x) float32, not standardised."""
        flows = (flow_pictures.picture(batch.arrays[array], self.flow_view) for array in (ONSET, OFFSET))
        return torch.stack([flow_pictures.gray(batch.arrays[GRAY]), *flows], 1)

    def prepare(self, network: Network, clips: Clips) -> None:
        mean, square = moments(clips, self.pictures)
        network.mean.copy_(mean)
        network.scale.copy_(spread(mean, square))
        network.class_weights.copy_(class_weights(clips.labels, len(network.class_weights)))

    def training_clips(self, network: Network, batch: Batch, clips: Clips) -> tuple[Tensor, Tensor]:
        """Pictures (n, 3, y, x) and units (n, units) of some training clips, with the mouths that Region Replacing gives."""
        pictures, mouth_units = self.pictures(batch), batch.units
        places = region_replacing.donors(clips.labels, batch.positions, self.region_replacing)
        replaced = places != batch.positions.to(places.device)
        if replaced.any():
            donors = clips.batch(places[replaced].cpu())
            mouths, mouth_units = pictures.clone(), mouth_units.clone()
            mouths[replaced], mouth_units[replaced] = self.pictures(donors), donors.units
            pictures = region_replacing.with_mouths(pictures, mouths)
        return pictures, region_replacing.with_mouth_units(batch.units, mouth_units, network.halves)

    def loss(self, network: Network, batch: Batch, clips: Clips) -> Tensor:
        pictures, units = self.training_clips(network, batch, clips)
        # Grey levels and magnitudes have no direction: a mirrored face needs no change of sign.
        images = augment.mirrored(network.standardised(pictures), self.flip)
        output = network(augment.erased(images, self.erasing))
        classified = sum(
            F.cross_entropy(logits, batch.labels, network.class_weights, label_smoothing=self.smoothing)
            for logits in (output.eyes, output.mouth)
        )
        if self.contrast == 0:
            return classified
        paired = weighted_contrastive(output.features, overlap(units), self.temperature)
        return (1 - self.contrast) * classified + self.contrast * paired

    def probabilities(self, network: Network, batch: Batch) -> Tensor:
        output = network(network.standardised(self.pictures(batch)))
        return (output.eyes + output.mouth).float().softmax(1)

    def views(self, network: Network, batch: Batch) -> dict[str, np.ndarray]:
        """AU-CAM: Grad-CAM (Selvaraju et al., 2017) of the largest weighted feature of each half, instead of a class.

        The maps of the eyes and of the mouth lie one above the other, 0..1: each picture is divided by its largest value.
        """
        images = network.standardised(self.pictures(batch))
        with torch.enable_grad():
            output = network(images)
            cams = []
            for features, maps in zip(output.features.chunk(2, 1), output.maps, strict=True):
                (slope,) = torch.autograd.grad(features.amax(1).sum(), maps, retain_graph=True)
                cam = (slope.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True).relu().detach().float()
                size = images.shape[2] // 2, images.shape[3]
                cams.append(F.interpolate(cam, size, mode="bilinear", align_corners=False)[:, 0])
        stacked = torch.cat(cams, 1)
        largest = stacked.amax((1, 2), keepdim=True)
        return {"au_cam[y,x]": (stacked / torch.where(largest > 0, largest, 1)).cpu().numpy()}
