"""A fold's network as safetensors that tell what they are, and its views. Imports torch where a network is at hand."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mer_pipe.heads.runs import Predictions, Run
from mer_pipe.store.durable import write_file
from mer_pipe.types import ModelError

if TYPE_CHECKING:
    from torch import nn


def save_network(run: Run, seed: int, number: int, network: nn.Module, found: Predictions) -> None:
    """Write the network of fold `number` with its card: head, settings, store, fold, epoch, accuracy on its test clips."""
    import safetensors.torch

    state = {name: value.detach().cpu().contiguous().clone() for name, value in network.state_dict().items()}
    right = sum(a == b for a, b in zip(found.truth, found.predicted, strict=True))
    told = {
        "format": "mer-pipe-head",
        **{
            name: run.facts[name]
            for name in ("mer_pipe", "head", "settings", "protocol", "store", "classes", "cautions")
        },
        "fold": found.fold,
        "seed": seed,
        "epoch": found.epoch,
        "test_clips": len(found.samples),
        "test_right": right,
    }
    card = {name: value if isinstance(value, str) else json.dumps(value) for name, value in told.items()}
    write_file(run.place(seed, number, "safetensors"), safetensors.torch.save(state, card))


def read_card(path: str | Path) -> dict[str, Any]:
    """What a network's file tells of itself.

    Raises
    ------
    ModelError : it is no network that mer-pipe trained.
    """
    import safetensors

    try:
        with safetensors.safe_open(str(path), "numpy") as file:
            card = file.metadata() or {}
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelError(f"{path} cannot be read as safetensors: {error}", "check the path") from None
    if card.get("format") != "mer-pipe-head":
        raise ModelError(f"{path} is no network of a mer-pipe run", "mer-pipe train --checkpoints writes them")
    plain = ("format", "mer_pipe", "head", "protocol", "fold")
    return {name: value if name in plain else json.loads(value) for name, value in card.items()}


def save_views(place: Path, views: Mapping[str, np.ndarray]) -> None:
    """Write what a head shows of a fold's test clips, in the order of its predictions, in half precision."""
    file = io.BytesIO()
    np.savez_compressed(file, **{name: value.astype(np.float16) for name, value in views.items()})
    write_file(place, file.getvalue())


def read_views(run: Run, seed: int) -> dict[str, np.ndarray]:
    """What the head shows of all test clips of a seed: (clips, ...) float32 by name; empty where none was kept."""
    parts: dict[str, list[np.ndarray]] = {}
    for number in range(len(run.folds)):
        place = run.place(seed, number, "npz")
        if place.exists():
            with np.load(place, allow_pickle=False) as kept:
                for name in kept.files:
                    parts.setdefault(name, []).append(kept[name].astype(np.float32))
    return {name: np.concatenate(values) for name, values in parts.items()}


def viewed_labels(run: Run, seed: int) -> list[str]:
    """The true classes of the clips of `read_views`, in its order."""
    numbers = [number for number in range(len(run.folds)) if run.place(seed, number, "npz").exists()]
    kept = [run.predictions(seed, number) for number in numbers]
    return [label for found in kept if found is not None for label in found.truth]
