"""How clips spread over classes, subjects, lengths, frame rates and motion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from urllib.parse import urlencode

from mer_pipe.report.page import charts
from mer_pipe.report.page.data import Source
from mer_pipe.report.page.html import Markup, h
from mer_pipe.report.page.sheet import Card


def distributions(source: Source, cards: Sequence[Card]) -> Markup:
    """The section of charts."""
    clips, seen = [card.clip for card in cards], source.seen
    outside = "outside the class set"
    classes = {name or outside: count for name, count in seen.classes.items()}
    links = {name or outside: "#" + urlencode({"label": name}) for name in seen.classes}
    lengths = [clip.told.get("frames") for clip in clips]
    rates = [clip.told.get("fps") for clip in clips]
    times = [1000 * n / f if n and f else None for n, f in zip(lengths, rates, strict=True)]
    units = Counter(clip.measures.unit for clip in clips if clip.measures.mean is not None)
    unit = units.most_common(1)[0][0] if units else "px"
    moved: dict[str, list[tuple[float, str, str]]] = {name: [] for name in classes}
    for card in cards:
        m = card.clip.measures
        if m.mean is not None and m.unit == unit:
            moved[card.clip.label or outside].append((m.mean, card.clip.short, card.link))
    sizes = [count for name, count in seen.classes.items() if name]
    uneven = len(sizes) > 1 and max(sizes) / min(sizes)
    share = "Classes that differ in how much moves can be told apart by that alone."
    # Subjects of one database are told apart without its name.
    databases = {name.partition("/")[0] for name in seen.subjects}
    short = {name: name.partition("/")[2] or name if len(databases) == 1 else name for name in seen.subjects}
    subjects = {short[name]: "#" + urlencode({"subject": name}) for name in seen.subjects}
    figures = [
        ("Classes", charts.bars("Clips by class", classes, links),
         f"Largest to smallest class: {uneven:.1f} to 1. Weight classes, or sample them, in training." if uneven else ""),
        ("Mean motion by class", charts.dots("Mean motion by class", moved, unit),
         share),
        ("Clip length", charts.histogram("Clip length", lengths, "frames"), "Onset to offset, both counted."),
        ("Clip duration", charts.histogram("Clip duration", times, "ms"), "A micro-expression lasts up to about half a second."),
        ("Frame rate", charts.histogram("Frame rate", rates, "fps"), "One rate is good: with two, motion a frame differs."),
        ("Subjects", charts.bars("Clips by subject", {short[name]: count for name, count in seen.subjects.items()}, subjects),
         "Leave-one-subject-out folds are as uneven as these bars."),
    ]  # fmt: skip
    shown = [h("figure", h("h3", title), chart, h("figcaption", note, class_="soft")) for title, chart, note in figures]
    return h("section", h("h2", "Distributions"), h("div", shown, class_="charts"), id="distributions")
