"""One fit: batches, schedules, optimizers, seeds."""

from __future__ import annotations

import pytest
import torch

from mer_pipe.heads.head import Training
from mer_pipe.heads.training import _optimizer, _schedule, batches, seed_all
from mer_pipe.types import RecipeError


def test_batches_hold_every_clip_once_and_none_is_alone():
    for count, size in ((9, 4), (8, 4), (1, 4), (5, 1), (17, 16)):
        torch.manual_seed(0)
        parts = batches(count, size)
        assert sorted(torch.cat(parts).tolist()) == list(range(count))
        if count > 1 and size > 1:
            assert min(map(len, parts)) > 1


def test_random_numbers_follow_from_what_they_are_for():
    drawn = []
    for parts in ((0, "a", 1), (0, "a", 2), (0, "b", 1), (1, "a", 1), (0, "a", 1)):
        seed_all(*parts)
        drawn.append(torch.rand(1).item())
    assert drawn[0] == drawn[4]
    assert len(set(drawn)) == 4


def rates(how: Training, epochs: int) -> list[float]:
    optimizer = _optimizer(how, torch.nn.Linear(1, 1))
    schedule = _schedule(how, optimizer)
    found = []
    for _ in range(epochs):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_the_step_schedule_multiplies_after_every_so_many_epochs():
    assert rates(Training(lr=1.0, schedule="step", every=2, factor=0.1), 5) == pytest.approx([1, 1, 0.1, 0.1, 0.01])


def test_restarts_begin_anew_after_ten_and_then_twenty_epochs():
    found = rates(Training(lr=1.0, schedule="restarts", every=10, factor=2), 35)
    assert [i for i, rate in enumerate(found) if rate == pytest.approx(1.0)] == [0, 10, 30]
    assert found[5] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("adam", torch.optim.Adam),
        ("adamw", torch.optim.AdamW),
        ("rmsprop", torch.optim.RMSprop),
        ("sgd", torch.optim.SGD),
    ],
)
def test_optimizers_take_the_settings_and_leave_frozen_parameters_alone(name, kind):
    network = torch.nn.Linear(2, 1)
    network.bias.requires_grad_(False)
    made = _optimizer(Training(optimizer=name, lr=0.3, weight_decay=0.2, eps=1e-5), network)
    assert type(made) is kind
    group = made.param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0.3, 0.2)
    assert group.get("eps", 1e-5) == 1e-5
    assert [id(p) for p in group["params"]] == [id(network.weight)]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"optimizer": "adamm"}, "training.optimizer='adamm' is unknown"),
        ({"selection": "best"}, "Take one of last, inner, test_peek"),
        ({"epochs": -1}, "training.epochs=-1 is below 0"),
        ({"batch": 0}, "training.batch=0 is below 1"),
        ({"lr": 0.0}, "must be above 0"),
        ({"validation": 1.0}, "is no share"),
        ({"schedule": "restarts", "factor": 0.5}, "is no whole number"),
    ],
)
def test_settings_out_of_range_are_refused(values, told):
    with pytest.raises(RecipeError, match=told):
        Training(**values)
