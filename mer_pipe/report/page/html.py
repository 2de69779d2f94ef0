"""HTML built from Python values: everything that is not markup already is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable
from importlib import resources

VOID = frozenset({"img", "input", "meta", "link", "br", "hr"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = str | int | float | None | Iterable["Child"]


def h(tag: str, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """An element.

    Parameters
    ----------
    children : text (escaped), `Markup` (taken as it is), None (nothing), or iterables of these.
    attributes : by name, with a trailing underscore dropped and others turned to hyphens (``class_``, ``data_row``);
        True writes the bare name, None and False nothing.
    """
    written = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in VOID:
        return Markup(f"<{tag}{written}>")
    return Markup(f"<{tag}{written}>{joined(children)}</{tag}>")


def joined(children: Child) -> Markup:
    """Children as `h` takes them, without an element round them."""
    if children is None:
        return Markup("")
    if isinstance(children, Markup):
        return children
    if isinstance(children, str | int | float):
        return Markup(html.escape(str(children), quote=False))
    return Markup("".join(joined(child) for child in children))


def static(name: str) -> str:
    """A style sheet, script or other text file that belongs to the package."""
    return resources.files("mer_pipe.report.page").joinpath("static", name).read_text(encoding="utf-8")


def _attribute(name: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(str(value))}"'
