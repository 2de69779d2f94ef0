"""How much moves in each clip, and which clips stand out: every rule is a number with a sentence beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

STILL = 0.15
"""px of a 224 px square: the 95th percentile of a clip in which nothing moves stays below this."""
HUGE = 4.0
"""px of a 224 px square: more than a micro-expression moves the face; heads do."""
SHIFT = 1.0
"""px of a 224 px square that the whole face moves (median of the flow) before it counts as a head movement."""
UNLIKE = 4.0
"""Times more or less motion than the median clip."""
ENOUGH = 8
"""Clips below which no median is trusted."""
TEAR = 12.0
"""px: where AF times motion exceeds this, magnifiers begin to tear (AF x 95th percentile of the flow)."""


@dataclass(frozen=True)
class Measures:
    """What is measured of one clip between onset and apex.

    Attributes
    ----------
    mean, high : mean and 95th percentile of the motion, in `unit`; None where nothing could be measured.
    shift : length of the median flow vector in px; None without a flow.
    unit : "px" (flow), or "grey levels" where the store holds no flow from onset to apex.
    same : whether onset and apex have the same pixels; None where they could not be read.
    side : side of the square in px.
    """

    mean: float | None = None
    high: float | None = None
    shift: float | None = None
    unit: str = "px"
    same: bool | None = None
    side: int = 224


@dataclass(frozen=True)
class Flag:
    """Something to look at in a clip: a word for filters, and a sentence with the numbers."""

    word: str
    why: str


RULES = {
    "no motion": f"95 % of the face moves less than {STILL:g} px (of 224) from onset to apex, or both are one picture",
    "huge motion": f"5 % of the face or more moves over {HUGE:g} px (of 224): misaligned, or wrong frames?",
    "head moves": f"the median of the flow, what the face moves as a whole, is over {SHIFT:g} px (of 224)",
    "unlike the rest": f"the mean motion is over {UNLIKE:g} times, or under 1/{UNLIKE:g} of, the median clip's",
    "apex at the end": "the apex is the onset or the offset frame",
    "warned": "build and inspect warn of it: by what was measured before, it moves too far, not at all, or unseen",
    "repaired": "the annotation was corrected or guessed: see the clip's page",
    "hole": "a part of the clip cannot be read: the store is damaged there",
    "changed": "the clip differs from the store compared with",
}


def measure(flow: np.ndarray | None, crops: np.ndarray | None, marks: Sequence[str]) -> Measures:
    """Measure one clip.

    Parameters
    ----------
    flow : (y, x, 2) px from onset to apex; None where there is none.
    crops : (mark, y, x, 3) uint8; None where there are none.
    marks : what the first axis of `crops` holds.
    """
    pair = None
    if crops is not None and "onset" in marks and "apex" in marks:
        pair = [crops[list(marks).index(mark)] for mark in ("onset", "apex")]
    same = None if pair is None else bool((pair[0] == pair[1]).all())
    if flow is not None:
        vectors = flow.reshape(-1, 2).astype(np.float64)
        vectors = vectors[np.isfinite(vectors).all(1)]
        if len(vectors):
            length = np.hypot(*vectors.T)
            shift = float(np.hypot(*np.median(vectors, axis=0)))
            return Measures(
                float(length.mean()), float(np.percentile(length, 95)), shift, "px", same, int(flow.shape[0])
            )
    if pair is not None:
        change = np.abs(pair[1].astype(np.float64) - pair[0]).mean(-1)
        high = float(np.percentile(change, 95))
        return Measures(float(change.mean()), high, None, "grey levels", same, int(change.shape[0]))
    return Measures(same=same)


def flags(clips: Sequence[Mapping[str, Any]], measures: Sequence[Measures]) -> list[list[Flag]]:
    """What stands out in each clip, by `RULES`; `clips` are coordinates by name."""
    found = []
    medians = {}
    for unit in {m.unit for m in measures}:
        known = [m.mean for m in measures if m.mean is not None and m.unit == unit]
        medians[unit] = float(np.median(known)) if len(known) >= ENOUGH else 0.0
    for told, m in zip(clips, measures, strict=True):
        found.append([*_motion(m), *_unlike(m, medians.get(m.unit, 0.0)), *_annotation(told)])
    return found


def tearing_from(af: Sequence[float], measures: Measures) -> float | None:
    """The first AF at which motion exceeds `TEAR` px; None where none does."""
    if measures.unit != "px" or measures.high is None:
        return None
    return next((a for a in sorted(af) if a * measures.high > TEAR), None)


def _motion(m: Measures) -> list[Flag]:
    if m.same:
        return [Flag("no motion", "onset and apex have the same pixels")]
    if m.unit != "px" or m.high is None or m.shift is None:
        return []
    per, flags = m.side / 224, []
    if m.high < STILL * per:
        flags.append(Flag("no motion", f"95 % of the face moves less than {m.high:.2g} px"))
    if m.high > HUGE * per:
        flags.append(Flag("huge motion", f"5 % of the face moves over {m.high:.3g} px"))
    if m.shift > SHIFT * per:
        flags.append(Flag("head moves", f"the whole face moves {m.shift:.2g} px"))
    return flags


def _unlike(m: Measures, median: float) -> list[Flag]:
    if m.mean is None or not median or median / UNLIKE <= m.mean <= median * UNLIKE:
        return []
    return [Flag("unlike the rest", f"mean motion {m.mean:.2g} {m.unit}, the median clip has {median:.2g}")]


def _annotation(told: Mapping[str, Any]) -> list[Flag]:
    flags = []
    if told.get("apex") is not None and told["apex"] in (told.get("onset"), told.get("offset")):
        where = "onset" if told["apex"] == told.get("onset") else "offset"
        flags.append(Flag("apex at the end", f"the apex is the {where}, frame {told['apex']}"))
    if told.get("repairs"):
        flags.append(Flag("repaired", str(told["repairs"])))
    return flags
