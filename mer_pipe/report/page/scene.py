"""The onset frame as filmed, and on it the box that was cut out of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from mer_pipe.report.page.html import Markup, h
from mer_pipe.report.page.media import Look
from mer_pipe.stages.geometry import apply, inverse

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
TOP = np.array([[0.44, 0.0], [0.5, -0.09], [0.56, 0.0]])
"""Of the face square, which is the unit square: its corners clockwise from the top left, and the tick at its top."""
MUCH = 0.05
"""Share of the box outside the frame from which on it is worth a warning."""
OUTSIDE, GROUND = 72, 128
"""Grey levels round the frame, and of the frame where its picture is left out."""


@dataclass(frozen=True)
class Drawn:
    """A crop box on the frame it was cut from, in px of `canvas`, whose top left corner is (0, 0).

    Attributes
    ----------
    canvas : (y, x, 3) uint8: the frame, with as much ground round it as the box needs.
    corners : (4, 2) x, y of the box, clockwise from the face's top left.
    tick : (3, 2), on the side of the box that is the top of the face.
    dots : (n, 2) landmarks or eyes; n = 0 where nothing was sought.
    scale : px of the canvas per px of the frame.
    outside : share of the box that lies outside the frame, 0..1.
    """

    canvas: np.ndarray
    corners: np.ndarray
    tick: np.ndarray
    dots: np.ndarray
    scale: float
    outside: float


def draw_scene(
    picture: np.ndarray, placement: np.ndarray, transform: np.ndarray, points: np.ndarray | None = None
) -> Drawn:
    """Carry the face square back onto the frame.

    Parameters
    ----------
    picture : (y, x, 3) uint8, the frame shrunk and centred on black, as the stage ``scene`` returns it.
    placement : (3,) scale, dx, dy, with picture px = scale * raw px + d, pixel centres at integers.
    transform : (2, 3), raw px to the unit square.
    points : (n, 2) x, y in px of the raw frame.

    Raises
    ------
    ClipError : the transform cannot be inverted.
    """
    scale, shift = float(placement[0]), np.asarray(placement[1:], np.float64)
    size = np.array(picture.shape[1::-1])
    # Pixel (i, j) of a picture covers [j, j + 1] x [i, i + 1] of the plane that SVG draws on: hence the halves.
    first = np.clip(np.round(shift + 0.5 - scale / 2).astype(int), 0, (size - 1) // 2)
    last = size - first

    def place(raw: np.ndarray) -> np.ndarray:
        return np.asarray(raw, np.float64) * scale + shift + 0.5

    back = inverse(transform)
    corners, tick = place(apply(back, CORNERS)), place(apply(back, TOP))
    grid = (np.stack(np.meshgrid(*[np.arange(64)] * 2), -1).reshape(-1, 2) + 0.5) / 64
    seen = place(apply(back, grid))
    outside = 1 - float(((seen >= first) & (seen <= last)).all(1).mean())
    # One picture's size of ground at most: a wild box is cut off rather than drawn over a page.
    need = np.concatenate([corners, tick])
    low = np.clip(np.floor(need.min(0)).astype(int) - 3, first - size, first)
    high = np.clip(np.ceil(need.max(0)).astype(int) + 3, last, last + size)
    (left, top), (right, bottom) = first - low, last - low
    canvas = np.full((*(high - low)[::-1], 3), OUTSIDE, np.uint8)
    canvas[top:bottom, left:right] = picture[first[1] : last[1], first[0] : last[0]]
    dots = np.empty((0, 2)) if points is None else place(points)
    return Drawn(canvas, corners - low, tick - low, dots - low, scale, outside)


def scene_picture(
    picture: np.ndarray,
    placement: np.ndarray,
    transform: np.ndarray,
    points: Mapping[str, np.ndarray | None],
    look: Look,
) -> tuple[Markup, list[Markup | str]]:
    """The frame under its box and marks, and sentences on it; in a shareable report the box alone, on an empty ground.

    Parameters
    ----------
    picture, placement, transform : see `draw_scene`.
    points : "landmarks" (68, 2) and "eyes" (2, 2) in px of the raw frame, None where there are none.

    Raises
    ------
    ClipError : the transform cannot be inverted.
    """
    marks = None
    if look.shareable:
        picture = np.full_like(picture, GROUND)
    else:
        marks = next((found for name in ("landmarks", "eyes") if (found := points.get(name)) is not None), None)
    drawn = draw_scene(picture, placement, transform, marks)
    box = h("path", d=_line(drawn.corners, closed=True))
    radius = 1.1 if len(drawn.dots) > 2 else 2.2
    shapes = [
        h("g", box, class_="casing"),
        h("path", d=_line(drawn.tick, closed=True), class_="top"),
        h("g", box, class_="edge"),
        [h("circle", cx=f"{x:.2f}", cy=f"{y:.2f}", r=radius, class_="dot") for x, y in drawn.dots],
    ]
    high, wide = drawn.canvas.shape[:2]
    overlay = h("svg", shapes, viewBox=f"0 0 {wide} {high}", class_="box", aria_hidden="true")
    what = "crop box in the onset frame, which is left out" if look.shareable else "onset frame with the crop box"
    # A frame holds more than a face does: it is given some more px.
    image = replace(look, side=look.side * 5 // 4).image(drawn.canvas, what)
    frame = "The onset frame, left out here" if look.shareable else "The onset frame as filmed"
    told: list[Markup | str] = [f"{frame}; the box is what was cut out of it, the tick its top."]
    if drawn.scale < 0.995:
        told.append(f" The frame is shown at {100 * drawn.scale:.0f} % of its size.")
    if drawn.outside >= 0.005:
        text = f" {100 * drawn.outside:.0f} % of the box lies outside the frame: its border pixels are repeated there."
        told.append(h("span", text, class_="warn" if drawn.outside >= MUCH else None))
    return h("div", image, overlay, class_="stack"), told


def _line(points: Iterable[tuple[float, float]], closed: bool) -> str:
    return "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in points) + ("Z" if closed else "")
