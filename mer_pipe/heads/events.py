"""What the trainer says happened. Progress bars and logs listen; training never prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """Something that happened in a training run."""


@dataclass(frozen=True)
class Begun(Event):
    """A run starts.

    Attributes
    ----------
    folds : folds to train, all seeds together.
    kept : folds that were there already.
    epochs : epochs of one fold, at most.
    """

    folds: int
    kept: int
    epochs: int


@dataclass(frozen=True)
class Trained(Event):
    """One fold of one seed is done and on disk.

    Attributes
    ----------
    fold, seed : which.
    clips : its test clips.
    right : how many of them are predicted rightly.
    epoch : the epoch whose network predicted them, from 1; 0 for a head without epochs.
    seconds : it took.
    feed : how its clips came to the device, and why so.
    """

    fold: str
    seed: int
    clips: int
    right: int
    epoch: int
    seconds: float
    feed: str


@dataclass(frozen=True)
class Noted(Event):
    """Something to know that changes no result: which feed reads, what was left out."""

    text: str


Observer = Callable[[Event], None]
