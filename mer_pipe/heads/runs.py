"""The folder of a training run: what was trained on what, and every prediction. NumPy alone.

    RUN/run.json                     what the run is; the same for all of its seeds
    RUN/README.md                    its card, for people
    RUN/seed-0/000-casme2_sub01.json     the predictions of one fold
    RUN/seed-0/000-casme2_sub01.csv      its learning curve
    RUN/seed-0/000-casme2_sub01.safetensors, .npz      its network and its views, where they were asked for

A fold's predictions are there whole or not at all; metrics are computed from them and stored nowhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mer_pipe.heads.protocols import Fold
from mer_pipe.store.durable import write_file
from mer_pipe.types import TrainingError

FORMAT = "mer-pipe-run"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Predictions:
    """The test clips of one fold of one seed.

    Attributes
    ----------
    fold, seed : which.
    samples : ids of the clips.
    truth, predicted : (n,) names of classes.
    probabilities : (n, classes) in the order of the run's classes.
    epoch : the epoch whose network predicted; 0 for a head without epochs.
    """

    fold: str
    seed: int
    samples: tuple[str, ...]
    truth: tuple[str, ...]
    predicted: tuple[str, ...]
    probabilities: tuple[tuple[float, ...], ...]
    epoch: int


def stem(number: int, fold: str) -> str:
    """The file name of a fold, without its ending; a subject's name cannot leave the folder."""
    return f"{number:03d}-{re.sub(r'[^A-Za-z0-9._-]', '_', fold)}"


@dataclass(frozen=True)
class Run:
    """A run's folder and what its run.json says.

    Attributes
    ----------
    path : the folder.
    facts : head, settings, protocol, store, classes, clips, folds, labels of caution; plain JSON.
    """

    path: Path
    facts: Mapping[str, Any]

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.facts["classes"])

    @property
    def folds(self) -> tuple[Fold, ...]:
        return tuple(Fold(f["name"], tuple(f["train"]), tuple(f["test"])) for f in self.facts["folds"])

    @property
    def cautions(self) -> tuple[str, ...]:
        """What must be said beside every figure of this run; empty for an honest one."""
        return tuple(self.facts["cautions"])

    @property
    def axes(self) -> dict[str, list[Any]]:
        """What the places along the axes of views are called, where the store tells: classes, AFs, frames."""
        own = self.facts["settings"].get("af")
        return {**self.facts["axes"], "class": list(self.classes), **({"af": sorted(own)} if own else {})}

    def place(self, seed: int, number: int, ending: str) -> Path:
        """Where something of fold `number` lies: `ending` is "json", "csv", "safetensors" or "npz"."""
        return self.path / f"seed-{seed}" / f"{stem(number, self.facts['folds'][number]['name'])}.{ending}"

    def seeds(self) -> tuple[int, ...]:
        """The seeds of which any fold is there."""
        found = (re.fullmatch(r"seed-(\d+)", p.parent.name) for p in self.path.glob("seed-*/*.json"))
        return tuple(sorted({int(match[1]) for match in found if match}))

    def predictions(self, seed: int, number: int) -> Predictions | None:
        """One fold's predictions, or None where it is not trained yet.

        Raises
        ------
        TrainingError : the file is damaged or of another run.
        """
        place = self.place(seed, number, "json")
        if not place.exists():
            return None
        fold = self.facts["folds"][number]
        clips = self.facts["clips"]
        try:
            told = json.loads(place.read_bytes())
            found = Predictions(
                told["fold"],
                told["seed"],
                tuple(told["samples"]),
                tuple(told["truth"]),
                tuple(told["predicted"]),
                tuple(tuple(row) for row in told["probabilities"]),
                told["epoch"],
            )
            whole = {len(found.truth), len(found.predicted), len(found.probabilities)} == {len(found.samples)}
        except (OSError, ValueError, KeyError, TypeError):
            whole = False
        if not whole or found.fold != fold["name"] or list(found.samples) != [clips[i]["sample"] for i in fold["test"]]:
            raise TrainingError(f"{place} is damaged or of another run", "delete it and run the same command again")
        return found

    def save(self, number: int, found: Predictions, curve: tuple[Mapping[str, float], ...]) -> None:
        """Write a fold: its curve first, its predictions, which tell that it is done, last."""
        names = list(curve[0]) if curve else ["epoch"]
        rows = [",".join(names), *(",".join(f"{row[name]:.8g}" for name in names) for row in curve)]
        write_file(self.place(found.seed, number, "csv"), ("\n".join(rows) + "\n").encode())
        told = {name: getattr(found, name) for name in Predictions.__dataclass_fields__}
        write_file(self.place(found.seed, number, "json"), (json.dumps(told, indent=1) + "\n").encode())


