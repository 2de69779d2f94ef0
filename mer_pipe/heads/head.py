"""What a head is: the network, the loss and the default training of one published system, over arrays of a store.

Imports torch: import it lazily.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from torch import Tensor, nn

from mer_pipe.types import RecipeError

OPTIMIZERS = ("adam", "adamw", "rmsprop", "sgd")
SCHEDULES = ("constant", "step", "restarts")
SELECTIONS = ("last", "inner", "test_peek")
PRECISIONS = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Training:
    """How a network is trained. The default of each head is its paper's, or its released code's where there is any.

    Attributes
    ----------
    epochs : passes over the training clips; 0 for a head that is fitted whole by `Head.prepare`.
    batch : clips a step; the last batch of an epoch may hold fewer.
    optimizer : "adam", "adamw", "rmsprop" or "sgd".
    lr : learning rate at the start.
    weight_decay : as PyTorch's optimizer of that name takes it.
    eps : of the optimizer; sgd has none.
    schedule : "constant"; "step" (lr times `factor` after every `every` epochs); "restarts" (cosine annealing with warm
        restarts, the first after `every` epochs, each period `factor` times as long as the one before).
    every, factor : of the schedule.
    selection : which epoch's network predicts the test clips: "last"; "inner" (best UF1 on a validation part of the
        *training* subjects); "test_peek" (best UF1 on the test clips themselves: wrong, and only for repeating figures
        that were made so. Every figure that it makes is labelled).
    validation : share of the training subjects that "inner" keeps for validation.
    patience : "inner" ends after so many epochs without a better one; 0 never does.
    precision : "float32"; or "bfloat16", "float16": mixed precision by autocast.

    Raises
    ------
    RecipeError : an unknown word or a value out of range.
    """

    epochs: int = 50
    batch: int = 16
    optimizer: str = "adam"
    lr: float = 1e-4
    weight_decay: float = 0.0
    eps: float = 1e-8
    schedule: str = "constant"
    every: int = 10
    factor: float = 0.1
    selection: str = "last"
    validation: float = 0.2
    patience: int = 0
    precision: str = "float32"

    def __post_init__(self) -> None:
        for name, options in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("selection", SELECTIONS),
            ("precision", PRECISIONS),
        ):
            if getattr(self, name) not in options:
                told = f"training.{name}={getattr(self, name)!r} is unknown"
                raise RecipeError(told, f"take one of {', '.join(options)}")
        for name, low in (("epochs", 0), ("batch", 1), ("every", 1), ("patience", 0), ("weight_decay", 0)):
            if getattr(self, name) < low:
                raise RecipeError(f"training.{name}={getattr(self, name)} is below {low}")
        if not self.lr > 0 or not self.factor > 0 or not self.eps > 0:
            raise RecipeError("training.lr, training.factor and training.eps must be above 0")
        if not 0 < self.validation < 1:
            raise RecipeError(f"training.validation={self.validation} is no share", "give a number between 0 and 1")
        if self.schedule == "restarts" and self.factor != int(self.factor):
            raise RecipeError(f"training.factor={self.factor} is no whole number", "restarts need 1, 2, ...")


@dataclass(frozen=True)
class Need:
    """An array of the store that a head reads.

    Attributes
    ----------
    array : its name in the store, as "features_mrn/vector".
    system : what `mer-pipe build --only` makes it for.
    """

    array: str
    system: str


@dataclass(frozen=True)
class Inputs:
    """What is known of a store before any clip is read: all that the shape of a network may depend on.

    Attributes
    ----------
    shapes : shape of one clip's array by array name, without the sample axis.
    coordinates : for each array, the values along the axes that have any: {"features_mrn/vector": {"af": (2.0, ...)}}.
    classes : names of the classes, sorted; labels index into them.
    units : FACS numbers of the action units, ascending; columns of `Batch.units`.
    recipe : the recipe that the store was built by, plain JSON; model files by their digest.
    """

    shapes: Mapping[str, tuple[int, ...]]
    coordinates: Mapping[str, Mapping[str, tuple[Any, ...]]]
    classes: tuple[str, ...]
    units: tuple[int, ...] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """Some clips on a device.

    Attributes
    ----------
    arrays : (n, ...) by array name, in the store's own dtype (uint8 images, float16 features): convert on the device.
    labels : (n,) int64, indices into `Inputs.classes`.
    units : (n, units) float32, 1 where the clip shows the action unit.
    positions : (n,) int64, the clips' places in the `Clips` that they come from.
    """

    arrays: Mapping[str, Tensor]
    labels: Tensor
    units: Tensor
    positions: Tensor

    def __len__(self) -> int:
        return len(self.labels)


class Clips(Protocol):
    """The training clips of one fold. Nothing else can be reached from here: no test clip can leak into a loss.

    Attributes
    ----------
    labels, units : of all clips, as in `Batch`, on the device.
    """

    labels: Tensor
    units: Tensor

    def __len__(self) -> int: ...

    def batch(self, positions: Tensor) -> Batch:
        """The clips at these positions (n,) int64, in this order; a position may come more than once."""
        ...

    def batches(self, positions: Iterable[Tensor]) -> Iterator[Batch]:
        """`batch` for each item; the next may be read while the one before is in use."""
        ...


@dataclass(frozen=True)
class Head:
    """One published system. A frozen dataclass: its fields are the settings that can change a result.

    A head draws random numbers from PyTorch's default generators alone, which the trainer seeds for every epoch of every
    fold. What a network must remember of the training clips (class weights, statistics) it keeps in buffers, so that a
    checkpoint is whole.

    Class attributes
    ----------------
    name : as `mer-pipe train --head` takes it.
    title : as a table prints it.
    """

    name: ClassVar[str]
    title: ClassVar[str]

    training: Training = Training()

    @property
    def needs(self) -> tuple[Need, ...]:
        """The arrays that the head reads."""
        raise NotImplementedError

    def network(self, inputs: Inputs) -> nn.Module:
        """A fresh network on the CPU, drawn from PyTorch's default generator.

        Raises
        ------
        RecipeError : a setting does not fit the store's arrays.
        ModelError : a checkpoint is absent, is of another kind, or is not the one that made the store's features.
        """
        raise NotImplementedError

    def prepare(self, network: nn.Module, clips: Clips) -> None:
        """Take what the network needs to know of the training clips (class weights, statistics) into its buffers.

        Called once, before the first epoch, with the network on its device. Does nothing by default.
        """

    def loss(self, network: nn.Module, batch: Batch, clips: Clips) -> Tensor:
        """The scalar to minimise for some of the training clips; `network` is in training mode.

        Augmentation is part of it. `clips` are all training clips of the fold, for donors.
        """
        raise NotImplementedError

    def probabilities(self, network: nn.Module, batch: Batch) -> Tensor:
        """(n, classes) float32, rows that sum to 1; `network` is in evaluation mode, without gradients.

        Whatever is drawn in here (Monte-Carlo dropout) comes from PyTorch's default generator, seeded by the trainer.
        """
        raise NotImplementedError

    def views(self, network: nn.Module, batch: Batch) -> dict[str, np.ndarray]:
        """What can be looked at beside the prediction (attention, weights, AU-CAM): (n, ...) float32 by name.

        Names end in the axes that they hold: "attention[head,query,key]". Nothing by default. `network` is in
        evaluation mode; gradients may be taken.
        """
        return {}
