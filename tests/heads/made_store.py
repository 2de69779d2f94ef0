"""Stores of feature vectors with a planted class signal, many subjects and databases, and a small head that reads them."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from mer_pipe.heads.head import Batch, Clips, Head, Inputs, Need, Training
from mer_pipe.recipes import BUILT_IN, plain
from mer_pipe.store.publish import ArrayPlan, publish
from mer_pipe.types import ArraySpec

CLASSES = ("happiness", "others", "surprise")
AFS = (2.0, 4.0)
WIDTH = 6


def make_store(
    path: Path,
    subjects: int = 4,
    clips: int = 6,
    databases: tuple[str, ...] = ("casme2",),
    signal: float = 3.0,
    labels: dict[str, str] | None = None,
    spoil: dict[str, float] | None = None,
) -> Path:
    """Publish a store of `features_mrn/vector`: noise, and at AF 4 the class's own entry raised by `signal`.

    Parameters
    ----------
    subjects : of each database; a subject's clips run through the classes.
    clips : of each subject.
    labels : sample -> label to write instead.
    spoil : sample -> value written into its vector.
    """
    rng = np.random.default_rng(0)
    rows, made = [], []
    for database in databases:
        for subject in range(1, subjects + 1):
            for clip in range(clips):
                sample = f"{database}/s{subject:02d}/c{clip}"
                kind = clip % len(CLASSES)
                value = rng.standard_normal((len(AFS), WIDTH)).astype(np.float32)
                value[1, kind] += signal
                if spoil and sample in spoil:
                    value[0, 0] = spoil[sample]
                made.append(value)
                label = (labels or {}).get(sample, CLASSES[kind])
                rows.append(
                    {
                        "sample": sample,
                        "database": database,
                        "subject": f"{database}/s{subject:02d}",
                        "clip": f"c{clip}",
                        "emotion": label,
                        "label": label,
                        "aus": ("6+12", "4", "1+2")[kind],
                    }
                )
    spec = ArraySpec(("feature",), "float32", about="planted")
    cells = tuple(tuple((f"{i}|{j}", "feature") for j in range(len(AFS))) for i in range(len(rows)))
    told = {"stage": "features", "stage_version": 1, "systems": ["mrn", "uamrn"]}
    plan = ArrayPlan("features_mrn", "vector", {"af": AFS}, spec, "float32", cells, told)

    def read(key: str) -> dict[str, np.ndarray]:
        i, j = map(int, key.split("|"))
        return {"feature": made[i][j]}

    facts = {
        "database": databases[0] if len(databases) == 1 else "megc2019",
        "recipe": plain(BUILT_IN["demo"]) | {"features": {"weights": "sha256:" + "0" * 64, "dtype": "float32"}},
        "contents": f"{signal}-{subjects}-{clips}-{databases}",
        "excluded": [],
        "failed": [],
        "notes": [],
    }
    publish(path, rows, [plan], facts, read)
    return path


@dataclass(frozen=True)
class Toy(Head):
    """Two linear layers on the flattened vectors; quick to train.

    Attributes
    ----------
    width : of the hidden layer.
    spoilt : the loss is NaN.
    deadly : the loss kills the process that asks for it.
    """

    name: ClassVar[str] = "toy"
    title: ClassVar[str] = "Toy"

    training: Training = Training(epochs=20, batch=8, lr=0.02)
    width: int = 16
    spoilt: bool = False
    deadly: bool = False

    @property
    def needs(self) -> tuple[Need, ...]:
        return (Need("features_mrn/vector", "mrn"),)

    def network(self, inputs: Inputs) -> nn.Module:
        entries = int(np.prod(inputs.shapes["features_mrn/vector"]))
        layers = nn.Linear(entries, self.width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(self.width, len(inputs.classes))
        return nn.Sequential(nn.Flatten(), *layers)

    def loss(self, network: nn.Module, batch: Batch, clips: Clips) -> Tensor:
        if self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        loss = nn.functional.cross_entropy(network(batch.arrays["features_mrn/vector"].float()), batch.labels)
        return loss * torch.nan if self.spoilt else loss

    def probabilities(self, network: nn.Module, batch: Batch) -> Tensor:
        return network(batch.arrays["features_mrn/vector"].float()).softmax(1)

    def views(self, network: nn.Module, batch: Batch) -> dict[str, Any]:
        return {"attention[query,key]": torch.ones(len(batch), 2, 2).numpy() / 2}
