"""Every number that can change what is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mer_pipe.types import RecipeError

MODES = ("majority", "probability", "crossentropy", "multi_target")
PRECISIONS = ("auto", "float32", "bfloat16")
TAKES = ("last", "best")
SIDE = 48
"""Side of an image of FER2013, px."""


@dataclass(frozen=True)
class Settings:
    """How the network is trained.

    The first epochs see faces enlarged to `size`, which is cheap; the last ones see them at `last_size`, the size at which
    the features are taken. Filters answer to the scale at which they were learnt (Touvron et al., NeurIPS 2019), so the last
    epochs are no mere touch: they have a learning rate of their own.

    Attributes
    ----------
    mode : how votes become labels: see `votes.targets`.
    epochs : passes over the training images, the last ones included.
    batch : most images a step; the batches of an epoch are of one size, give or take one.
    lr : highest learning rate, of SGD with Nesterov momentum 0.9; see `train.rate`. The default is 0.1 for 256 images a step
        (He et al., CVPR 2016), in proportion.
    weight_decay : of convolutions and of the classifier's matrix; BatchNorms and biases have none.
    size, last_size : side of the network's input in px, multiples of 32.
    last_epochs : how many epochs, of `epochs`, see `last_size`.
    rotate, shift, scale : largest turn (degrees), shift (share of the side) and change of scale (share) of a training
        image, drawn uniformly; half of the images are mirrored besides. At 0, 0, 0 nothing is changed, nor mirrored.
    take : the epoch whose network is kept: "last", or "best": highest accuracy on PublicTest among the last epochs (among
        all where `last_epochs` is 0). PrivateTest never chooses.
    repeats : whether training images that are also, pixel for pixel, in PublicTest or PrivateTest are kept for training.
    precision : "float32"; "bfloat16" (mixed, by autocast); "auto": bfloat16 on a GPU that has it, else float32.
    seed : of the first weights, the order, the augmentation and drawn labels.

    Raises
    ------
    RecipeError : an unknown word or a value out of range.
    """

    mode: str = "crossentropy"
    epochs: int = 40
    batch: int = 64
    lr: float = 0.025
    weight_decay: float = 5e-4
    size: int = 96
    last_size: int = 224
    last_epochs: int = 8
    rotate: float = 10.0
    shift: float = 0.08
    scale: float = 0.1
    take: str = "last"
    repeats: bool = False
    precision: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("mode", MODES), ("take", TAKES), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise RecipeError(f"{name} cannot be {getattr(self, name)!r}", f"choose one of {', '.join(known)}")
        for name in ("size", "last_size"):
            side = getattr(self, name)
            if side < 32 or side % 32:
                raise RecipeError(f"{name} {side} is no multiple of 32", "try 96 or 224")
        if self.epochs < 1 or not 0 <= self.last_epochs <= self.epochs:
            raise RecipeError(
                f"{self.last_epochs} of {self.epochs} epochs cannot be the last ones",
                "give at least one epoch, and no more last ones than there are",
            )
        if self.batch < 4:
            raise RecipeError(f"a batch of {self.batch} is too small for BatchNorm", "give 4 or more")
        numbers = {n: getattr(self, n) for n in ("lr", "weight_decay", "rotate", "shift", "scale")}
        for name, value in numbers.items():
            if not (math.isfinite(value) and value >= 0) or (name == "lr" and value == 0):
                raise RecipeError(f"{name} cannot be {value}", "give a positive number")
        if self.scale >= 1 or self.shift >= 0.5 or self.rotate > 180:
            raise RecipeError(
                f"faces cannot be changed by rotate {self.rotate}, shift {self.shift}, scale {self.scale}",
                "keep rotate to 180 at most, shift below 0.5 and scale below 1",
            )
        if self.seed < 0:
            raise RecipeError(f"a seed cannot be {self.seed}", "give 0 or more")

    def side(self, epoch: int) -> int:
        """Input side of epoch number `epoch`, from 1."""
        return self.last_size if epoch > self.epochs - self.last_epochs else self.size

    @property
    def final_side(self) -> int:
        """Input side of the last epoch, at which the network is judged."""
        return self.side(self.epochs)
