"""Which class each clip is exported under, and which clips are in none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mer_pipe.datasets.classes import CLASS_SETS
from mer_pipe.export.clips import Clip
from mer_pipe.export.settings import THREE, ExportError

SHEET_OF = {"demo": "casme2"}
"""Databases whose sheet is another one's."""


@dataclass(frozen=True)
class LeftOut:
    """A clip of the store that is not exported, and why."""

    sample: str
    reason: str


@dataclass(frozen=True)
class Classes:
    """The classes of an export.

    Attributes
    ----------
    names : of the classes; their places are their indices.
    index : row of the store -> class index, for the clips that are exported.
    left_out : the other clips, in the store's order.
    rule : how a class was found, in words.
    """

    names: tuple[str, ...]
    index: Mapping[int, int]
    left_out: tuple[LeftOut, ...]
    rule: str


def choose(clips: Sequence[Clip], asked: str = "store") -> Classes:
    """Give every clip a class, or a reason why it has none.

    Parameters
    ----------
    asked : "store": the store's labels; their indices are alphabetical, or 0, 1, 2 for negative, positive and surprise
        even where one of the three is absent. "3": a label that is one of the three stays; of another clip the emotion
        is mapped by its database's set of three classes (`mer_pipe.datasets.classes`).

    Raises
    ------
    ExportError : no clip has a class, or a database has no set of three classes.
    """
    if asked == "3":
        found = {clip.row: _one_of_three(clip) for clip in clips}
        rule = "the store's label where it is one of the three, else the emotion by the database's set of three classes"
    else:
        found = {clip.row: (clip.told["label"], "has no label") for clip in clips}
        rule = "the store's labels"
    labels = {row: label for row, (label, _) in found.items() if label}
    if not labels:
        raise ExportError("no clip of the store has a class", "label the clips in their sheet, and build again")
    names = THREE if set(labels.values()) <= set(THREE) else tuple(sorted(set(labels.values())))
    left_out = tuple(LeftOut(clip.id, found[clip.row][1]) for clip in clips if clip.row not in labels)
    return Classes(names, {row: names.index(label) for row, label in labels.items()}, left_out, rule)


def _one_of_three(clip: Clip) -> tuple[str, str]:
    """The class, or "" and why there is none."""
    label, emotion, database = clip.told["label"], clip.told["emotion"], clip.told["database"]
    if label in THREE:
        return label, ""
    if not emotion:
        return "", "has no emotion"
    sets = CLASS_SETS.get(SHEET_OF.get(database, database), {})
    if "3" not in sets:
        known = ", ".join(sorted(name for name, own in CLASS_SETS.items() if "3" in own))
        raise ExportError(
            f"{database} has no set of three classes ({known} have): {clip.id} is {emotion!r}",
            "leave --classes out, or label its clips negative, positive or surprise and build again",
        )
    return sets["3"].get(emotion.strip().lower(), ""), f"emotion {emotion!r} is in none of the three classes"
