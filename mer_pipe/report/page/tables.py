"""Tables of the first page: what changed since another build, rows folded away beyond a few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mer_pipe.report.page.drift import Drift
from mer_pipe.report.page.html import Markup, h

SHOWN = 12
"""Rows beyond this many are folded away."""


def folded(head: Markup, rows: Sequence[Markup], what: str) -> list[Markup]:
    """A table whose rows beyond the first few are folded away."""
    shown = [h("div", h("table", head, h("tbody", rows[:SHOWN])), class_="scroll")]
    if len(rows) > SHOWN:
        rest = h("div", h("table", head, h("tbody", rows[SHOWN:])), class_="scroll")
        shown.append(h("details", h("summary", f"{len(rows) - SHOWN} more {what}"), rest))
    return shown


def drift_section(drift: Drift, links: Mapping[str, str]) -> Markup:
    """The section on what changed since another build.

    Parameters
    ----------
    links : page of each clip by its id.
    """
    both = len(drift.clips) + drift.same
    settings = [
        h("tr", h("th", name, scope="row"), h("td", old), h("td", new))
        for name, (old, new) in {**drift.recipe, **drift.versions}.items()
    ]
    told = [h("li", text) for text in drift.arrays]
    told += [h("li", f"{name} is new") for name in drift.added] + [h("li", f"{name} is gone") for name in drift.removed]
    order = sorted(drift.clips.items(), key=lambda item: -max(change.share for change in item[1]))
    rows = [
        h(
            "tr",
            h("th", h("a", name, href=links[name]) if name in links else name, scope="row"),
            h("td", h("ul", [h("li", change.what) for change in changes])),
        )
        for name, changes in order
    ]
    head = h("thead", h("tr", h("th", "clip"), h("th", "what changed")))
    verdict = (
        "No clip changed." if drift.nothing else f"{len(drift.clips)} of {both} common clips changed, {drift.same} are equal in "
        f"every value; {len(drift.added)} new, {len(drift.removed)} gone."
    )  # fmt: skip
    return h(
        "section",
        h("h2", f"Drift against {Path(drift.other).name}"),
        h("p", verdict, class_="lead"),
        _settings(settings) if settings else h("p", "Recipe and versions are equal.", class_="soft"),
        h("ul", told) if told else None,
        folded(head, rows, "changed clips") if rows else None,
        id="drift",
    )


def _settings(rows: Sequence[Markup]) -> Markup:
    head = h("thead", h("tr", h("th", "made with"), h("th", "there"), h("th", "here")))
    return h("div", h("table", head, h("tbody", rows)), class_="scroll")
