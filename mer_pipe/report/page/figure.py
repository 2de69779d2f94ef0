"""The frame of every figure of a clip: title, what it shows, how to judge it; and the hole in its place."""

from __future__ import annotations

from dataclasses import dataclass

from mer_pipe.report.page.data import Clip, ClipArrays
from mer_pipe.report.page.html import Child, Markup, h
from mer_pipe.report.page.media import Look


@dataclass(frozen=True)
class Page:
    """What a figure is made from."""

    arrays: ClipArrays
    clip: Clip
    look: Look

    def holes(self, *paths: str) -> Markup | None:
        """A named hole for the first of the arrays that could not be read."""
        for path in paths:
            if path in self.arrays.holes:
                return hole(path, self.arrays.holes[path])
        return None


def hole(path: str, why: str) -> Markup:
    """The place of an array that cannot be read."""
    return h(
        "figure",
        h("h3", f"Hole: {path}"),
        h("div", "cannot be read", class_="hatch"),
        h("p", why, ". ", "The store is damaged here. ", h("code", "mer-pipe verify"), " lists all damage; the same ",
          h("code", "mer-pipe build"), " writes the store anew from the cache."),
        class_="hole",
    )  # fmt: skip


def figure(title: str, body: Child, about: Child, good: str, class_: str = "", **attributes: str | bool) -> Markup:
    """A figure with its title, what it shows, and how to judge it."""
    told = h("figcaption", h("p", about), h("p", h("b", "Good: "), good, class_="good"))
    return h("figure", h("h3", title), body, told, class_=class_ or None, **attributes)
