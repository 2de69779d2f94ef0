"""Train one network on the clips of one fold, and predict with it. Imports torch: import it lazily."""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mer_pipe.heads.head import Clips, Head, Inputs, Training
from mer_pipe.heads.metrics import metrics
from mer_pipe.types import MachineError, TrainingError


@dataclass(frozen=True)
class Fitted:
    """A trained network.

    Attributes
    ----------
    network : on its device, in evaluation mode, as it was after `epoch`.
    epoch : from 1; 0 for a head that `prepare` fits whole.
    curve : for each epoch: "epoch", "loss" (mean over clips), "lr", and "uf1" of the clips that the epoch is chosen by.
    """

    network: nn.Module
    epoch: int
    curve: tuple[dict[str, float], ...]


def seed_all(*parts: object) -> None:
    """Seed PyTorch's default generators by a digest of what the draw is for: every fold and epoch has its own numbers."""
    text = "\n".join(map(str, parts)).encode()
    torch.manual_seed(int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1)


def fit(
    head: Head, inputs: Inputs, clips: Clips, watched: Clips | None, name: str, seed: int, device: torch.device
) -> Fitted:
    """Train a fresh network of a head.

    Parameters
    ----------
    clips : what it is trained on.
    watched : clips that the epoch is chosen by, as `Training.selection` says; None for "last".
    name, seed : of the fold and of the run: all random numbers follow from the two.

    Raises
    ------
    TrainingError : the loss is not finite.
    MachineError : the device has too little memory.
    RecipeError, ModelError : as `Head.network`.
    """
    how = head.training
    if how.precision == "float16" and device.type == "cpu":
        raise TrainingError("float16 training needs a GPU", "take training.precision=bfloat16 or float32 on a CPU")
    seed_all(seed, name, "network")
    with _memory(how):
        network = head.network(inputs).to(device)
        head.prepare(network, clips)
        if how.epochs == 0:
            return Fitted(network.eval(), 0, ())
        optimizer = _optimizer(how, network)
        schedule = _schedule(how, optimizer)
        scaler = torch.amp.GradScaler(device.type, enabled=how.precision == "float16")
        curve: list[dict[str, float]] = []
        best: tuple[float, int, dict[str, Tensor]] | None = None
        for epoch in range(1, how.epochs + 1):
            seed_all(seed, name, "epoch", epoch)
            told = {"epoch": epoch, "lr": optimizer.param_groups[0]["lr"]}
            told["loss"] = _epoch(head, network, clips, optimizer, scaler, device, f"{name}, epoch {epoch}")
            schedule.step()
            if watched is not None:
                told["uf1"] = _uf1(head, network, watched, seed, name)
                if best is None or told["uf1"] > best[0]:
                    best = told["uf1"], epoch, {k: v.detach().clone() for k, v in network.state_dict().items()}
            curve.append(told)
            # Only a validation part of the training clips may end a run early.
            if how.selection == "inner" and best and how.patience and epoch - best[1] >= how.patience:
                break
    if best is not None:
        network.load_state_dict(best[2])
    return Fitted(network.eval(), best[1] if best else len(curve), tuple(curve))


def predict(head: Head, network: nn.Module, clips: Clips, seed: int, name: str) -> np.ndarray:
    """The class probabilities of clips: (n, classes) float32.

    Raises
    ------
    TrainingError : a probability is not finite.
    """
    network.eval()
    seed_all(seed, name, "predict")
    parts = []
    for batch in clips.batches(torch.arange(len(clips)).split(head.training.batch)):
        with torch.no_grad(), _precision(head.training, clips.labels.device):
            parts.append(head.probabilities(network, batch).float().cpu())
    found = torch.cat(parts).numpy()
    if not np.isfinite(found).all():
        raise TrainingError(f"fold {name}: the trained network gives values that are not finite", _LESS)
    return found


def views(head: Head, network: nn.Module, clips: Clips, seed: int, name: str) -> dict[str, np.ndarray]:
    """What the head shows beside its predictions: (n, ...) float32 by name; empty for a head that shows nothing."""
    network.eval()
    seed_all(seed, name, "views")
    parts: dict[str, list[np.ndarray]] = {}
    for batch in clips.batches(torch.arange(len(clips)).split(head.training.batch)):
        for key, value in head.views(network, batch).items():
            parts.setdefault(key, []).append(np.asarray(value, np.float32))
    return {key: np.concatenate(value) for key, value in parts.items()}


_LESS = "take a smaller training.lr, training.precision=float32, or standardised inputs where the head has them"


def _epoch(
    head: Head,
    network: nn.Module,
    clips: Clips,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    device: torch.device,
    where: str,
) -> float:
    """One pass over the clips in a random order; the mean loss."""
    network.train()
    total = torch.zeros((), device=device)
    for batch in clips.batches(batches(len(clips), head.training.batch)):
        with _precision(head.training, device):
            loss = head.loss(network, batch, clips)
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        total += loss.detach().float() * len(batch)
    mean = float(total) / len(clips)
    if not math.isfinite(mean):
        raise TrainingError(f"fold {where}: the loss is {mean}", _LESS)
    return mean


def batches(count: int, size: int) -> list[Tensor]:
    """Positions 0..count in a random order, `size` at a time; a last batch of one clip joins the one before it.

    A single clip has no batch statistics and no partner in a contrastive loss.
    """
    parts = list(torch.randperm(count).split(size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def _uf1(head: Head, network: nn.Module, clips: Clips, seed: int, name: str) -> float:
    predicted = predict(head, network, clips, seed, name).argmax(1)
    return metrics(clips.labels.tolist(), predicted.tolist()).uf1


def _optimizer(how: Training, network: nn.Module) -> torch.optim.Optimizer:
    parameters = [p for p in network.parameters() if p.requires_grad]
    common: dict[str, Any] = {"lr": how.lr, "weight_decay": how.weight_decay}
    if how.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=0.9, **common)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop}[how.optimizer]
    return kind(parameters, eps=how.eps, **common)


def _schedule(how: Training, optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
    rates = torch.optim.lr_scheduler
    if how.schedule == "step":
        return rates.StepLR(optimizer, how.every, how.factor)
    if how.schedule == "restarts":
        return rates.CosineAnnealingWarmRestarts(optimizer, how.every, int(how.factor))
    return rates.LambdaLR(optimizer, lambda epoch: 1.0)


def _precision(how: Training, device: torch.device) -> Any:
    if how.precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, getattr(torch, how.precision))


@contextlib.contextmanager
def _memory(how: Training) -> Iterator[None]:
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise MachineError(
            f"the GPU has too little memory for batches of {how.batch} clips: {str(error).partition('. ')[0]}",
            "leave the clips in main memory with --backend pinned, or make steps smaller with training.batch=N",
        ) from error
