"""Figures that move: two or three frames flipped in one place, and a row of frames under a slider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mer_pipe.report import pictures
from mer_pipe.report.page.html import Markup, h
from mer_pipe.report.page.media import Look


@dataclass(frozen=True)
class Shot:
    """One picture of a player: (y, x[, 3]) uint8, its caption, and its value in a word."""

    image: np.ndarray
    label: str
    value: str


def flip(shots: Sequence[Shot], look: Look) -> Markup:
    """Frames that lie on each other, with a button for each; the page's script shows one at a time."""
    pages = [
        look.image(
            pictures.image_picture(shot.image), shot.label, quality=look.fine, data_frame=shot.value, hidden=i > 0
        )
        for i, shot in enumerate(shots)
    ]
    buttons = [
        h("button", shot.label, type="button", data_show=shot.value, aria_pressed="false" if i else "true")
        for i, shot in enumerate(shots)
    ]
    return h("div", h("div", pages, class_="stack", data_stage=True), h("div", buttons, class_="controls"))


def player(shots: Sequence[Shot], look: Look, what: str, first: int, changes: Sequence[np.ndarray] | None) -> Markup:
    """A large picture, a slider with play, and all pictures side by side below.

    Parameters
    ----------
    shots : in the slider's order.
    what : the slider steps through ("AF").
    first : position shown at first.
    changes : for each shot a picture that a check box shows in its place; None for none.
    """
    items, opening = [], Markup("")
    for i, shot in enumerate(shots):
        image = look.image(pictures.image_picture(shot.image), shot.label, class_="picture")
        change = (
            look.image(changes[i], f"{shot.label}, difference to the apex", quality=look.rough, class_="change")
            if changes
            else None
        )
        pressed = "true" if i == first else "false"
        button = h("button", image, change, h("span", shot.label), type="button", data_at=i, aria_pressed=pressed)
        items.append(h("li", button, data_value=shot.value))
        opening = image if i == first else opening
    toggle = h("label", h("input", type="checkbox", data_change=True), " difference to the apex") if changes else None
    controls = h(
        "div",
        h("button", "▶ play", type="button", data_play=True, aria_pressed="false"),
        h("input", type="range", min=0, max=len(shots) - 1, value=first, step=1, aria_label=what,
          aria_valuetext=shots[first].label),
        h("output", shots[first].label),
        toggle,
        class_="controls",
    )  # fmt: skip
    # The large picture borrows the bytes of the small ones: a page holds each picture once.
    stage = h("div", h("img", alt=shots[first].label, data_large=True), class_="stage")
    return h("div", stage, controls, h("ol", items, class_="strip"))
