"""MSMMT, the Multi-Scale Multi-Modal Transformer (Wang et al., 2022), as a head. Imports torch: import it lazily."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mer_pipe.heads import augment
from mer_pipe.heads.channel_statistics import moments, spread
from mer_pipe.heads.contrastive import info_nce
from mer_pipe.heads.head import Batch, Clips, Head, Inputs, Need, Training
from mer_pipe.heads.multi_scale import SCALES, Modality, Network, Output
from mer_pipe.heads.patch_weighting import POOLS
from mer_pipe.heads.settings import at_least, one_of
from mer_pipe.stages import vit
from mer_pipe.stages.weights import file_digest
from mer_pipe.types import RecipeError, Weights

DYNAMIC, MOTION = "dynamic/image", "motion/motion"
PLACES = ("normed", "input")


@dataclass(frozen=True)
class Msmmt(Head):
    """A dynamic image and a motion image [u, v, strain], a Vision Transformer each, at three scales.

    The paper starts from ImageNet's ViT-B/16. Without `weights` the transformers are random, and 50 epochs on some
    hundred clips do not make good ones of them: give a checkpoint, or take a small transformer.

    Attributes
    ----------
    weights : a checkpoint with timm's names and the sizes below (vit_base_patch16_224); "random:SEED"; "" draws afresh.
    depth, width, heads, patch : of the transformers; the default is ViT-B/16.
    shared : one transformer a modality for all three scales. False has one for each: three times the parameters.
    weighting : of the patches before the last layer, from the product of the attention of the layers before: "mean" or
        "max" of its columns; "off".
    place : where the weights act: "normed", behind the last layer's first norm; "input", before it, as the paper writes,
        where the norm divides nearly all of them out again.
    hidden, dropout : of the classifier FC - ReLU - dropout - FC.
    alpha : a, the share of the cross-entropy; 1 - a is the contrastive loss's. The paper has .2 for SAMM alone.
    temperature : of the contrastive loss.
    rotation : largest angle of the augmentation in degrees, either way.
    zoom : largest change of scale: a factor of 1 - zoom .. 1 + zoom.
    flip : probability of mirroring.

    Raises
    ------
    RecipeError : an unknown word or a value out of range.
    """

    name: ClassVar[str] = "msmmt"
    title: ClassVar[str] = "MSMMT (Wang et al., 2022)"

    training: Training = Training(50, 16, "adamw", 5e-5, 0.05)
    weights: str = ""
    depth: int = 12
    width: int = 768
    heads: int = 12
    patch: int = 16
    shared: bool = True
    weighting: str = "mean"
    place: str = "normed"
    hidden: int = 768
    dropout: float = 0.5
    alpha: float = 0.1
    temperature: float = 0.1
    rotation: float = 10.0
    zoom: float = 0.1
    flip: float = 0.5

    def __post_init__(self) -> None:
        one_of("weighting", self.weighting, (*POOLS, "off"))
        one_of("place", self.place, PLACES)
        at_least("depth", self.depth, 2)
        at_least("hidden", self.hidden, 1)
        at_least("rotation", self.rotation, 0)
        for name in ("dropout", "alpha", "flip"):
            if not 0 <= getattr(self, name) <= 1:
                raise RecipeError(f"{name}={getattr(self, name)} is no share", "give a number from 0 to 1")
        if not 0 <= self.zoom < 1:
            raise RecipeError(f"zoom={self.zoom} is no change of scale", "give a number from 0 to below 1")
        if not self.temperature > 0:
            raise RecipeError(f"temperature={self.temperature} is not above 0")
        self._layout((1, 1))

    @property
    def needs(self) -> tuple[Need, ...]:
        return Need(DYNAMIC, "msmmt"), Need(MOTION, "msmmt")

    def network(self, inputs: Inputs) -> Network:
        height, width = self._size(inputs)
        layout = self._layout((height // self.patch, width // self.patch))
        count = 1 if self.shared else len(SCALES)
        modalities = (
            Modality([self._transformer(layout) for _ in range(count)], self.weighting, self.place) for _ in range(2)
        )
        return Network(*modalities, self.width, self.hidden, self.dropout, len(inputs.classes))

    def _layout(self, grid: tuple[int, int]) -> vit.Layout:
        return vit.Layout(self.depth, self.width, self.heads, self.patch, grid)

    def _size(self, inputs: Inputs) -> tuple[int, int]:
        """Height and width of the store's images, checked."""
        size, other = (tuple(inputs.shapes[array]) for array in (DYNAMIC, MOTION))
        if size != other or size[2:] != (3,):
            told = f"{DYNAMIC} holds {size} and {MOTION} {other}, not two images (y, x, 3) of one size"
            raise RecipeError(told, "build the store anew")
        step = self.patch * SCALES[-1]
        if size[0] % step or size[1] % step:
            below, above = (min(size[:2]) // step * step, -(-max(size[:2]) // step) * step)
            near = " or ".join(str(side) for side in sorted({below, above}) if side)
            raise RecipeError(
                f"a quarter of {size[0]} x {size[1]} px does not divide into patches of {self.patch} px",
                f"build with a multiple of {step}, such as msmmt.size={near}",
            )
        return size[:2]

    def _transformer(self, layout: vit.Layout) -> vit.ViT:
        if not self.weights:
            return vit.ViT(layout)
        if self.weights.startswith("random:"):
            return vit.load(Weights(self.weights), layout)
        return vit.load(Weights(file_digest(self.weights), self.weights), layout)

    def prepare(self, network: Network, clips: Clips) -> None:
        mean, square = moments(clips, lambda batch: torch.cat(images(batch), 1))
        network.mean.copy_(mean.reshape(2, 3))
        network.scale.copy_(spread(mean, square).reshape(2, 3))
        # u and v turn into each other when a face is rotated, and change sign when it is mirrored: one scale, no shift.
        network.mean[1, :2] = 0
        network.scale[1, :2] = spread(torch.zeros_like(mean[:1]), square[3:5].mean()[None])

    def loss(self, network: Network, batch: Batch, clips: Clips) -> Tensor:
        dynamic, motion = self.augmented(*images(batch))
        output = network(network.standardised(dynamic, 0), network.standardised(motion, 1))
        classified = F.cross_entropy(output.logits, batch.labels)
        paired = info_nce(*output.features, self.temperature)
        return (1 - self.alpha) * paired + self.alpha * classified

    def augmented(self, dynamic: Tensor, motion: Tensor) -> tuple[Tensor, Tensor]:
        """Both images (n, 3, y, x) of each clip under one random similarity; the flow's vectors turn with the image.

        The strain is the same after a turn, a mirroring and a change of scale. Outside the image is no movement: 0.
        """
        matrices = augment.similarities(len(dynamic), self.rotation, self.zoom, self.flip, dynamic.device)
        flow, strain = motion[:, :2], motion[:, 2:]
        moved = torch.cat([augment.moved_flow(flow, matrices), augment.moved(strain, matrices)], 1)
        return augment.moved(dynamic, matrices), moved

    def probabilities(self, network: Network, batch: Batch) -> Tensor:
        return self._output(network, batch).logits.float().softmax(1)

    def views(self, network: Network, batch: Batch) -> dict[str, np.ndarray]:
        """The weights of the patches of each modality at full size; 1 on average, and everywhere with weighting=off."""
        with torch.no_grad():
            weights = self._output(network, batch).weights
        rows = batch.arrays[DYNAMIC].shape[1] // self.patch
        return {
            f"patches_{name}[row,column]": weight.float().reshape(len(weight), rows, -1).cpu().numpy()
            for name, weight in zip(("dynamic", "motion"), weights, strict=True)
        }

    def _output(self, network: Network, batch: Batch) -> Output:
        dynamic, motion = images(batch)
        return network(network.standardised(dynamic, 0), network.standardised(motion, 1))


def images(batch: Batch) -> tuple[Tensor, Tensor]:
    """The dynamic and the motion images of some clips, (n, 3, y, x) float32 each."""
    return tuple(batch.arrays[array].float().permute(0, 3, 1, 2) for array in (DYNAMIC, MOTION))
