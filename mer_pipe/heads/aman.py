"""AMAN: the Attention-based Magnification-Adaptive Network. Imports torch: import it lazily.

Wei et al., "A Novel Micro-Expression Recognition Approach Using Attention-Based Magnification-Adaptive Networks", ICASSP
2022. Training defaults and the two quirks are those of the authors' released code, but for the learning rate: its 1e-3 goes with
its batch statistics. RMSprop's first step moves every weight by ten times the rate, and a layer 4 that keeps the checkpoint's
statistics does not come back from that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mer_pipe.heads import gate
from mer_pipe.heads.head import Batch, Clips, Head, Inputs, Need, Training
from mer_pipe.heads.settings import factor_positions, one_of
from mer_pipe.stages import resnet
from mer_pipe.types import ModelError, Weights

ARRAY = "features_aman/map"
BN_MODES = ("eval", "batch")
LAYER4_INITS = ("pretrained", "random")
WIDTH = 512
"""Channels of layer 4."""
CHUNK = 99
"""Maps that layer 4 takes at once on a CPU: one clip of the paper's."""


class Output(NamedTuple):
    """What the network says of n clips.

    Attributes
    ----------
    logits : (n, classes).
    magnification : weights of the factors, (n, frames, af); they sum to 1 over af.
    frames : weights of the frames, (n, frames); they sum to 1.
    """

    logits: Tensor
    magnification: Tensor
    frames: Tensor


class Network(nn.Module):
    """Layer 4 of a ResNet-18, the MA module, the FA module, one fully connected layer.

    `forward` takes the maps of layer 3, (n, frames, af, 256, y, x) of any float type.
    """

    def __init__(self, head: Aman, layer4: nn.Sequential, factors: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.factors, self.bn_mode = list(factors), head.bn_mode
        self.layer4 = layer4.to(memory_format=torch.channels_last)
        self.magnification = gate.Gate(WIDTH, head.magnification_attention)
        self.frames = gate.Gate(WIDTH, head.frame_attention)
        self.classifier = nn.Linear(WIDTH, classes)
        if self.bn_mode == "batch":
            forget_statistics(layer4)
        self.train()

    def train(self, mode: bool = True) -> Network:
        """Layer 4 stays in evaluation mode: its batch norms keep the statistics that they came with."""
        super().train(mode)
        self.layer4.eval()
        return self

    def forward(self, maps: Tensor) -> Output:
        if len(self.factors) < maps.shape[2]:
            maps = maps[:, :, self.factors]
        vectors = self.vectors(maps.flatten(0, 2)).unflatten(0, maps.shape[:3])
        magnification = self.magnification(vectors)
        of_frames = gate.mean(vectors, magnification)
        frames = self.frames(of_frames)
        return Output(self.classifier(gate.mean(of_frames, frames)), magnification, frames)

    def vectors(self, maps: Tensor) -> Tensor:
        """(n * frames * af, 256, y, x) to the global averages of layer 4, (n * frames * af, 512) float32."""
        if self.bn_mode == "batch":
            at_once = len(self.factors)  # the factors of one frame of one clip share their statistics
        else:
            at_once = CHUNK if maps.device.type == "cpu" else len(maps)
        vectors = []
        for part in maps.split(at_once):
            x = self.layer4(part.float().contiguous(memory_format=torch.channels_last))
            vectors.append(x.float().mean((2, 3)))
        return torch.cat(vectors)


def forget_statistics(module: nn.Module) -> None:
    """Make every batch norm inside normalise by its own batch, in training and in evaluation."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.track_running_stats = False
            part.running_mean = part.running_var = part.num_batches_tracked = None


def random_layer4() -> nn.Sequential:
    """A layer 4 drawn from PyTorch's default generator, of the distribution of `resnet.random_state`."""
    state = resnet.random_state(int(torch.randint(2**31, ())))
    return resnet.read(state, "random").layer4


@dataclass(frozen=True)
class Aman(Head):
    """AMAN: attention over amplification factors, then over frames, on a fine-tuned layer 4.

    Attributes
    ----------
    af : amplification factors to take of the store's; none means all.
    weights : the ResNet-18 checkpoint that made the store's features; "" where the store's recipe says "random:SEED".
    layer4_init : "pretrained": from that checkpoint, as the paper says. "random": what the released code does.
    bn_mode : "eval": layer 4's batch norms keep the checkpoint's statistics. "batch": the factors of one frame are
        normalised by their own statistics, in prediction too, as in the released code, which never leaves training mode
        (its learning rate is 1e-3).
    magnification_attention, frame_attention : False takes the plain mean over the factors or over the frames (the
        paper's ablation).
    """

    name: ClassVar[str] = "aman"
    title: ClassVar[str] = "AMAN (Wei et al., ICASSP 2022)"

    training: Training = Training(
        epochs=50, batch=4, optimizer="rmsprop", lr=1e-4, weight_decay=1e-4, schedule="step", every=30, factor=0.2
    )
    af: tuple[float, ...] = ()
    weights: str = ""
    layer4_init: str = "pretrained"
    bn_mode: str = "eval"
    magnification_attention: bool = True
    frame_attention: bool = True

    def __post_init__(self) -> None:
        one_of("layer4_init", self.layer4_init, LAYER4_INITS)
        one_of("bn_mode", self.bn_mode, BN_MODES)

    @property
    def needs(self) -> tuple[Need, ...]:
        return (Need(ARRAY, "aman"),)

    def network(self, inputs: Inputs) -> Network:
        factors = factor_positions(inputs, ARRAY, self.af)
        layer4 = random_layer4() if self.layer4_init == "random" else self._pretrained(inputs)
        return Network(self, layer4, factors, len(inputs.classes))

    def loss(self, network: Network, batch: Batch, clips: Clips) -> Tensor:
        return nn.functional.cross_entropy(network(batch.arrays[ARRAY]).logits, batch.labels)

    def probabilities(self, network: Network, batch: Batch) -> Tensor:
        return network(batch.arrays[ARRAY]).logits.float().softmax(-1)

    def views(self, network: Network, batch: Batch) -> dict[str, np.ndarray]:
        with torch.no_grad():
            output = network(batch.arrays[ARRAY])
        return {
            "magnification[frame,af]": output.magnification.float().cpu().numpy(),
            "frames[frame]": output.frames.float().cpu().numpy(),
        }

    def _pretrained(self, inputs: Inputs) -> nn.Sequential:
        """Layer 4 of the network whose layer 3 made the store's features."""
        wanted = str(inputs.recipe.get("features", {}).get("weights", ""))
        if not wanted:
            raise ModelError("the store's recipe names no weights of its features", "set layer4_init=random")
        if wanted.startswith("random:") and self.weights in ("", wanted):
            return resnet.load(Weights(wanted)).layer4
        if not self.weights:
            raise ModelError(
                f"layer 4 comes from the checkpoint of the store's features, {wanted}, and no file is given",
                "give that checkpoint as weights=FILE, or set layer4_init=random",
            )
        from mer_pipe.stages.weights import file_digest

        found = file_digest(self.weights)
        if found != wanted:
            raise ModelError(
                f"{self.weights} has the digest {found}, but the store's features were made with {wanted}",
                "give the checkpoint that the store was built with, or build a store with this one",
            )
        return resnet.load(Weights(found, self.weights)).layer4
