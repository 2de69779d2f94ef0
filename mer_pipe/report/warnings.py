"""What a person should look at before training: clips whose motion magnification cannot serve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MOST = 12.0
"""px of head motion in the magnified image, or of any motion before it: beyond, every magnifier tears the face."""
LEAST = 0.05
"""px. Below it, what moves is noise: is the apex the onset?"""
CLIPPED = 0.1
"""Share of the face that may be black or white in every channel; clips of real faces have up to 0.02."""
FLAT = 1.0
"""Grey levels of contrast: a frame with less shows nothing that could move."""


@dataclass(frozen=True)
class ClipWarning:
    """One clip to look at: its id ("" for the whole store), and what was measured."""

    sample: str
    text: str

    def __str__(self) -> str:
        return f"{self.sample}: {self.text}" if self.sample else self.text


def clip_warnings(root: Any, recipe: Mapping[str, Any]) -> tuple[ClipWarning, ...]:
    """Judge what the ``travel`` stage measured.

    Parameters
    ----------
    root : the store's root as a Zarr group.
    recipe : the store's recipe, plain values.

    Returns
    -------
    In the order of the clips, what concerns them all last; empty for a store without the stage. Measures that cannot be
    read are themselves a warning.
    """
    if "travel/distance" not in root:
        return ()
    try:
        measured = _measured(root)
        samples = root["sample"][...].tolist()
    except Exception as error:  # a damaged array is a named hole; the rest of the store may be whole
        return (ClipWarning("", f"travel cannot be read: {' '.join(str(error).split())}"),)
    afs = [1.0, *(a for _, group in root.groups() if "af" in group for a in group["af"][...].tolist())]
    if "gray" in root:
        afs.append(float(recipe.get("ruan", {}).get("af", 1)))
    most = max(afs)
    registered = recipe.get("register", {}).get("method", "none") != "none"
    found = [
        ClipWarning(sample, text)
        for sample, one in zip(samples, measured, strict=True)
        for text in _judged(one, most, registered)
    ]
    fast = sum(one["distance"][1] * most > MOST for one in measured)
    if most > 1 and fast:
        told = f"{fast} of {len(samples)} clips move over {MOST:g} px at AF {most:g} (the fastest 5 % of their pixels)"
        found.append(ClipWarning("", f"{told}: magnified images may be torn there"))
    return tuple(found)


def head_told(root: Any) -> str:
    """How far heads move from onset to apex, a sentence of medians; "" for a store that does not tell."""
    if "travel/head" not in root:
        return ""
    import numpy as np

    def median(array: np.ndarray) -> str:
        return f"{np.median(array[..., 0]):.2f} px (at most {array[..., 0].max():.2f})"

    try:
        left = median(root["travel/head"][...])
        if "register/head" not in root:
            return f"{left} from onset to apex; median of the clips"
        marks = root["register/mark"][...].tolist()
        return f"{left} left from onset to apex, {median(root['register/head'][:, marks.index('apex')])} taken out"
    except Exception:  # clip_warnings names what cannot be read
        return ""


def _measured(root: Any) -> list[dict[str, Any]]:
    """The measures of each clip, plain values by name; stores of before have the distance alone."""
    names = [n for n in ("distance", "head", "change", "clipped", "contrast") if f"travel/{n}" in root]
    columns = [root[f"travel/{name}"][...].tolist() for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _judged(one: Mapping[str, Any], af: float, registered: bool) -> Iterator[str]:
    middle, most = one["distance"]
    head = one["head"][0] if "head" in one else middle
    if one.get("change") == 0:
        yield "onset and apex are the same picture: is the apex the onset?"
    elif most > MOST:
        yield f"moves {most:.1f} px from onset to apex: no micro-motion; are the marks right?"
    elif head * af > MOST:
        advice = "" if registered or "head" not in one else "; register.method=similarity follows it"
        yield f"the head moves {head:.1f} px, {head * af:.0f} px at AF {af:g}: magnified images may be torn{advice}"
    elif most < LEAST:
        yield f"moves {most:.2f} px from onset to apex: is the apex the onset?"
    shares, spreads = one.get("clipped", (0, 0)), one.get("contrast", (FLAT, FLAT))
    for mark, share, spread in zip(("onset", "apex"), shares, spreads, strict=True):
        if spread < FLAT:
            yield f"the {mark} frame has a contrast of {spread:.1f} grey levels: nothing can be seen in it"
        elif share > CLIPPED:
            yield f"{100 * share:.0f} % of the face are black or white in the {mark} frame: no motion shows there"
