"""What a person should look at before training: clips whose motion magnification cannot serve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOST = 12.0
"""px of head motion in the magnified image, or of any motion before it: beyond, every magnifier tears the face."""
LEAST = 0.05
"""px. Below it, what moves is noise: is the apex the onset?"""


@dataclass(frozen=True)
class ClipWarning:
    """One clip to look at: its id, and what was measured."""

    sample: str
    text: str


def clip_warnings(root: Any, recipe: Mapping[str, Any]) -> tuple[ClipWarning, ...]:
    """Judge the distances that the ``travel`` stage measured.

    Parameters
    ----------
    root : the store's root as a Zarr group.
    recipe : the store's recipe, plain values.

    Returns
    -------
    In the order of the clips; empty for a store without the stage. A distance that cannot be read is itself a warning.
    """
    if "travel/distance" not in root:
        return ()
    try:
        distances = root["travel/distance"][...].tolist()
        samples = root["sample"][...].tolist()
    except Exception as error:  # a damaged array is a named hole; the rest of the store may be whole
        return (ClipWarning("", f"travel/distance cannot be read: {' '.join(str(error).split())}"),)
    afs = [1.0, *(a for _, group in root.groups() if "af" in group for a in group["af"][...].tolist())]
    if "gray" in root:
        afs.append(float(recipe.get("ruan", {}).get("af", 1)))
    return tuple(
        ClipWarning(sample, text)
        for sample, (middle, most) in zip(samples, distances, strict=True)
        if (text := _judged(middle, most, max(afs)))
    )


def _judged(middle: float, most: float, af: float) -> str:
    if most > MOST:
        return f"moves {most:.1f} px from onset to apex: no micro-motion; are the marks right?"
    if middle * af > MOST:
        return f"the head moves {middle:.1f} px, {middle * af:.0f} px at AF {af:g}: magnified images may be torn"
    if most < LEAST:
        return f"moves {most:.2f} px from onset to apex: is the apex the onset?"
    return ""
