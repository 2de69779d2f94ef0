"""Labelled strips of pictures, and PNG files that are whole or absent."""

from __future__ import annotations

import io
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFont import FreeTypeFont

PANEL = 112
"""Panels smaller than this are enlarged by a whole factor, so that the cells of a 14 x 14 map stay visible."""
MOST_COLUMNS = 8
PAPER, INK, SOFT = (255, 255, 255), (23, 23, 23), (64, 64, 64)


@dataclass(frozen=True)
class Panels:
    """Pictures that belong together, before they are laid out for a file or a terminal.

    Attributes
    ----------
    pictures : (y, x, 3) uint8 each.
    captions : one a picture.
    title : what they are about, one line.
    note : how they are to be read; "" where nothing is to be said.
    columns : pictures a row; None where their number may decide.
    """

    pictures: tuple[np.ndarray, ...]
    captions: tuple[str, ...]
    title: str
    note: str = ""
    columns: int | None = None

    def strip(self, scale: float = 1) -> np.ndarray:
        """All of them as one picture, see `strip`."""
        return strip(self.pictures, self.captions, f"{self.title}\n{self.note}", self.columns, scale)


def strip(
    pictures: Sequence[np.ndarray],
    captions: Sequence[str],
    title: str,
    columns: int | None = None,
    scale: float = 1,
) -> np.ndarray:
    """Lay pictures out in rows of equal panels, dark text on white.

    Parameters
    ----------
    pictures : (y, x, 3) uint8 each. All are drawn in the size of the largest; small ones keep square pixels.
    captions : one a picture, below it, wrapped to its width.
    title : above; a newline begins a new line.
    columns : panels a row; None takes up to 8, and rows of even length beyond.
    scale : of panels and text.

    Returns
    -------
    (y, x, 3) uint8.
    """
    from PIL import Image, ImageDraw, ImageFont

    if not pictures or len(pictures) != len(captions):
        raise ValueError(f"{len(pictures)} pictures with {len(captions)} captions make no strip")
    columns = columns or math.ceil(len(pictures) / math.ceil(len(pictures) / MOST_COLUMNS))
    high, wide = _panel_size(pictures, scale)
    gap, margin = max(2, round(wide * 0.03)), max(8, round(wide * 0.06))
    # At 224 px panels captions are 18 px high: still legible when the strip is shown at half its size.
    size = min(max(12 * scale, wide / 12.5), 28 * scale)
    font, heading = ImageFont.load_default(size), ImageFont.load_default(size * 1.15)
    across = min(columns, len(pictures)) * (wide + gap) - gap
    inner = max(across, round(22 * size))
    head = wrapped(title, heading, inner)
    below = [wrapped(caption, font, wide) for caption in captions]
    line, head_line = round(size * 1.25), round(size * 1.15 * 1.3)
    rows = [range(first, min(first + columns, len(pictures))) for first in range(0, len(pictures), columns)]
    drop = round(size * 0.35)
    depths = [high + drop + line * max(len(below[i]) for i in row) + max(gap, round(size * 0.6)) for row in rows]
    top = margin + head_line * len(head) + (round(size * 0.5) if head else 0)

    sheet = Image.new("RGB", (inner + 2 * margin, top + sum(depths) + margin - round(size * 0.6)), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, text in enumerate(head):
        draw.text((margin, margin + number * head_line), text, INK if number == 0 else SOFT, heading)
    for row, depth in zip(rows, depths, strict=True):
        for column, i in enumerate(row):
            left = margin + column * (wide + gap)
            sheet.paste(fitted(pictures[i], high, wide), (left, top))
            draw.rectangle((left - 1, top - 1, left + wide, top + high), outline=(205, 205, 205))
            for number, text in enumerate(below[i]):
                place = (left + wide / 2, top + high + drop + number * line)
                draw.text(place, text, INK, font, anchor="ma")
        top += depth
    return np.asarray(sheet).copy()


def write_png(path: str | Path, image: np.ndarray) -> None:
    """Write a (y, x, 3) uint8 image as PNG, whole or not at all (temporary name, then rename).

    Raises
    ------
    StoreError : the file cannot be written.
    """
    from PIL import Image

    from mer_pipe.store.durable import write_file

    file = io.BytesIO()
    Image.fromarray(image).save(file, "png", optimize=True)
    write_file(Path(path), file.getvalue())


def _panel_size(pictures: Sequence[np.ndarray], scale: float) -> tuple[int, int]:
    high, wide = (max(p.shape[axis] for p in pictures) for axis in (0, 1))
    whole = max(1, math.ceil(PANEL / max(high, wide)))
    return max(1, round(high * whole * scale)), max(1, round(wide * whole * scale))


def fitted(picture: np.ndarray, high: int, wide: int) -> Image.Image:
    """The picture as a PIL image in the panel's size: cells stay sharp where it grows threefold or more."""
    from PIL import Image

    image = Image.fromarray(picture)
    if image.size == (wide, high):
        return image
    if (wide % image.width == 0 and high % image.height == 0) or wide >= 3 * image.width:
        return image.resize((wide, high), Image.Resampling.NEAREST)
    return image.resize((wide, high), Image.Resampling.LANCZOS)


def wrapped(text: str, font: FreeTypeFont, width: float) -> list[str]:
    """The text in lines of at most `width` px, in letters that the font has; a word that is longer is cut."""
    lines: list[str] = []
    for paragraph in _drawable(text).split("\n"):
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if line and font.getlength(longer) > width:
                lines.append(line)
                longer = word
            line = longer
        if line:
            lines.append(line)
    return [_cut(line, font, width) for line in lines]


def _cut(line: str, font: FreeTypeFont, width: float) -> str:
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "…") > width:
        line = line[:-1]
    return line + "…"


def _drawable(text: str) -> str:
    """The text in the letters that Pillow's own font has: accents are dropped, dashes plain, what is left over is "?"."""
    text = unicodedata.normalize("NFKD", text.replace("–", "-").replace("—", "-").replace("×", "x").replace("−", "-"))
    bare = "".join(c for c in text if not unicodedata.combining(c))
    return "".join(c if c == "\n" or c in "·…±" or " " <= c <= "~" else "?" for c in bare)
