"""One training from settings to weights and their report. Imports torch: import it lazily."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mer_pipe.observing import unfailing
from mer_pipe.pretrain import checkpoint, folder
from mer_pipe.pretrain.devices import choose_device, choose_precision
from mer_pipe.pretrain.magnifier import network, report, sources, train
from mer_pipe.pretrain.magnifier.events import Began, Observer
from mer_pipe.pretrain.magnifier.settings import Settings

RECIPE = 1
"""Raised when scenes, losses or steps change: the same settings then train something else."""


@dataclass(frozen=True)
class Prepared:
    """What would be trained.

    Attributes
    ----------
    settings : with the precision that the device gives to "auto".
    device : where it would be trained.
    out : the run's folder.
    pictures : photographs to train on and to validate on, by the digest of their pixels.
    """

    settings: Settings
    device: torch.device
    out: Path
    pictures: dict[str, str]

    @property
    def identity(self) -> dict[str, Any]:
        """All that the trained network depends on, but for the machine."""
        return {"settings": asdict(self.settings), "recipe": {"version": RECIPE}, "picture": self.pictures}


def prepare(out: Path, settings: Settings, device: str = "auto") -> Prepared:
    """Check everything; train and write nothing.

    Parameters
    ----------
    out : the run's folder; it need not exist.
    device : see `devices.choose_device`.

    Raises
    ------
    RecipeError : there is no such device.
    """
    place = choose_device(device)
    resolved = replace(settings, precision=choose_precision(settings.precision, place))
    return Prepared(resolved, place, out, sources.digests())


def run(prepared: Prepared, tell: Observer = lambda event: None) -> tuple[dict[str, Any], bool]:
    """Train, and write weights, card, curve and report; or go on where an earlier run was cut short.

    Returns
    -------
    The report (see `report.document`), and whether anything was done: a finished run of the same identity is read, no more.

    Raises
    ------
    RecipeError : the folder holds another training; or the training diverges.
    ModelError : a checkpoint is damaged.
    StoreError : the folder cannot be written to.
    """
    say = unfailing(tell, "the training")
    done = folder.finished(prepared.out / report.REPORT, prepared.identity)
    if done is not None:
        return done, False
    folder.make(prepared.out)
    settings = prepared.settings
    state = checkpoint.read(prepared.out, prepared.identity)
    state = state or checkpoint.State(0, network.first(settings).state_dict())
    say(
        Began(
            settings.steps, min(settings.steps, state.epoch * settings.every), str(prepared.device), settings.precision
        )
    )
    state = train.train(
        settings, state, prepared.device, lambda now: checkpoint.write(prepared.out, now, prepared.identity), say
    )
    made = report.write(prepared.out, network.published(state.average), report.document(prepared, state.history))
    (prepared.out / checkpoint.NAME).unlink(missing_ok=True)
    return made, True
