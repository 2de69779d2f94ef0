"""The state of a training after an epoch, as one safetensors file that is there whole or not at all.

Imports torch: import it lazily.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from mer_pipe.types import ModelError, RecipeError

NAME = "checkpoint.safetensors"
FORMAT = 1
GROUPS = ("network", "momentum", "squares", "average", "best")


@dataclass
class State:
    """What the next epoch needs. Every random draw of an epoch is seeded by (seed, epoch): the epoch is all of it.

    Attributes
    ----------
    epoch : epochs that are finished.
    network : the network's tensors, by name.
    momentum, squares : the optimizer's, by the same names; empty where it has none.
    average : the running average of the network's, where one is kept.
    best, best_epoch : the tensors of the best epoch so far where that one is taken, else empty and 0.
    history : what was measured, an entry an epoch.
    """

    epoch: int
    network: dict[str, Tensor]
    momentum: dict[str, Tensor] = field(default_factory=dict)
    squares: dict[str, Tensor] = field(default_factory=dict)
    average: dict[str, Tensor] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


def write(folder: Path, state: State, identity: dict[str, Any]) -> None:
    """Write the state beside what it was made from, in the place of the one before; StoreError on a full disk."""
    from safetensors.torch import save

    from mer_pipe.store.durable import write_file

    tensors = {
        f"{group}.{name}": tensor.cpu().contiguous()
        for group in GROUPS
        for name, tensor in getattr(state, group).items()
    }
    facts = {
        "format": FORMAT,
        "identity": identity,
        "epoch": state.epoch,
        "best_epoch": state.best_epoch,
        "history": state.history,
    }
    write_file(folder / NAME, save(tensors, {"mer_pipe": json.dumps(facts)}))


def read(folder: Path, identity: dict[str, Any]) -> State | None:
    """The state of a training that was cut short, or None where there is none.

    Raises
    ------
    ModelError : the file is damaged or of another format.
    RecipeError : it is of a training with other settings or other data.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / NAME
    if not path.exists():
        return None
    remove = "delete it to begin anew"
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads((file.metadata() or {}).get("mer_pipe", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}", remove) from None
    if facts.get("format") != FORMAT:
        raise ModelError(f"{path} is no checkpoint of format {FORMAT}", remove)
    same(facts["identity"], identity, path)
    groups: dict[str, dict[str, Tensor]] = {group: {} for group in GROUPS}
    for name, tensor in tensors.items():
        group, _, rest = name.partition(".")
        groups[group][rest] = tensor
    return State(facts["epoch"], **groups, best_epoch=facts["best_epoch"], history=facts["history"])


def same(was: dict[str, Any], asked: dict[str, Any], path: Path) -> None:
    """Raise RecipeError, naming the first differences, unless a file was made from what is asked for."""

    def flat(document: dict[str, Any]) -> dict[str, Any]:
        return {
            inner if group == "settings" else f"{group} {inner}": value
            for group, part in document.items()
            for inner, value in part.items()
        }

    old, new = flat(was), flat(asked)
    other = [
        f"{name} {_short(old.get(name))}, not {_short(new.get(name))}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
    if other:
        more = f" and {len(other) - 3} more" if len(other) > 3 else ""
        raise RecipeError(
            f"{path} is of another training: {'; '.join(other[:3])}{more}",
            "name another folder with --out, or delete this one to train anew",
        )


def _short(value: Any) -> str:
    return str(value)[:19]
