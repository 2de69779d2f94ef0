"""A training run before it starts: what was asked for, its folds, and everything that can be refused without training."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mer_pipe.heads.protocols import inner_split, make_folds
from mer_pipe.types import MachineError, RecipeError

if TYPE_CHECKING:
    import torch

    from mer_pipe.heads.head import Head

PEEKED = "the epoch was chosen on the test clips: not comparable with honest figures"
SHUFFLED = "trained on shuffled labels: a check that nothing leaks, not a result"
RANDOM = "features are from random weights: for trying the pipeline, not for results"


@dataclass(frozen=True)
class Request:
    """A training run as it was asked for.

    Attributes
    ----------
    head : with its settings.
    store : the published store.
    out : the run's folder; a run that is there goes on.
    protocol, folds : see `mer_pipe.heads.protocols.make_folds`.
    seeds : one whole run each.
    shuffle_labels : train on permuted labels, test on the true ones: accuracy must fall to chance.
    device : "auto", "cpu", "cuda" or "cuda:1".
    backend : how clips reach the device, see `mer_pipe.heads.feeding.open_feed`.
    workers : processes that train folds side by side; 0 trains in this one.
    checkpoints : keep each fold's network.
    views : keep what the head shows of each test clip (attention, AU-CAM).
    """

    head: Head
    store: Path
    out: Path
    protocol: str = "loso"
    folds: int = 5
    seeds: tuple[int, ...] = (0,)
    shuffle_labels: bool = False
    device: str = "auto"
    backend: str = "auto"
    workers: int = 0
    checkpoints: bool = False
    views: bool = False


@dataclass(frozen=True)
class Planned:
    """A run that can start: its folds are checked and nothing is written yet.

    Attributes
    ----------
    request : as asked, with the device resolved.
    facts : what run.json says.
    notes : what the user should know of the store.
    parameters : of one network that are learnt.
    """

    request: Request
    facts: dict[str, Any]
    notes: tuple[str, ...]
    parameters: int


def plan(request: Request) -> Planned:
    """Read the store's table, make and check the folds, and make one network: what cannot be is told before any training.

    Raises
    ------
    MerError : the store lacks an array or is damaged; a setting, the protocol, a checkpoint or the device cannot be used.
    """
    import mer_pipe
    from mer_pipe.heads.feeding import BACKENDS
    from mer_pipe.heads.table import read_table
    from mer_pipe.store.open import read_facts

    head = request.head
    if request.backend not in BACKENDS:
        raise RecipeError(f"there is no backend {request.backend!r}", f"take one of {', '.join(BACKENDS)}")
    table = read_table(request.store, head.needs)
    known = read_facts(request.store)
    folds = make_folds(request.protocol, table.subjects, table.databases, table.labels, request.folds)
    if head.training.selection == "inner":
        for fold in folds:
            inner_split(fold, table.subjects, table.labels, head.training.validation, 0)
    cautions = []
    if head.training.selection == "test_peek":
        cautions.append(PEEKED)
    if request.shuffle_labels:
        cautions.append(SHUFFLED)
    weights = str(known["recipe"].get("features", {}).get("weights", ""))
    if weights.startswith("random:") and any(need.array.startswith("features_") for need in head.needs):
        cautions.append(RANDOM)
    facts = {
        "mer_pipe": mer_pipe.__version__,
        "head": head.name,
        "title": head.title,
        "settings": _settings(head),
        "protocol": request.protocol,
        "shuffled_labels": request.shuffle_labels,
        "store": {name: known[name] for name in ("contents", "database")} | {"recipe": known["recipe"].get("name", "")},
        "classes": table.inputs.classes,
        "axes": {dim: values for array in table.inputs.coordinates.values() for dim, values in array.items()},
        "cautions": cautions,
        "clips": [
            {"sample": s, "subject": p, "database": d, "label": table.inputs.classes[k]}
            for s, p, d, k in zip(table.samples, table.subjects, table.databases, table.labels, strict=True)
        ],
        "left_out": list(table.left_out),
        "folds": [dataclasses.asdict(fold) for fold in folds],
    }
    device = str(pick_device(request.device))
    learnt = sum(p.numel() for p in head.network(table.inputs).parameters() if p.requires_grad)
    return Planned(replace(request, device=device), facts, table.notes, learnt)


def _settings(head: Head) -> dict[str, Any]:
    """The head's settings; a checkpoint is told by its name and digest, never by its place."""
    from mer_pipe.stages.weights import file_digest

    told = dataclasses.asdict(head)
    path = told.get("weights", "")
    if path and not path.startswith("random:"):
        told["weights"] = f"{Path(path).name} {file_digest(path)}"
    return told


def pick_device(name: str) -> torch.device:
    """The device of a name; "auto" takes a GPU where PyTorch sees one.

    Raises
    ------
    MachineError : PyTorch knows no such device.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        said = str(error).splitlines()[0]
        raise MachineError(f"device {name!r} cannot be used: {said}", "take --device cpu, or auto") from None
    return device
