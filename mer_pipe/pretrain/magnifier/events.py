"""What a training of the magnifier says while it runs; progress bars listen, nothing else prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Began:
    """Training begins, or goes on after `done` steps. `device` and `precision` are those in use."""

    steps: int
    done: int
    device: str
    precision: str


@dataclass(frozen=True)
class Stepped:
    """`step` of `steps` are done; `left` is an estimate of the seconds to the end."""

    step: int
    steps: int
    left: float


@dataclass(frozen=True)
class Ended:
    """A round ended at `step` and its checkpoint is on the disk; `likeness` is the mean SSIM on the validation scenes."""

    step: int
    loss: float
    likeness: float
    seconds: float


Event = Began | Stepped | Ended
Observer = Callable[[Event], None]
