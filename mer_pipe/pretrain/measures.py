"""Accuracy, F1 and confusion of predicted classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from mer_pipe.pretrain.votes import EMOTIONS


def measure(truth: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    """Measure a prediction against the truth.

    Parameters
    ----------
    truth, predicted : (n,) whole numbers, positions in `votes.EMOTIONS`; n >= 1.

    Returns
    -------
    dict of plain numbers:
        "images", "accuracy",
        "macro_f1"  mean F1 of the classes that occur in the truth or in the prediction,
        "classes"   emotion -> "images", "precision", "recall", "f1"; None for one that has no images to tell it by,
        "confusion" 8 rows of truth by 8 columns of prediction.
    """
    size = len(EMOTIONS)
    confusion = np.bincount(size * np.asarray(truth) + np.asarray(predicted), minlength=size * size).reshape(size, size)
    hits, true, told = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    classes = {
        name: {
            "images": int(true[i]),
            "precision": float(hits[i] / told[i]) if told[i] else None,
            "recall": float(hits[i] / true[i]) if true[i] else None,
            "f1": float(2 * hits[i] / (true[i] + told[i])) if true[i] + told[i] else None,
        }
        for i, name in enumerate(EMOTIONS)
    }
    scores = [one["f1"] for one in classes.values() if one["f1"] is not None]
    return {
        "images": int(confusion.sum()),
        "accuracy": float(hits.sum() / confusion.sum()),
        "macro_f1": float(np.mean(scores)),
        "classes": classes,
        "confusion": confusion.tolist(),
    }
