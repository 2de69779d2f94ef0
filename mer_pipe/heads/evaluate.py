"""From the predictions of runs to a table: pooled metrics, seeds, intervals by subject, the papers' figures beside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mer_pipe.heads.metrics import NAMES, Metrics, from_confusion, intervals
from mer_pipe.heads.printed import Printed, printed
from mer_pipe.heads.runs import Run, confusions
from mer_pipe.types import TrainingError


@dataclass(frozen=True)
class Figure:
    """One metric of a run.

    Attributes
    ----------
    mean, spread : over seeds; the spread is the sample standard deviation, None with one seed.
    low, high : 95 % bootstrap interval of the mean, over subjects.
    """

    mean: float
    spread: float | None
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """What one run is worth on one database.

    Attributes
    ----------
    run : name of its folder.
    head, title, protocol : of the run.
    database : "all" for the pooled clips of several.
    clips, subjects, classes : counts.
    seeds : the complete ones.
    settings : what differs from the table's other runs of the same head, by dotted name.
    acc, uf1, uar : the figures.
    majority : accuracy, UF1 and UAR of always saying the most frequent class.
    theirs : the paper's own row, or None.
    cautions : to be said beside the figures.
    per_seed : the metrics of each seed.
    """

    run: str
    head: str
    title: str
    protocol: str
    database: str
    clips: int
    subjects: int
    classes: int
    seeds: tuple[int, ...]
    settings: dict[str, Any]
    acc: Figure
    uf1: Figure
    uar: Figure
    majority: tuple[float, float, float]
    theirs: Printed | None
    cautions: tuple[str, ...]
    per_seed: tuple[Metrics, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        told = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("theirs", "per_seed")}
        told |= {name: vars(getattr(self, name)) for name in NAMES}
        told["seeds"], told["cautions"] = list(self.seeds), list(self.cautions)
        told["majority"] = dict(zip(NAMES, self.majority, strict=True))
        told["paper"] = vars(self.theirs) if self.theirs else None
        told["per_seed"] = [m.as_json() for m in self.per_seed]
        return told


def table(runs: list[Run]) -> list[Row]:
    """One row for each run and database; "all" first where there are several.

    Raises
    ------
    TrainingError : a run has no complete seed, or holds a damaged file.
    """
    told = [flat(run.facts["settings"]) | _circumstances(run) for run in runs]
    heads = [run.facts["head"] for run in runs]
    # Two heads differ in nearly every setting; what a reader looks for is how the runs of one head differ.
    unlike = [_unlike(own, [other for other, name in zip(told, heads, strict=True) if name == head])
              for own, head in zip(told, heads, strict=True)]  # fmt: skip
    return [row for run, settings in zip(runs, unlike, strict=True) for row in _rows(run, settings)]


def confusion(run: Run) -> np.ndarray:
    """The counts of a run, summed over its complete seeds and all subjects: (classes, classes), rows are the truth."""
    return np.sum([counts.sum(0) for _, counts in _complete(run)], axis=0)


def _rows(run: Run, settings: dict[str, Any]) -> list[Row]:
    seeds, counts = zip(*_complete(run), strict=True)
    stack = np.stack(counts)  # (seeds, subjects, classes, classes)
    owner = {clip["subject"]: clip["database"] for clip in run.facts["clips"]}
    owners = [owner[subject] for subject in sorted(owner)]
    databases = sorted(set(owners))
    chosen = ["all", *databases] if len(databases) > 1 else databases
    rows = []
    for database in chosen:
        inside = [database in ("all", name) for name in owners]
        part = stack[:, inside]
        per_seed = tuple(from_confusion(one.sum(0), run.classes) for one in part)
        spans = intervals(part)
        figures = {name: _figure([getattr(m, name) for m in per_seed], spans[name]) for name in NAMES}
        protocol, head = run.facts["protocol"], run.facts["head"]
        rows.append(
            Row(
                run.path.name,
                head,
                run.facts["title"],
                protocol,
                database,
                len(per_seed[0]),
                sum(inside),
                int((per_seed[0].confusion.sum(1) > 0).sum()),
                seeds,
                settings,
                **figures,
                majority=majority(per_seed[0]),
                theirs=printed(head, database, len(run.classes), protocol),
                cautions=run.cautions,
                per_seed=per_seed,
            )
        )
    return rows


def _complete(run: Run) -> list[tuple[int, np.ndarray]]:
    found, missing = [], []
    for seed in run.seeds():
        counts, _, lacking = confusions(run, seed)
        if lacking:
            missing.append(f"seed {seed} lacks {len(lacking)} of {len(run.folds)} folds, {lacking[0]} first")
        else:
            found.append((seed, counts))
    if not found:
        told = missing[0] if missing else "no fold is trained yet"
        raise TrainingError(f"{run.path} is not complete: {told}", "run the same mer-pipe train again: it goes on")
    return found


def majority(found: Metrics) -> tuple[float, float, float]:
    """Accuracy, UF1 and UAR of always saying the most frequent class of the truth."""
    counts = np.zeros_like(found.confusion)
    counts[:, found.confusion.sum(1).argmax()] = found.confusion.sum(1)
    always = from_confusion(counts, found.classes)
    return always.acc, always.uf1, always.uar


def _figure(values: list[float], span: tuple[float, float]) -> Figure:
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Figure(float(np.mean(values)), spread, *span)


def flat(settings: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Nested settings by dotted name."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{path}.{key}" if path else key
        found |= flat(value, name) if isinstance(value, dict) else {name: value}
    return found


def _circumstances(run: Run) -> dict[str, Any]:
    return {"store": run.facts["store"]["contents"][:12], "shuffled labels": run.facts["shuffled_labels"]}


def _unlike(own: dict[str, Any], others: list[dict[str, Any]]) -> dict[str, Any]:
    """The values of a document that not all of the others share."""
    return {key: value for key, value in own.items() if any(other.get(key, value) != value for other in others)}