def create(path: Path, facts: Mapping[str, Any]) -> Run:
    """The run at `path`, made where there is none; one that is there must be the same run.

    Raises
    ------
    TrainingError : the folder holds something else, or a run that differs.
    """
    facts = json.loads(json.dumps({"format": FORMAT, "format_version": FORMAT_VERSION, **facts}))
    if path.exists() and any(path.iterdir()):
        old = open_run(path)
        if unlike := _difference(facts, old.facts):
            raise TrainingError(f"{path} holds another run: {unlike}", "choose another --out, or delete that one")
        return old
    write_file(path / "run.json", (json.dumps(facts, indent=1) + "\n").encode())
    return Run(path, facts)


def open_run(path: str | Path) -> Run:
    """A run's folder.

    Raises
    ------
    TrainingError : there is none at `path`, or its format is newer.
    """
    path = Path(path)
    try:
        facts = json.loads((path / "run.json").read_bytes())
        if facts["format"] != FORMAT:
            raise KeyError
    except (OSError, ValueError, KeyError, TypeError):
        raise TrainingError(
            f"{path} is no training run", "mer-pipe train --head NAME --store STORE makes one"
        ) from None
    if facts["format_version"] > FORMAT_VERSION:
        raise TrainingError(f"{path} has run format {facts['format_version']}, newer than this mer-pipe", "upgrade it")
    return Run(path, facts)


def find_runs(paths: list[str] | list[Path]) -> list[Run]:
    """The runs at these folders; a folder that is no run itself stands for the runs in it (a grid), sorted by name."""
    found = []
    for path in map(Path, paths):
        inner = sorted(p.parent for p in path.rglob("run.json")) if not (path / "run.json").exists() else []
        found += [open_run(p) for p in inner] or [open_run(path)]
    return found


def confusions(run: Run, seed: int) -> tuple[np.ndarray, list[str], list[str]]:
    """Counts of one seed's predictions by subject.

    Returns
    -------
    ((subjects, classes, classes) int64: truth, prediction; the subjects; the folds that are missing).
    """
    clips = {clip["sample"]: clip for clip in run.facts["clips"]}
    subjects = sorted({clip["subject"] for clip in clips.values()})
    place = {name: i for i, name in enumerate(run.classes)}
    who = {name: i for i, name in enumerate(subjects)}
    counts = np.zeros((len(subjects), len(place), len(place)), np.int64)
    missing = []
    for number, fold in enumerate(run.folds):
        found = run.predictions(seed, number)
        if found is None:
            missing.append(fold.name)
            continue
        for sample, truth, said in zip(found.samples, found.truth, found.predicted, strict=True):
            counts[who[clips[sample]["subject"]], place[truth], place[said]] += 1
    return counts, subjects, missing


def _difference(new: Any, old: Any, path: str = "") -> str:
    """The first value in which two documents differ, as "settings.lr is 0.1 there and 0.2 here"; "" where none does."""
    if isinstance(new, dict) and isinstance(old, dict):
        for key in sorted({*new, *old}):
            if told := _difference(new.get(key), old.get(key), f"{path}.{key}" if path else key):
                return told
        return ""
    if new == old:
        return ""
    if isinstance(new, list) or isinstance(old, list):
        return f"its {path} differ"
    return f"{path} is {old} there and {new} here"
