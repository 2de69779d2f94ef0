"""The training loop. Imports torch: import it lazily."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from mer_pipe.pretrain import network, votes
from mer_pipe.pretrain.checkpoint import State
from mer_pipe.pretrain.devices import deterministic
from mer_pipe.pretrain.events import Ended, Observer, Stepped
from mer_pipe.pretrain.measures import measure
from mer_pipe.pretrain.parts import Part, Parts
from mer_pipe.pretrain.settings import Settings
from mer_pipe.types import RecipeError

MOMENTUM = 0.9
WARM_UP = 0.05


def train(
    parts: Parts, settings: Settings, state: State, device: torch.device, keep: Callable[[State], None], tell: Observer
) -> State:
    """Train from a state to the last epoch.

    The same arguments give the same bits on one device and number of threads, however often the training was cut short
    after an epoch: every draw of an epoch comes from one generator seeded by (seed, epoch).

    Parameters
    ----------
    parts : the images; PublicTest is measured after every epoch, PrivateTest is not looked at.
    settings : with a `precision` that is not "auto".
    state : where to begin.
    keep : is given the state after each epoch, to write it.
    tell : hears `Stepped` and `Ended`.

    Raises
    ------
    RecipeError : the loss is no longer finite.
    """
    net = network.first(settings.seed)
    net.load_state_dict(state.network)
    net.to(device)
    optimizer = optimizer_of(net, settings)
    names = dict(net.named_parameters())
    for name, buffer in state.momentum.items():
        optimizer.state[names[name]]["momentum_buffer"] = buffer.to(device)
    public = torch.from_numpy(parts.public.images).to(device)
    half = settings.precision == "bfloat16"
    with deterministic(device):
        for epoch in range(state.epoch + 1, settings.epochs + 1):
            begun = time.perf_counter()
            loss = epoch_of(net, optimizer, parts.training, settings, epoch, tell)
            logits = network.predict(net, public, settings.side(epoch), half).cpu().numpy()
            found = measure(parts.public.truth, logits.argmax(1))
            seconds = time.perf_counter() - begun
            entry = {"epoch": epoch, "side": settings.side(epoch), "loss": loss}
            entry |= {"accuracy": found["accuracy"], "macro_f1": found["macro_f1"], "seconds": round(seconds, 3)}
            state.history.append(entry)
            state.epoch = epoch
            state.network = net.state_dict()
            state.momentum = {n: optimizer.state[p]["momentum_buffer"] for n, p in names.items()}
            if settings.take == "best" and _is_best(state.history, settings):
                state.best = {name: tensor.cpu().clone() for name, tensor in state.network.items()}
                state.best_epoch = epoch
            keep(state)
            tell(Ended(epoch, loss, found["accuracy"], found["macro_f1"], seconds))
    return state


def rate(settings: Settings, epoch: int, step: int, count: int) -> float:
    """The learning rate of step number `step`, from 0, of the `count` steps of an epoch, from 1.

    It rises over the first twentieth of the steps and falls as half a cosine; where the size changes it does so again.
    """
    first, last = 1, settings.epochs
    if settings.size != settings.last_size and settings.last_epochs:
        change = settings.epochs - settings.last_epochs
        first, last = (change + 1, last) if epoch > change else (1, change)
    done, steps = (epoch - first) * count + step, (last - first + 1) * count
    rise = min(1.0, (done + 1) / max(1, round(WARM_UP * steps)))
    return settings.lr * rise * 0.5 * (1 + math.cos(math.pi * done / steps))


def epoch_of(
    net: network.Classifier,
    optimizer: torch.optim.Optimizer,
    part: Part,
    settings: Settings,
    epoch: int,
    tell: Observer,
) -> float:
    """Train one epoch, numbered from 1, in place; return its mean loss.

    Raises
    ------
    RecipeError : the loss is no longer finite.
    """
    device = next(net.parameters()).device
    rng = np.random.default_rng([settings.seed, epoch])
    count = math.ceil(len(part) / settings.batch)
    labels = votes.drawn(part.labels, rng) if settings.mode == "probability" else part.labels
    affine = network.changes(len(part), settings, rng)
    total = torch.zeros((), dtype=torch.float64, device=device)
    begun = time.perf_counter()
    net.train()
    for step, chosen in enumerate(np.array_split(rng.permutation(len(part)), count)):
        for group in optimizer.param_groups:
            group["lr"] = rate(settings, epoch, step, count)
        images, wanted, moved = (torch.from_numpy(a[chosen]).to(device) for a in (part.images, labels, affine))
        x = network.views(images, settings.side(epoch), moved)
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
            logits = net(x)
        loss = network.loss(logits, wanted, settings.mode)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        total += loss.detach().double() * len(chosen)
        tell(Stepped(epoch, step + 1, count, time.perf_counter() - begun))
    mean = float(total) / len(part)
    if not math.isfinite(mean):
        raise RecipeError(f"the loss is {mean} in epoch {epoch}: the training has diverged", "give a lower --lr")
    return mean


def optimizer_of(net: torch.nn.Module, settings: Settings) -> torch.optim.SGD:
    """SGD with Nesterov momentum; weight decay on matrices and convolutions alone."""
    matrices = [p for p in net.parameters() if p.ndim > 1]
    vectors = [p for p in net.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, settings.lr, MOMENTUM, nesterov=True)


def _is_best(history: list[dict], settings: Settings) -> bool:
    """Whether the newest epoch may be taken and beats every earlier one that may; of equals the first is best."""
    first = settings.epochs - settings.last_epochs if settings.last_epochs else 0
    able = [entry["accuracy"] for entry in history if entry["epoch"] > first]
    return bool(able) and all(able[-1] > other for other in able[:-1])


def tensors_of(state: State, settings: Settings) -> tuple[dict[str, Tensor], int]:
    """The network that is kept, and its epoch."""
    if settings.take == "best":
        return state.best, state.best_epoch
    return {name: tensor.cpu() for name, tensor in state.network.items()}, state.epoch
