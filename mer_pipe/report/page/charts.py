"""Charts as inline SVG: bars, histograms, dots and curves, in one hue that every kind of colour vision tells from paper."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from mer_pipe.report.page.html import Markup, h, joined

WIDE = 360
"""Width of every chart in its own units; text of 12 units stays legible on a phone."""


def bars(title: str, counts: Mapping[str, int], links: Mapping[str, str] | None = None) -> Markup:
    """Horizontal bars, one a name, with the count and its share."""
    total, most = sum(counts.values()), max(counts.values(), default=1)
    left = min(150, 16 + 7 * max((len(name) for name in counts), default=0))
    room = WIDE - left - 84
    rows = []
    for place, (name, count) in enumerate(counts.items()):
        y, width = 22 * place, max(1.0, room * count / most)
        row = [
            h("text", _short(name, int(left / 7)), x=_n(left - 8), y=y + 14, text_anchor="end", class_="name"),
            h("rect", x=_n(left), y=y + 3, width=_n(width), height=15, rx=2, class_="bar"),
            h("text", f"{count} · {100 * count / total:.0f} %", x=_n(left + width + 6), y=y + 14, class_="value"),
            h("title", f"{name}: {count}"),
        ]
        link = (links or {}).get(name)
        rows.append(h("a", row, href=link) if link else h("g", row))
    return _svg(f"{title}: " + ", ".join(f"{n} {c}" for n, c in counts.items()), 22 * len(counts) + 2, rows)


def histogram(title: str, values: Sequence[float], unit: str, most: int = 18) -> Markup:
    """How often which value occurs; a single value is told in words."""
    known = np.array([v for v in values if v is not None and math.isfinite(v)], float)
    if not len(known):
        return h("p", "not known", class_="soft")
    low, high = float(known.min()), float(known.max())
    if low == high:
        return h(
            "p", h("b", f"{low:g} {unit}"), " in ", "the one clip" if len(known) == 1 else f"all {len(known)} clips"
        )
    step = _step((high - low) / most)
    first = math.floor(low / step)
    counts = np.bincount(np.floor(known / step + 1e-9).astype(int) - first)
    left, floor, top = 30.0, 118.0, 8.0
    wide, tallest = (WIDE - left - 16) / len(counts), int(counts.max())
    parts = []
    for count in sorted({0, tallest // 2, tallest}):
        y = floor - (floor - top) * count / tallest
        parts.append(h("line", x1=left, x2=WIDE - 16, y1=_n(y), y2=_n(y), class_="grid"))
        parts.append(h("text", count, x=left - 5, y=_n(y + 4), text_anchor="end", class_="value"))
    for place, count in enumerate(counts.tolist()):
        tall = (floor - top) * count / tallest
        span = f"{(first + place) * step:g} to {(first + place + 1) * step:g} {unit}: {count}"
        box = {"x": _n(left + place * wide + 0.75), "y": _n(floor - tall), "width": _n(wide - 1.5), "height": _n(tall)}
        parts.append(h("rect", h("title", span), **box, class_="bar"))
    every = max(1, math.ceil(len(counts) / 6))
    for place in range(0, len(counts) + 1, every):
        text = f"{round((first + place) * step, 6):g}"
        parts.append(h("text", text, x=_n(left + place * wide), y=floor + 16, text_anchor="middle", class_="value"))
    parts.append(h("text", unit, x=WIDE - 16, y=floor + 32, text_anchor="end", class_="value"))
    return _svg(f"{title}: {low:g} to {high:g} {unit}, median {np.median(known):g}", floor + 38, parts)


def dots(title: str, groups: Mapping[str, Sequence[tuple[float, str, str]]], unit: str) -> Markup:
    """One row of dots a group on a common axis from 0; each dot is (value, what it is, link)."""
    high = max((value for group in groups.values() for value, _, _ in group), default=1.0) or 1.0
    left, right = min(150, 16 + 7 * max((len(name) for name in groups), default=0)), WIDE - 12
    step = _step(high / 5)
    last = math.ceil(high / step - 1e-9) * step
    across, tall = (right - left) / last, 26
    floor = tall * len(groups) + 4
    parts = []
    for i in range(round(last / step) + 1):
        x = _n(left + i * step * across)
        parts.append(h("line", x1=x, x2=x, y1=0, y2=floor, class_="grid"))
        parts.append(h("text", f"{i * step:g}", x=x, y=floor + 15, text_anchor="middle", class_="value"))
    for row, (name, group) in enumerate(groups.items()):
        y = tall * row + 15
        parts.append(h("text", _short(name, int(left / 7)), x=_n(left - 8), y=y + 4, text_anchor="end", class_="name"))
        for i, (value, what, link) in enumerate(group):
            # Dots step up and down in turn, so that equal values stay apart.
            place = y + (0, -5, 5, -2.5, 2.5)[i % 5]
            told = h("title", f"{what}: {value:.3g} {unit}")
            parts.append(
                h("a", h("circle", told, cx=_n(left + value * across), cy=place, r=3.6, class_="dot"), href=link)
            )
    parts.append(h("text", unit, x=right, y=floor + 30, text_anchor="end", class_="value"))
    return _svg(f"{title}, 0 to {last:g} {unit}", floor + 36, parts)


def curve(title: str, values: Sequence[float], marks: Mapping[str, float], unit: str, axis: str) -> Markup:
    """A curve over steps 0, 1, 2 ..., with named marks along the axis (in steps, fractional or not)."""
    left, right, top, floor = 38.0, WIDE - 14.0, 24.0, 150.0
    high = max(max(values), 1e-9)
    step = _step(high / 4)
    last = math.ceil(high / step - 1e-9) * step

    def at(i: float, value: float) -> tuple[str, str]:
        return _n(left + (right - left) * i / max(1, len(values) - 1)), _n(floor - (floor - top) * value / last)

    parts = []
    for i in range(round(last / step) + 1):
        _, y = at(0, i * step)
        parts.append(h("line", x1=left, x2=right, y1=y, y2=y, class_="grid"))
        parts.append(
            h("text", f"{round(i * step, 6):g}", x=left - 5, y=float(y) + 4, text_anchor="end", class_="value")
        )
    for name, place in marks.items():
        x, _ = at(place, 0)
        anchor = "start" if place <= 0.5 else "end" if place >= len(values) - 1.5 else "middle"
        parts.append(h("line", x1=x, x2=x, y1=top - 6, y2=floor, class_="mark"))
        parts.append(h("text", name, x=x, y=top - 10, text_anchor=anchor, class_="name"))
    points = [at(i, value) for i, value in enumerate(values)]
    parts.append(h("polyline", points=" ".join(f"{x},{y}" for x, y in points), class_="curve"))
    for i, ((x, y), value) in enumerate(zip(points, values, strict=True)):
        parts.append(h("circle", h("title", f"{i}: {value:.3g} {unit}"), cx=x, cy=y, r=3.4, class_="dot", data_step=i))
    for i in range(0, len(values), max(1, math.ceil(len(values) / 11))):
        parts.append(h("text", i, x=at(i, 0)[0], y=floor + 16, text_anchor="middle", class_="value"))
    parts.append(h("text", f"{axis} · {unit}", x=right, y=floor + 32, text_anchor="end", class_="value"))
    return _svg(f"{title}: rises to {high:.3g} {unit} at step {int(np.argmax(values))}", floor + 38, parts)


def arrows(flow: np.ndarray, scale: float, grid: int = 14) -> Markup:
    """A flow (y, x, 2) as arrows over its picture, for eyes that cannot tell the wheel's colours: one arrow a cell, a
    cell long where the motion is `scale` px."""
    high, wide = flow.shape[:2]
    rows, columns = (np.arange(n) * min(grid, n) // n for n in (high, wide))
    path = []
    field = np.nan_to_num(flow.astype(np.float64))
    for row in range(rows[-1] + 1):
        for column in range(columns[-1] + 1):
            inside = field[rows == row][:, columns == column]
            u, v = np.clip(inside.mean((0, 1)) / scale, -1.5, 1.5) * wide / grid
            length = math.hypot(u, v)
            if length < 0.08 * wide / grid:
                continue
            x, y = (column + 0.5) * wide / (columns[-1] + 1) - u / 2, (row + 0.5) * high / (rows[-1] + 1) - v / 2
            head = min(0.35, 3.5 / length)
            a, b = -head * (u - 0.6 * v), -head * (v + 0.6 * u)
            c, d = -head * (u + 0.6 * v), -head * (v - 0.6 * u)
            path.append(f"M{_n(x)} {_n(y)}l{_n(u)} {_n(v)}l{_n(a)} {_n(b)}m{_n(-a)} {_n(-b)}l{_n(c)} {_n(d)}")
    lines = "".join(path) or "M0 0"
    halo = h("path", d=lines, class_="halo")
    box = f"0 0 {wide} {high}"
    return h("svg", halo, h("path", d=lines), viewBox=box, class_="arrows", aria_hidden="true")


def _svg(label: str, high: float, parts: Sequence[Markup]) -> Markup:
    return h("svg", joined(parts), viewBox=f"0 0 {WIDE} {_n(high)}", class_="chart", role="img", aria_label=label)


def _step(about: float) -> float:
    """The next of 1, 2, 5 times a power of ten from `about` on."""
    power = 10.0 ** math.floor(math.log10(max(about, 1e-12)))
    return next(s * power for s in (1, 2, 5, 10) if s * power >= about * (1 - 1e-9))


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _n(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"
