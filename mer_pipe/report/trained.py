"""Pictures of training runs: confusion matrices, and what heads show of themselves. No face is in any of them."""

from __future__ import annotations

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


def view_pictures(
    views: Mapping[str, np.ndarray], title: str, axes: Mapping[str, Sequence[float | str]], labels: Sequence[str]
) -> dict[str, np.ndarray]:
    """What a head shows, averaged over its test clips, as pictures by name.

    Parameters
    ----------
    views : (clips, ...) by "name[axes]". One axis becomes bars; two become a map for each class; of more, the last two
        are drawn and those before make panels.
    title : above; a newline begins a new line.
    axes : what the places along an axis are called, by its name; where there is nothing, or another number of places,
        they are counted from 1.
    labels : (clips,) true class of each clip.
    """
    drawn = {}
    for key, values in views.items():
        name, _, rest = key.partition("[")
        dims = rest.rstrip("]").split(",")
        mean = values.mean(0, dtype=np.float64)
        called = {dim: _called(dim, size, axes) for dim, size in zip(dims, mean.shape, strict=True)}
        about = f"{title}\n{name}: mean over {len(values)} test clips"
        if mean.ndim == 1:
            drawn[name] = _bars(mean, called[dims[0]], f"{about}, by {dims[0]}")
            continue
        columns = None
        if mean.ndim == 2:
            classes = sorted(set(labels))
            panels = np.stack([mean, *(values[np.array(labels) == name].mean(0, dtype=np.float64) for name in classes)])
            captions = ["all", *classes]
        else:
            panels, columns = mean.reshape(-1, *mean.shape[-2:]), mean.shape[-3]
            captions = [
                ", ".join(f"{dim} {called[dim][i]}" for dim, i in zip(dims, at, strict=False))
                for at in np.ndindex(*mean.shape[:-2])
            ]
        top = float(panels.max()) or 1.0
        note = f"{about}; rows: {dims[-2]}, columns: {dims[-1]}; light yellow is {top:.3g}"
        drawn[name] = strip([heat_picture(panel, top) for panel in panels], captions, note, columns)
    return drawn


def _called(dim: str, size: int, axes: Mapping[str, Sequence[float | str]]) -> list[str]:
    known = axes.get(dim, ())
    if len(known) != size:
        return [str(i + 1) for i in range(size)]
    return [value if isinstance(value, str) else f"{value:g}" for value in known]


def _bars(values: np.ndarray, names: Sequence[str], title: str) -> np.ndarray:
    from PIL import Image, ImageDraw, ImageFont

    font, small = ImageFont.load_default(17), ImageFont.load_default(14)
    step = max(58, round(max(small.getlength(name) for name in names)) + 12)
    wide = max(480, 40 + step * len(values))
    head = wrapped(title, font, wide - 40)
    top = 24 + 24 * len(head) + 30
    high = 180
    sheet = Image.new("RGB", (wide, top + high + 44), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(head):
        draw.text((20, 16 + 24 * number), line, SOFT if number else INK, font)
    most = max(float(values.max()), 1e-12)
    for i, (value, name) in enumerate(zip(values, names, strict=True)):
        left, tall = 20 + step * i, round(high * max(float(value), 0) / most)
        draw.rectangle((left + 4, top + high - tall, left + step - 5, top + high), fill=(121, 7, 84))
        draw.text((left + step / 2, top + high - tall - 6), f"{value:.3g}", INK, small, anchor="ms")
        draw.text((left + step / 2, top + high + 10), name, INK, small, anchor="mt")
    return np.asarray(sheet).copy()


def _fits(name: str, font: FreeTypeFont, width: float) -> str:
    if font.getlength(name) <= width:
        return name
    while name and font.getlength(f"{name}…") > width:
        name = name[:-1]
    return f"{name}…"
