"""The course of a training as a picture."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

INK, FAINT, BLUE, ORANGE, GREEN = "#333333", "#dddddd", "#2166ac", "#c4601d", "#3a7d44"
PANEL = 420, 240
EDGE = 56


@dataclass(frozen=True)
class Panel:
    """One of the pictures side by side: the value at its upper edge, and title -> (key of the history, colour)."""

    top: float
    lines: dict[str, tuple[str, str]]


def curve(history: list[dict[str, Any]], taken: int) -> bytes:
    """Draw loss, and accuracy and macro F1 on PublicTest, over epochs; a PNG.

    Parameters
    ----------
    history : an entry an epoch, with "epoch", "loss", "accuracy" and "macro_f1".
    taken : the epoch whose network is kept: a vertical line.
    """
    top = max([entry["loss"] for entry in history] + [1e-9])
    losses = Panel(top, {"training loss": ("loss", BLUE)})
    lines = {"PublicTest accuracy": ("accuracy", ORANGE), "macro F1": ("macro_f1", GREEN)}
    return draw(history, "epoch", [losses, Panel(1.0, lines)], taken)


def draw(history: list[dict[str, Any]], along: str, panels: list[Panel], taken: int | None = None) -> bytes:
    """Draw a history in panels side by side, over its key `along`; a PNG. `taken` is marked by a vertical line."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (len(panels) * (PANEL[0] + EDGE) + EDGE // 2, PANEL[1] + 2 * EDGE), "white")
    pen = ImageDraw.Draw(picture)
    for place, panel in enumerate(panels):
        _panel(pen, EDGE + place * (EDGE + PANEL[0]), history, along, panel, taken)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def _panel(pen, left: int, history: list[dict], along: str, panel: Panel, taken: int | None) -> None:
    width, height = PANEL
    last, top = max(entry[along] for entry in history), panel.top

    def at(place: float, value: float) -> tuple[float, float]:
        return left + width * place / last, EDGE + height * (1 - min(value / top, 1.0))

    for share in (0, 0.25, 0.5, 0.75, 1):
        x, y = at(0, share * top)
        pen.line([(x, y), (x + width, y)], fill=FAINT)
        pen.text((x - 6, y), f"{share * top:.3g}", fill=INK, anchor="rm")
    for place in sorted({1, *(round(last * k / 4) for k in range(1, 5))} - {0}):
        pen.text((at(place, 0)[0], EDGE + height + 6), str(place), fill=INK, anchor="ma")
    pen.text((left + width / 2, EDGE + height + 26), along, fill=INK, anchor="ma")
    if taken is not None:
        x = at(taken, 0)[0]
        pen.line([(x, EDGE), (x, EDGE + height)], fill=INK)
        pen.text((x - 4, EDGE + height - 4), "kept", fill=INK, anchor="rd")
    for place, (title, (name, colour)) in enumerate(panel.lines.items()):
        points = [at(entry[along], entry[name]) for entry in history]
        pen.line(points, fill=colour, width=2)
        for px, py in points:
            pen.ellipse([px - 2, py - 2, px + 2, py + 2], fill=colour)
        pen.text((left + place * width / len(panel.lines), EDGE - 24), title, fill=colour, anchor="ld")
