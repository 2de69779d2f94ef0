"""The thumbnail of a clip: its cells in a row, on scales that all clips share."""

from __future__ import annotations

import numpy as np

from mer_pipe.report import pictures
from mer_pipe.report.page.data import ClipArrays, Source
from mer_pipe.report.page.media import Look, cells, fitted

CELL = 112
"""Side of one cell in px."""


def thumbnail(source: Source, arrays: ClipArrays, look: Look) -> tuple[np.ndarray, tuple[tuple[str, bool], ...]]:
    """The cells of a clip side by side, (CELL, n x CELL, 3) uint8, and for each its name and whether it is a hole."""
    found: list[tuple[str, np.ndarray | None, tuple[str, ...]]] = []
    scales = source.scales
    if not look.shareable:
        for mark in ("onset", "apex"):
            frame = arrays.mark(mark)
            found.append((mark, None if frame is None else pictures.image_picture(frame), ("crop/image",)))
    moving = (("flow", arrays.flow(), pictures.flow_picture), ("strain", arrays.strain(), pictures.strain_picture))
    for name, moved, draw in moving:
        field = None if moved is None else cells(moved) if look.shareable else moved
        own = ("flow_onset/flow",) if name == "flow" else ("strain/strain",)
        found.append((name, None if field is None else draw(field, scales[name]), (*own, "motion/motion")))
    if not look.shareable:
        image = arrays.get("dynamic", "image")
        drawn = None if image is None else pictures.signed_picture(image, scales["dynamic"])
        found.append(("dynamic", drawn, ("dynamic/image",)))
    shown = []
    for name, picture, paths in found:
        damaged = picture is None and any(path in arrays.holes for path in paths)
        if picture is not None:
            shown.append((name, fitted(picture, CELL, exact=True), False))
        elif damaged:
            shown.append((name, _hatch(), True))
    if not shown:
        return np.full((CELL, CELL, 3), 128, np.uint8), ()
    strip = np.concatenate([picture for _, picture, _ in shown], axis=1)
    return strip, tuple((f"{name}: hole" if damaged else name, damaged) for name, _, damaged in shown)


def _hatch() -> np.ndarray:
    """What stands in a thumbnail for a picture that cannot be read."""
    y, x = np.mgrid[:CELL, :CELL]
    return np.where(((x + y) // 8 % 2)[..., None], np.uint8([176, 60, 50]), np.uint8([70, 70, 74])).astype(np.uint8)
