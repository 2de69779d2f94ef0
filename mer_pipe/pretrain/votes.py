"""From FER+ votes to what a network is trained on.

Barsoum, Zhang, Canton Ferrer, Zhang: Training deep networks for facial expression recognition with crowd-sourced label
distribution, ICMI 2016; where the paper is silent, as its released code decides.
"""

from __future__ import annotations

import numpy as np

from mer_pipe.pretrain.settings import MODES
from mer_pipe.types import RecipeError

EMOTIONS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
VOTES = (*EMOTIONS, "unknown", "NF")
"""The columns of votes, in the order of the distributed sheet."""

NO_FACE = "most annotators saw no face"
UNKNOWN = "most annotators knew no emotion"
DISAGREED = "the annotators disagreed"


def targets(votes: np.ndarray, mode: str) -> tuple[np.ndarray, list[str]]:
    """Return the label distributions of images, and why an image has none.

    In every mode a single vote is an outlier and is taken away first. Then

    "majority"      the emotion with more than half of the votes that are left, alone.
    "crossentropy"  the most voted emotions, ties together, until they hold three quarters of the votes or are three;
                    they must be three at most and hold more than half. "unknown" and "NF" end the row, and are dropped
                    where an emotion came before them.
    "probability"   as "crossentropy"; one label is drawn from the distribution each epoch (see `drawn`).
    "multi_target"  every emotion with 30 % of the votes or more; together they must hold more than half. See `network.loss`.

    Parameters
    ----------
    votes : (n, 10) whole numbers in the order of `VOTES`.
    mode : a name of `settings.MODES`.

    Returns
    -------
    distributions : (n, 8) float32 in the order of `EMOTIONS`; each row sums to 1, or is 0 where the image is left out.
    reasons : n strings: "" for an image that is used, else `NO_FACE`, `UNKNOWN` or `DISAGREED`.

    Raises
    ------
    RecipeError : an unknown mode.
    """
    if mode not in MODES:
        raise RecipeError(f"there is no mode {mode!r}", f"choose one of {', '.join(MODES)}")
    distinct, place = np.unique(votes, axis=0, return_inverse=True)
    told = [_row(tuple(int(v) for v in row), mode) for row in distinct]
    shares = np.array([share for share, _ in told], np.float32).reshape(-1, len(EMOTIONS))
    place = place.reshape(-1)
    return shares[place], [told[i][1] for i in place.tolist()]


def drawn(distributions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One label of each distribution, as a distribution of its own: (n, 8) float32 of zeros and a one."""
    ends = np.cumsum(distributions.astype(np.float64), axis=1)
    label = (rng.random((len(ends), 1)) * ends[:, -1:] >= ends).sum(1)
    return np.eye(len(EMOTIONS), dtype=np.float32)[label]


def _row(votes: tuple[int, ...], mode: str) -> tuple[list[float], str]:
    votes = tuple(v if v > 1 else 0 for v in votes)
    taken = {"majority": _majority, "multi_target": _multi_target}.get(mode, _leading)(votes)
    nothing = [0.0] * len(EMOTIONS)
    if not taken:
        return nothing, DISAGREED
    first = max(taken, key=lambda i: (votes[i], -i))
    if first >= len(EMOTIONS):
        return nothing, NO_FACE if VOTES[first] == "NF" else UNKNOWN
    emotions = [votes[i] if i in taken else 0 for i in range(len(EMOTIONS))]
    return [v / sum(emotions) for v in emotions], ""


def _majority(votes: tuple[int, ...]) -> set[int]:
    return {i for i, v in enumerate(votes) if 2 * v > sum(votes)}


def _multi_target(votes: tuple[int, ...]) -> set[int]:
    taken = {i for i, v in enumerate(votes) if v and 10 * v >= 3 * sum(votes)}
    return taken if 2 * sum(votes[i] for i in taken) > sum(votes) else set()


def _leading(votes: tuple[int, ...]) -> set[int]:
    whole, taken, held = sum(votes), set(), 0
    for level in sorted({v for v in votes if v}, reverse=True):
        if 4 * held >= 3 * whole or len(taken) >= 3:
            break
        emotions = {i for i, v in enumerate(votes[: len(EMOTIONS)]) if v == level}
        taken |= emotions
        held += level * len(emotions)
        others = [i for i in range(len(EMOTIONS), len(votes)) if votes[i] == level]
        if others:
            taken = taken or {others[0]}
            break
    return taken if len(taken) <= 3 and 2 * sum(votes[i] for i in taken) > whole else set()
