"""Pictures of training runs: confusion matrices, and what heads show of themselves. No face is in any of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mer_pipe.report.pictures import heat_picture
from mer_pipe.report.strips import INK, PAPER, SOFT, strip, wrapped

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

CELL = 96


def confusion_picture(counts: np.ndarray, classes: Sequence[str], title: str) -> np.ndarray:
    """A confusion matrix, each row in shares of its class: (y, x, 3) uint8.

    Parameters
    ----------
    counts : (classes, classes): rows are the truth, columns what was said.
    title : above; a newline begins a new line.
    """
    from PIL import Image, ImageDraw, ImageFont

    font, small = ImageFont.load_default(17), ImageFont.load_default(14)
    left = 30 + round(max(font.getlength(name) for name in classes))
    wide = left + CELL * len(classes) + 20
    head = wrapped(title, font, wide - 40)
    top = 24 + 24 * len(head) + 52
    sheet = Image.new("RGB", (wide, top + CELL * len(classes) + 20), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(head):
        draw.text((20, 16 + 24 * number), line, SOFT if number else INK, font)
    draw.text((left, top - 52), "predicted", SOFT, small)
    draw.text((20, top - 24), "truth", SOFT, small)
    for i, name in enumerate(classes):
        middle = CELL * i + CELL / 2
        draw.text((left + middle, top - 8), _fits(name, small, CELL - 6), INK, small, anchor="ms")
        draw.text((left - 10, top + middle), name, INK, font, anchor="rm")
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    colours = heat_picture(1 - shares, 1.0)
    for i in range(len(classes)):
        for j in range(len(classes)):
            corner = left + CELL * j, top + CELL * i
            colour = tuple(int(c) for c in colours[i, j])
            draw.rectangle((*corner, corner[0] + CELL - 3, corner[1] + CELL - 3), fill=colour)
            ink = INK if np.dot(colour, (0.299, 0.587, 0.114)) > 140 else PAPER
            at = corner[0] + CELL / 2 - 1, corner[1] + CELL / 2
            draw.text((at[0], at[1] - 8), f"{100 * shares[i, j]:.0f} %", ink, font, anchor="mm")
            draw.text((at[0], at[1] + 14), f"{counts[i, j]}", ink, small, anchor="mm")
    return np.asarray(sheet).copy()


def view_pictures(views: Mapping[str, np.ndarray], title: str) -> dict[str, np.ndarray]:
    """What a head shows, averaged over its test clips, as pictures by name.

    Parameters
    ----------
    views : (clips, ...) by "name[axes]"; the last two axes are drawn, what is before them makes panels. An axis alone is
        drawn as one row.
    """
    drawn = {}
    for key, values in views.items():
        name, axes = re.fullmatch(r"([^\[]+)\[(.*)\]", key).groups()  # type: ignore[union-attr]
        axes = axes.split(",")
        mean = values.mean(0, dtype=np.float64)
        if mean.ndim == 1:
            mean, axes = mean[None], ["", *axes]
        panels = mean.reshape(-1, *mean.shape[-2:])
        leading = list(np.ndindex(*mean.shape[:-2]))
        captions = [", ".join(f"{axis} {i + 1}" for axis, i in zip(axes, at, strict=False)) or " " for at in leading]
        top = float(panels.max())
        note = f"mean over {len(values)} test clips; rows: {axes[-2] or name}, columns: {axes[-1]}; light yellow is {top:.3g}"
        pictures = [heat_picture(panel, top or 1.0) for panel in panels]
        drawn[name] = strip(
            pictures, captions, f"{title}\n{name}: {note}", columns=mean.shape[-3] if mean.ndim > 2 else None
        )
    return drawn


def _fits(name: str, font: FreeTypeFont, width: float) -> str:
    if font.getlength(name) <= width:
        return name
    while name and font.getlength(f"{name}…") > width:
        name = name[:-1]
    return f"{name}…"
