"""The training loop. Imports torch: import it lazily."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from mer_pipe.pretrain.checkpoint import State
from mer_pipe.pretrain.devices import deterministic
from mer_pipe.pretrain.magnifier import batches, network, sources, validation
from mer_pipe.pretrain.magnifier.events import Ended, Observer, Stepped
from mer_pipe.pretrain.magnifier.optimizer import Muon
from mer_pipe.pretrain.magnifier.settings import Settings
from mer_pipe.types import RecipeError


def train(
    settings: Settings, state: State, device: torch.device, keep: Callable[[State], None], tell: Observer
) -> State:
    """Train from a state to the last round.

    The same arguments give the same bits on one device and number of threads, however often the training was cut short
    after a round: every draw of a round comes from one generator seeded by (seed, round).

    Parameters
    ----------
    settings : with a `precision` that is not "auto".
    state : where to begin; its `epoch` counts rounds of `settings.every` steps.
    keep : is given the state after each round, to write it.
    tell : hears `Stepped` and `Ended`.

    Raises
    ------
    RecipeError : the loss is no longer finite.
    """
    net, average = network.first(settings), network.first(settings)
    net.load_state_dict(state.network)
    average.load_state_dict(state.average or state.network)
    net.to(device), average.to(device).requires_grad_(False)
    optimizer = Muon(dict(net.named_parameters()), state.momentum, state.squares)
    photographs = sources.photographs(sources.TRAINING)
    seen = validation.pairs(settings)
    began, already = time.perf_counter(), state.epoch * settings.every

    def left(step: int) -> float:
        return (time.perf_counter() - began) / (step - already) * (settings.steps - step)

    with deterministic(device):
        for number in range(state.epoch + 1, settings.rounds + 1):
            begun = time.perf_counter()
            pool = batches.Pool(photographs, settings, np.random.default_rng([settings.seed, number]))
            steps = range((number - 1) * settings.every, min(number * settings.every, settings.steps))
            total = 0.0
            for step in steps:
                loss = network.loss(net, _tensors(pool.batch(), device), settings, settings.precision == "bfloat16")
                loss.backward()
                share = rate(settings, step)
                optimizer.step(step + 1, settings.lr * share, settings.adam_lr * share)
                follow(average, net, min(settings.average, (step + 1) / (step + 10)))
                total += float(loss.detach())
                tell(Stepped(step + 1, settings.steps, left(step + 1)))
            mean = total / len(steps)
            if not math.isfinite(mean):
                raise RecipeError(f"the loss is {mean} after step {steps[-1]}: the training has diverged", "lower --lr")
            likeness = validation.likeness(average, seen, device)
            seconds = time.perf_counter() - begun
            state.history.append(
                {
                    "step": steps[-1] + 1,
                    "loss": mean,
                    "likeness": float(np.mean(likeness)),
                    **{f"af {af:g}": value for af, value in zip(validation.FACTORS, likeness, strict=True)},
                    "seconds": round(seconds, 3),
                }
            )
            state.epoch, state.network, state.average = number, net.state_dict(), average.state_dict()
            state.momentum, state.squares = optimizer.momentum, optimizer.squares
            keep(state)
            tell(Ended(steps[-1] + 1, mean, float(np.mean(likeness)), seconds))
    return state


def rate(settings: Settings, step: int) -> float:
    """The share of the learning rate that step number `step`, from 0, has: it rises, stays, and falls."""
    rise = (step + 1) / max(1, settings.warm_up)
    fall = (settings.steps - step) / max(1.0, settings.fall * settings.steps)
    return min(1.0, rise, fall)


@torch.no_grad()
def follow(average: torch.nn.Module, net: torch.nn.Module, decay: float) -> None:
    """Move the average of the weights towards them, in place."""
    torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), 1 - decay)


def _tensors(batch: batches.Batch, device: torch.device) -> dict[str, Tensor]:
    images = {
        name: torch.from_numpy(getattr(batch, name)).to(device).movedim(-1, 1)
        for name in ("reference", "target", "truth", "twin")
    }
    known = torch.from_numpy(batch.known).to(device)[:, None]
    return {**images, "known": known, "af": torch.from_numpy(batch.af).to(device)}
