"""The contact sheet: every clip as a card, to sort and to filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mer_pipe.report.page.data import Clip, Source
from mer_pipe.report.page.html import Markup, h
from mer_pipe.report.page.measures import RULES


@dataclass(frozen=True)
class Card:
    """What the contact sheet shows of one clip.

    Attributes
    ----------
    clip : its flags may hold more than `clip.flags` (holes, changes): `words`.
    thumbnail : <img> of all its cells in a row.
    cells : caption of each cell, and whether it is a hole.
    link : to the clip's page.
    words : of all its flags.
    """

    clip: Clip
    thumbnail: Markup
    cells: Sequence[tuple[str, bool]]
    link: str
    words: tuple[str, ...]


def contact_sheet(source: Source, cards: Sequence[Card]) -> Markup:
    """The section with a card for every clip, its filters, its legend and its rules."""
    clips = [card.clip for card in cards]
    subjects = sorted({clip.told.get("subject", "") for clip in clips})
    labels = sorted({clip.label for clip in clips})
    aus = sorted(
        {au for clip in clips for au in clip.aus}, key=lambda au: (int("".join(filter(str.isdigit, au)) or 0), au)
    )
    words = [word for word in RULES if any(word in card.words for card in cards)]
    controls = h(
        "form",
        h("label", "find ", h("input", type="search", name="find", placeholder="clip, label, AU", autocomplete="off")),
        _select("subject", [(s, s) for s in subjects], "all"),
        _select("label", [(label, label or "outside the class set") for label in labels], "all"),
        _select("AU", [(au, f"AU {au}") for au in aus], "all"),
        _select("flag", [("any", "any flag"), *((word, word) for word in words)], "all clips"),
        _select("sort", [("id", "clip"), ("subject", "subject"), ("label", "label"), ("motion", "mean motion"),
                         ("high", "largest motion"), ("frames", "length"), ("flags", "flags")]),
        h("button", "↑", type="button", id="direction", aria_label="order: ascending", title="turn the order round"),
        h("button", "reset", type="reset"),
        h("output", f"{len(cards)} of {len(cards)}", id="count", aria_live="polite"),
        id="filters",
    )  # fmt: skip
    scales = source.scales
    cells = {name.partition(":")[0] for card in cards for name, _ in card.cells}
    told = {
        "flow": f"flow is full colour at {scales['flow']:g} px",
        "strain": f"strain yellow at {scales['strain']:g} px/px",
        "dynamic": f"dynamic images end at ±{scales['dynamic']:.2g}",
    }
    legend = "One scale for all: " + ", ".join(text for name, text in told.items() if name in cells) + "."
    rules = h("details", h("summary", "what is flagged, and by which rule"),
              h("dl", [h("div", h("dt", word), h("dd", rule)) for word, rule in RULES.items()], class_="facts"))  # fmt: skip
    return h(
        "section",
        h("h2", "Contact sheet"),
        controls,
        h(
            "p",
            legend,
            " ",
            h("i", class_="wheel small", role="img", aria_label="flow direction by colour"),
            class_="soft",
        ),
        rules,
        h("ol", [_card(card, scales) for card in cards], id="sheet"),
        h("p", "No clip fits these filters.", id="empty", hidden=True),
        id="contact",
    )


def _select(name: str, options: Sequence[tuple[str, str]], every: str | None = None) -> Markup:
    first = [h("option", every, value="*")] if every else []
    return h("label", f"{name} ", h("select", first, [h("option", text, value=v) for v, text in options], name=name))


def _card(card: Card, scales: Mapping[str, float]) -> Markup:
    clip, m = card.clip, card.clip.measures
    motion = "" if m.mean is None else f"{m.mean:.2f} {m.unit}"
    tags = [h("span", word, class_="word bad" if word == "hole" else "word") for word in card.words]
    told = [clip.label or "no label", f"AU {clip.told['aus']}" if clip.told.get("aus") else ""]
    return h(
        "li",
        h(
            "a",
            h("span", h("b", clip.short), h("span", " · ".join(filter(None, told))), h("span", motion, class_="value"),
              class_="head"),
            card.thumbnail,
            h("span", [h("span", text, class_="bad" if bad else None) for text, bad in card.cells], class_="cells"),
            h("span", tags, class_="words") if tags else None,
            href=card.link,
        ),
        data_id=clip.id,
        data_subject=clip.told.get("subject", ""),
        data_label=clip.label,
        data_au=" ".join(clip.aus),
        data_motion="" if m.mean is None else f"{m.mean:.5g}",
        data_high="" if m.high is None else f"{m.high:.5g}",
        data_frames=clip.told.get("frames", ""),
        data_flag=",".join(card.words),
    )  # fmt: skip
