"""The first page: verdict, what is missing and why, the contact sheet, distributions, methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from mer_pipe.report.page.data import Source
from mer_pipe.report.page.distributions import distributions
from mer_pipe.report.page.drift import Drift
from mer_pipe.report.page.html import Child, Markup, h
from mer_pipe.report.page.media import Look
from mer_pipe.report.page.methods import bibtex, paragraph, plain, rebuild
from mer_pipe.report.page.sheet import Card, contact_sheet
from mer_pipe.report.page.shell import key_list
from mer_pipe.report.page.tables import drift_section, folded
from mer_pipe.report.terminal import human


def index(source: Source, cards: Sequence[Card], look: Look, drift: Drift | None) -> Markup:
    """The body of the first page, in the order in which people ask."""
    return h(
        "main",
        _verdict(source, cards, look),
        _missing(source),
        drift_section(drift, {card.clip.id: card.link for card in cards}) if drift else None,
        contact_sheet(source, cards),
        distributions(source, cards),
        _methods(source),
        key_list(),
        id="top",
    )


def _verdict(source: Source, cards: Sequence[Card], look: Look) -> Markup:
    seen = source.seen
    holes = sum("hole" in card.words for card in cards)
    flagged = sum(bool(set(card.words) - {"repaired", "changed"}) for card in cards)
    tiles = [
        _tile(seen.clips, "usable", "good", "#sheet"),
        _tile(len(seen.excluded), "excluded", "warn" if seen.excluded else "none", "#missing"),
        _tile(len(seen.failed), "failed", "bad" if seen.failed else "none", "#missing"),
        _tile(holes, "damaged", "bad" if holes else "none", "#flag=hole"),
        _tile(flagged, "to look at", "warn" if flagged else "none", "#flag=any"),
    ]
    published = datetime.fromtimestamp((source.path / "zarr.json").stat().st_mtime, UTC)
    facts: list[tuple[str, Child]] = [
        ("store", f"{source.path.name} · {human(seen.bytes)} · format {seen.format_version}"),
        ("published", f"{published:%Y-%m-%d %H:%M} UTC"),
        ("database", seen.database or "unnamed"),
        ("recipe", _recipe(source)),
        ("serves", ", ".join(seen.systems) or "no system"),
        ("made with", f"mer-pipe {seen.mer_pipe} · " + " · ".join(f"{k} {v}" for k, v in seen.libraries.items())),
    ]
    if seen.repaired:
        facts.append(
            ("repaired", h("a", f"{seen.repaired} annotation{'s' if seen.repaired > 1 else ''}", href="#flag=repaired"))
        )
    if seen.head:
        facts.append(("head motion", seen.head))
    facts += [("note", note) for note in seen.notes]
    facts += [("warning", warning.text) for warning in seen.warnings if not warning.sample]
    warning = None
    if seen.random_weights:
        warning = h(
            "p",
            h("b", "Features are from random weights"),
            f" ({seen.random_weights}): good for trying things out, not for results. Give a checkpoint with ",
            h("code", "--set features.weights=FILE"),
            ".",
            class_="alert",
        )
    return h(
        "section",
        h("h1", seen.database or source.path.name),
        _privacy(look),
        warning,
        h("div", tiles, class_="tiles"),
        h("dl", [h("div", h("dt", name), h("dd", value)) for name, value in facts], class_="facts"),
        id="verdict",
    )


def _tile(count: int, what: str, tone: str, link: str) -> Markup:
    sign = {"good": "✓", "warn": "!", "bad": "✗", "none": "✓"}[tone]
    inside = (h("b", count), h("span", what), h("i", sign, aria_hidden="true"))
    return h("a", inside, href=link, class_=f"tile {tone}") if count else h("span", inside, class_=f"tile {tone}")


def _privacy(look: Look) -> Markup:
    if look.shareable:
        text = (
            h("b", "Without faces."), " Frames, magnified images, dynamic images and differences are left out; flow and strain "
            "are averaged over 32 × 32 cells. Clip names and annotations are in it.",
        )  # fmt: skip
        return h("p", text, class_="privacy open")
    return h(
        "p",
        h("b", "Contains faces of people, under the licence of the database."),
        " Keep it as you keep the frames. A report to pass on, without faces: ",
        h("code", "mer-pipe report STORE --shareable"),
        ".",
        class_="privacy",
    )


def _recipe(source: Source) -> Child:
    seen = source.seen
    name = seen.recipe or "unnamed"
    if seen.differs is None:
        return name
    if not seen.differs:
        return f"{name}: the default in every value"
    return [f"{name}: ", [[h("code", f"{key}={plain(value)}"), " "] for key, value in seen.differs.items()]]


def _missing(source: Source) -> Markup:
    seen = source.seen
    rows = [("failed", entry) for entry in seen.failed] + [("excluded", entry) for entry in seen.excluded]
    command = rebuild(seen, source.path.name)
    again = [
        h("p", "When the cause is mended, the command that built the store makes what is missing and nothing else:"),
        h("p", h("code", command), " ", h("button", "copy", type="button", data_copy=command), class_="command"),
    ]
    if not rows:
        return h("section", h("h2", "Not in the store"), h("p", "Nothing: every annotated clip is in it.", class_="soft"),
                 h("details", h("summary", "command that builds it"), again[1]), id="missing")  # fmt: skip
    body = [
        h(
            "tr",
            h("td", h("span", what, class_=f"word {'bad' if what == 'failed' else 'warn'}"), " ", entry["stage"]),
            h("th", entry["id"], scope="row"),
            h("td", entry["reason"].rstrip("."), ". ", h("span", entry["fix"], class_="soft")),
        )
        for what, entry in rows
    ]
    head = h("thead", h("tr", h("th", "what"), h("th", "clip"), h("th", "why, and what to do")))
    return h(
        "section",
        h("h2", f"Not in the store: {len(seen.failed)} failed, {len(seen.excluded)} excluded"),
        folded(head, body, "missing clips"),
        again,
        id="missing",
    )


def _methods(source: Source) -> Markup:
    seen = source.seen
    text, keys = paragraph(source.facts.get("recipe"), seen)
    entries = bibtex(keys) if keys else ""
    stages = [
        h(
            "tr",
            h("th", a.path, scope="row"),
            h("td", a.stage, f" {a.version}" if a.version is not None else ""),
            h("td", " × ".join(f"{dim} {size}" for dim, size in a.axes.items())),
            h("td", a.dtype, " ", a.units if a.units != "1" else ""),
        )
        for a in seen.arrays
    ]
    rows = [
        h(
            "tr",
            h("th", name, scope="row"),
            h("td", plain(value)),
            h("td", "set" if name in (seen.differs or {}) else ""),
        )
        for name, value in _flat(source.facts.get("recipe"))
    ]
    return h(
        "section",
        h("h2", "Methods"),
        h("p", text, class_="methods"),
        h("p", h("button", "copy the paragraph", type="button", data_copy=text), " ",
          h("button", "copy BibTeX", type="button", data_copy=entries)),
        h("details", h("summary", f"BibTeX, {len(keys)} entries"), h("pre", entries)),
        h("details", h("summary", f"every value of the recipe, {len(rows)}"),
          h("div", h("table", h("tbody", rows)), class_="scroll")),
        h("details", h("summary", f"arrays and stage versions, {len(stages)}"),
          h("div", h("table", h("thead", h("tr", h("th", "array"), h("th", "stage"), h("th", "axes"), h("th", "values"))),
                     h("tbody", stages)), class_="scroll")),
        id="methods",
    )  # fmt: skip


def _flat(value: object, path: str = "") -> list[tuple[str, object]]:
    if not isinstance(value, Mapping):
        return [(path or "recipe", value)] if value is not None else []
    return [row for key, inner in value.items() for row in _flat(inner, f"{path}.{key}" if path else str(key))]
