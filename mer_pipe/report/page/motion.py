"""Figures of motion: flow in the colours of the wheel, strain as heat."""

from __future__ import annotations

import numpy as np

from mer_pipe.report import pictures
from mer_pipe.report.page import charts
from mer_pipe.report.page.figure import Page, figure
from mer_pipe.report.page.html import Markup, h
from mer_pipe.report.page.media import cells


def stored_flow(page: Page, stage: str) -> Markup | None:
    """The flow of a group, its hole, or None where the store has none."""
    flow = page.arrays.get(stage, "flow")
    if flow is None:
        return page.holes(f"{stage}/flow")
    about = page.arrays.one.about(stage, "flow") or "optical flow"
    return flow_figure(page, flow, about[:1].upper() + about[1:])


def flow_figure(page: Page, flow: np.ndarray, title: str) -> Markup:
    """A flow in the colours of the wheel, with arrows and the wheel as its key."""
    flow = cells(flow) if page.look.shareable else flow
    scale = pictures.flow_scale(flow)
    picture = pictures.flow_picture(flow, scale)
    body = h(
        "div",
        h("div", page.look.image(picture, f"{title}; full colour is {scale:g} px"), charts.arrows(flow, scale), class_="stack"),
        h("div", h("i", class_="wheel", role="img", aria_label="direction by colour"), h("span", f"rim {scale:g} px"),
          h("label", h("input", type="checkbox", checked=True, data_arrows=True), " arrows"), class_="key"),
        class_="keyed",
    )  # fmt: skip
    return figure(
        title,
        body,
        f"Colour is direction, strength is length: full colour is {scale:g} px; an arrow of one cell of the 14 × 14 grid is "
        f"{scale:g} px too.",
        "motion lies at brows, eyes, nose or mouth and fits the action units. One colour all over is head motion; speckle is "
        "noise.",
    )


def stored_strain(page: Page) -> Markup | None:
    """The strain from onset to apex, its hole, or None."""
    strain = page.arrays.get("strain", "strain")
    return page.holes("strain/strain") if strain is None else strain_figure(page, strain, "Optical strain")


def strain_figure(page: Page, strain: np.ndarray, title: str) -> Markup:
    """A strain as heat with its colour bar."""
    strain = cells(strain) if page.look.shareable else strain
    scale = pictures.heat_scale(strain, least=1e-3)
    body = h(
        "div",
        page.look.image(pictures.strain_picture(strain, scale), f"{title}; yellow is {scale:g} px/px"),
        h("div", h("span", f"{scale:g}"), h("i", class_="heat"), h("span", "0"), h("span", "px/px"), class_="key"),
        class_="keyed",
    )
    return figure(
        title,
        body,
        "How much the skin stretches and shears: what moves as a whole, like a head, is dark.",
        "a few bright patches where the action units are. Bright outlines of face or hair mean the flow tore at an edge.",
    )


def magnified_motion(page: Page) -> list[Markup | None]:
    """Flow and strain of the magnified clip, or their hole."""
    moved = page.arrays.get("motion", "motion")
    if moved is None:
        return [page.holes("motion/motion")]
    return [
        flow_figure(page, moved[..., :2], "Flow of the magnified clip"),
        strain_figure(page, moved[..., 2], "Strain of the magnified clip"),
    ]
