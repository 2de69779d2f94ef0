"""Accuracy, UF1 and UAR of pooled predictions, with intervals by subject. NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

NAMES = ("acc", "uf1", "uar")


@dataclass(frozen=True)
class Metrics:
    """What a set of predictions is worth.

    Attributes
    ----------
    classes : names of the classes, in the order of all arrays below.
    confusion : (classes, classes) int64: rows are the truth, columns the prediction.
    acc : share of clips that are right.
    uf1 : unweighted (macro) F1: the mean of `f1` over the classes that occur in truth or prediction.
    uar : unweighted average recall: the mean of `recall` over the classes that occur in the truth.
    f1, recall, precision : (classes,) float64; NaN where a class gives no value (0 / 0).
    """

    classes: tuple[str, ...]
    confusion: np.ndarray
    acc: float
    uf1: float
    uar: float
    f1: np.ndarray
    recall: np.ndarray
    precision: np.ndarray

    def __len__(self) -> int:
        """Number of clips."""
        return int(self.confusion.sum())

    def as_json(self) -> dict[str, Any]:
        """Plain values; NaN becomes None."""
        per_class = {
            name: {
                "clips": int(self.confusion[i].sum()),
                "f1": _plain(self.f1[i]),
                "recall": _plain(self.recall[i]),
                "precision": _plain(self.precision[i]),
            }
            for i, name in enumerate(self.classes)
        }
        figures = {name: getattr(self, name) for name in NAMES}
        return {"clips": len(self), **figures, "per_class": per_class, "confusion": self.confusion.tolist()}


def metrics(truth: Sequence[Any], predicted: Sequence[Any], classes: Sequence[Any] | None = None) -> Metrics:
    """Compare predictions with the truth. Pool the predictions of all folds first: a mean over folds is another figure.

    Parameters
    ----------
    truth, predicted : (n,) class names or numbers, clip by clip. Mind the order: exchanged, UF1 stays what it is while
        UAR becomes macro precision (a published table has that mistake).
    classes : all classes of the task; None takes those that occur, sorted.

    Raises
    ------
    ValueError : the two differ in length, are empty, or hold a class that is not in `classes`.
    """
    truth, predicted = list(truth), list(predicted)
    if len(truth) != len(predicted) or not truth:
        raise ValueError(f"{len(truth)} true labels and {len(predicted)} predictions cannot be compared")
    names = sorted({*truth, *predicted}) if classes is None else list(classes)
    place = {name: i for i, name in enumerate(names)}
    if strange := {*truth, *predicted} - place.keys():
        raise ValueError(f"class {sorted(strange)[0]!r} is none of {names}")
    confusion = np.zeros((len(names), len(names)), np.int64)
    np.add.at(confusion, ([place[t] for t in truth], [place[p] for p in predicted]), 1)
    return from_confusion(confusion, tuple(str(name) for name in names))


def from_confusion(confusion: np.ndarray, classes: tuple[str, ...]) -> Metrics:
    """The metrics of a confusion matrix (classes, classes): rows are the truth."""
    hits, true, said = np.diag(confusion).astype(float), confusion.sum(1), confusion.sum(0)
    acc, uf1, uar = _figures(confusion[None])[0]
    return Metrics(
        classes, confusion, acc, uf1, uar, _share(2 * hits, true + said), _share(hits, true), _share(hits, said)
    )


def intervals(
    confusions: np.ndarray, draws: int = 2000, level: float = 0.95, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Bootstrap intervals of acc, uf1 and uar over subjects: clips of one person are not independent.

    Parameters
    ----------
    confusions : (seeds, subjects, classes, classes) counts of each subject's test clips. A resample takes the same
        subjects of every seed; its figure is the mean over seeds.
    draws : resamples of the subjects, with replacement.
    level : share of the resamples between the two ends (percentiles).
    seed : of the resampling.

    Returns
    -------
    name -> (low, high). With one subject both ends are the figure itself: there is nothing to resample.
    """
    count = confusions.shape[1]
    chosen = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws)
    drawn = np.mean([_figures(np.tensordot(chosen, one, axes=1)) for one in confusions], axis=0)
    ends = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return {name: (float(ends[0, i]), float(ends[1, i])) for i, name in enumerate(NAMES)}


def _figures(confusion: np.ndarray) -> np.ndarray:
    """(n, 3) acc, uf1, uar of (n, classes, classes) counts."""
    hits = np.diagonal(confusion, axis1=1, axis2=2).astype(float)
    true, said = confusion.sum(2), confusion.sum(1)
    acc = hits.sum(1) / confusion.sum((1, 2))
    return np.stack([acc, np.nanmean(_share(2 * hits, true + said), 1), np.nanmean(_share(hits, true), 1)], 1)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=np.asarray(whole) > 0)


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
