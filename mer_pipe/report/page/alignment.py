"""Where the face was found: landmarks or eyes of the onset frame, carried into the face square."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from mer_pipe.report import pictures
from mer_pipe.report.page.figure import Page, figure
from mer_pipe.report.page.html import Child, Markup, h
from mer_pipe.report.page.media import Look
from mer_pipe.report.page.scene import scene_picture
from mer_pipe.types import ClipError

PARTS = (
    (0, 17, False), (17, 22, False), (22, 27, False), (27, 31, False), (31, 36, False),
    (36, 42, True), (42, 48, True), (48, 60, True), (60, 68, True),
)  # fmt: skip
"""First point, one past the last, and whether the line closes, for each part of the 68-point convention."""

BOX = "the box holds brows and chin, its top edge above the forehead and level with the eyes."
SAFE = "the box lies inside the frame, with its tick up."
MARKS = (
    "marks lie on the eyes (and on brows, nose, lips and jaw where there are 68), the head is upright, and brows and "
    "chin are inside the square."
)


def in_square(points: np.ndarray, transform: np.ndarray, side: int) -> np.ndarray:
    """Points of the raw frame in px of the face square.

    Parameters
    ----------
    points : (n, 2) x, y in px of the raw frame, pixel centres at integers.
    transform : (2, 3), raw px to the unit square.
    side : of the square in px.

    Returns
    -------
    (n, 2) float64, the square's top left corner at (0, 0).
    """
    points = np.asarray(points, np.float64)
    return (points @ transform[:, :2].T + transform[:, 2]) * side


def stored_alignment(page: Page) -> list[Markup | None]:
    """The crop box on the frame, the marks in the face square, and the holes among what they are drawn from.

    A store without the group ``scene`` has the second alone; a shareable report has the first alone.
    """
    arrays, look = page.arrays, page.look
    onset, transform = arrays.mark("onset"), arrays.get("align", "transform")
    points = {name: arrays.get("align", name) for name in ("landmarks", "eyes")}
    picture, placement = (arrays.get("scene", name) for name in ("image", "placement"))
    views: list[Markup] = []
    about: list[Child] = []
    good = []
    if transform is not None and picture is not None and placement is not None:
        try:
            view, told = scene_picture(picture, placement, transform, points, look)
        except ClipError as error:
            about += [h("span", f"The crop box cannot be drawn: {error}.", class_="warn"), " "]
        else:
            views.append(view)
            about += [*told, " "]
            good.append(SAFE if look.shareable else BOX)
    if transform is not None and onset is not None and not look.shareable:
        view, text = alignment_figure(onset, transform, points, look)
        views.append(view)
        about.append(text)
        good.append(f"In the square, {MARKS}" if good else MARKS)
    scene, align = ("scene/image", "scene/placement"), ("align/transform", "align/landmarks", "align/eyes")
    if not views:
        return [page.holes(*align, *scene)]
    pair = len(views) == 2
    body = h("div", views, class_="pair") if pair else views
    return [figure("Alignment", body, about, " ".join(good), "double" if pair else ""), page.holes(*scene)]


def alignment_figure(
    onset: np.ndarray, transform: np.ndarray, points: Mapping[str, np.ndarray | None], look: Look
) -> tuple[Markup, str]:
    """The onset in the face square under its marks, and a sentence on what the transform does.

    Parameters
    ----------
    onset : (y, x, 3) uint8 crop.
    transform : (2, 3).
    points : "landmarks" (68, 2) and "eyes" (2, 2) in px of the raw frame, None where there are none.
    """
    side = onset.shape[1]
    shapes, what = [], "The frame was taken as the face: nothing was sought."
    if (landmarks := points.get("landmarks")) is not None:
        at = in_square(landmarks, transform, side)
        what = "The 68 landmarks of the onset frame, carried into the face square."
        for first, end, closed in PARTS if len(at) == 68 else ():
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in at[first:end])
            shapes.append(h("polygon" if closed else "polyline", points=line))
        shapes += [h("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r="1.3") for x, y in at]
    elif (eyes := points.get("eyes")) is not None:
        what = "The eye centres found in the onset frame, carried into the face square."
        for x, y in in_square(eyes, transform, side):
            shapes.append(h("path", d=f"M{x - 9:.1f} {y:.1f}h18M{x:.1f} {y - 9:.1f}v18"))
            shapes.append(h("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r="6", class_="ring"))
    overlay = h("svg", shapes, viewBox=f"0 0 {side} {onset.shape[0]}", class_="marks", aria_hidden="true")
    a, b = transform[0, :2]
    size, turn = 1 / (side * math.hypot(a, b)), math.degrees(math.atan2(b, a))
    # The transform turns the frame; a head that leans clockwise by an angle is turned back by as much.
    told = f"{what} One px here is {size:.2f} px of the frame"
    told += (
        f", turned by {abs(turn):.1f}° {'anticlockwise' if turn > 0 else 'clockwise'}." if abs(turn) >= 0.05 else "."
    )
    body = h("div", look.image(pictures.image_picture(onset), "onset with marks"), overlay, class_="stack")
    return body, told
