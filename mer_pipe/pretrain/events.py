"""What a training says while it runs; progress bars listen, nothing else prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Reading:
    """`done` of `rows` rows of the sheets are read."""

    done: int
    rows: int


@dataclass(frozen=True)
class Began:
    """Training begins, or goes on after `done` finished epochs. `device` and `precision` are those in use."""

    epochs: int
    done: int
    images: int
    device: str
    precision: str


@dataclass(frozen=True)
class Stepped:
    """Step `step` of `steps` of an epoch is done; `seconds` since the epoch began."""

    epoch: int
    step: int
    steps: int
    seconds: float


@dataclass(frozen=True)
class Ended:
    """An epoch ended and its checkpoint is on the disk; what was measured on PublicTest."""

    epoch: int
    loss: float
    accuracy: float
    macro_f1: float
    seconds: float


@dataclass(frozen=True)
class Testing:
    """The network that is kept is being measured on `images` images."""

    images: int


Event = Reading | Began | Stepped | Ended | Testing
Observer = Callable[[Event], None]
