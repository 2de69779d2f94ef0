"""One clip as an article: what was cut out, magnified, moved and pooled, each figure with what good looks like."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mer_pipe.report import pictures
from mer_pipe.report.page import charts
from mer_pipe.report.page.alignment import stored_alignment
from mer_pipe.report.page.data import Clip, ClipArrays
from mer_pipe.report.page.figure import Page, figure
from mer_pipe.report.page.html import Child, Markup, h
from mer_pipe.report.page.measures import TEAR, tearing_from
from mer_pipe.report.page.media import Look
from mer_pipe.report.page.motion import magnified_motion, stored_flow, stored_strain
from mer_pipe.report.page.players import Shot, flip, player

LUMA = np.array([0.299, 0.587, 0.114])


def article(arrays: ClipArrays, clip: Clip, look: Look, changes: Sequence[str] = ()) -> Markup:
    """The article of one clip.

    Parameters
    ----------
    changes : what differs from the store compared with, a sentence each.
    """
    arrays.scan()
    page = Page(arrays, clip, look)
    curve = _curve(page)
    groups: dict[str, list[Markup | None]] = {
        "Face": stored_alignment(page) if look.shareable else [_flip(page), *stored_alignment(page), curve],
        "Magnified": [] if look.shareable else [_magnified(page)],
        "Motion between onset and apex": [
            stored_flow(page, "flow_onset"),
            stored_strain(page),
            stored_flow(page, "flow_offset"),
            None if look.shareable else _gray(page),
        ],
        "The clip over time": [curve] if look.shareable else [_frames(page)],
        "The magnified clip": [*([] if look.shareable else [_dynamic(page)]), *magnified_motion(page)],
    }
    shown = [
        h("section", h("h2", title), h("div", figures, class_="figures"))
        for title, figures in groups.items()
        if any(figures)
    ]
    return h("article", _header(page, changes), shown, class_="clip", data_name=clip.name)


def _header(page: Page, changes: Sequence[str]) -> Markup:
    clip, told = page.clip, page.clip.told
    m = clip.measures
    facts: list[tuple[str, Child]] = [
        ("subject", told.get("subject", "")),
        ("label", " · ".join(dict.fromkeys(filter(None, (clip.label, told.get("emotion", ""))))) or "none"),
        ("action units", told.get("aus", "") or "none"),
        ("onset, apex, offset", ", ".join(str(told.get(mark, "?")) for mark in ("onset", "apex", "offset"))),
    ]
    if told.get("frames") and told.get("fps"):
        facts.append(("length", f"{told['frames']} frames at {told['fps']:g} fps, "
                                f"{1000 * told['frames'] / told['fps']:.0f} ms"))  # fmt: skip
    if m.mean is not None:
        facts.append(("mean motion", f"{m.mean:.2f} {m.unit}; 5 % of the face over {m.high:.2f}"))
    if (moved := _head(page)) is not None:
        facts.append(("head motion", moved))
    if told.get("source"):
        facts.append(("source", h("details", h("summary", "sheet and choices"), told["source"])))
    notes = [h("li", h("b", flag.word), ": ", flag.why) for flag in clip.flags]
    notes += [h("li", h("b", "hole"), f": {path} cannot be read", class_="bad") for path in page.arrays.holes]
    notes += [h("li", h("b", "changed"), f": {change}") for change in changes]
    return h(
        "header",
        h("h1", clip.short, tabindex="-1"),
        h("dl", [h("div", h("dt", name), h("dd", value)) for name, value in facts], class_="facts"),
        h("ul", notes, class_="notes") if notes else None,
    )


def _head(page: Page) -> str | None:
    left, taken = page.arrays.get("travel", "head"), page.arrays.get("register", "head")
    if left is None:
        return None
    told = f"{left[0]:.2f} px and {abs(left[3]):.2f}° from onset to apex"
    if taken is None:
        return told
    marks = page.arrays.one.leading("register", "head")["mark"]
    return f"{told}; registration took out {taken[marks.index('apex')][0]:.2f} px"


def _flip(page: Page) -> Markup | None:
    frames = [(mark, page.arrays.mark(mark)) for mark in ("onset", "apex", "offset")]
    shots = [
        Shot(frame, f"{mark}, frame {page.clip.told.get(mark, '?')}", mark)
        for mark, frame in frames
        if frame is not None
    ]
    if not shots:
        return page.holes("crop/image")
    return figure(
        "Onset and apex",
        flip(shots, page.look),
        ["The aligned frames in one place. Click the picture, or press ", h("kbd", "f"), ", to flip."],
        "nothing moves but the expression. Nose, ears and background stand still; if they jump, the clip has head motion "
        "or the wrong frames.",
        "flip",
        data_flip=True,
    )


def _magnified(page: Page) -> Markup | None:
    images = page.arrays.get("magnify", "image")
    if images is None:
        return page.holes("magnify/image")
    factors = page.arrays.one.leading("magnify", "image").get("af", [])
    apex, shots = page.arrays.mark("apex"), []
    for af, mark in ((0.0, "onset"), (1.0, "apex")):
        frame = page.arrays.mark(mark)
        if frame is not None and af not in factors:
            shots.append((af, frame, f"AF {af:g}, {mark}"))
    shots += [(af, image, f"AF {round(af, 2):g}") for af, image in zip(factors, images, strict=True)]
    shots.sort(key=lambda shot: shot[0])
    changes, scale = None, 0.0
    if apex is not None and apex.shape == images.shape[1:]:
        fields = [(image.astype(np.float64) - apex) @ LUMA for _, image, _ in shots]
        # The scale of a middling AF: of all together, the strongest alone would be seen.
        scale = pictures.signed_scale(fields[_nearest([af for af, _, _ in shots], 4)])
        changes = [pictures.signed_picture(field, scale) for field in fields]
    tear = tearing_from([af for af, _, _ in shots], page.clip.measures)
    about: list[Child] = [
        "The apex with its motion since the onset multiplied by AF: 0 is the onset, 1 the apex. Drag, or press ",
        h("kbd", "space"), " to play.",
    ]  # fmt: skip
    if changes:
        about += [
            " ",
            h("kbd", "d"),
            f" shows the difference to the apex: gray is none, white and black ±{scale:g} grey levels.",
        ]
    if tear is not None:
        about.append(
            h("span", f" From AF {round(tear, 2):g} on, AF times the fastest 5 % of the motion exceeds {TEAR:g} px: "
                      "expect tears there.", class_="warn")
        )  # fmt: skip
    middle = _nearest([af for af, _, _ in shots], 6)
    body = player(
        [Shot(image, label, f"{round(af, 4):g}") for af, image, label in shots], page.look, "AF", middle, changes
    )
    good = (
        "the expression grows with AF and stays where it is; skin, hair and background keep still and sharp. Ghosts, "
        "waves or tears at low AF mean noise or head motion was magnified."
    )
    return figure("Magnified apex", body, about, good, "player wide", data_player=True)


def _nearest(factors: Sequence[float], af: float) -> int:
    return min(range(len(factors)), key=lambda i: abs(factors[i] - af))


def _frames(page: Page) -> Markup | None:
    images = page.arrays.get("interpolate", "image")
    if images is None:
        return page.holes("interpolate/image")
    shots = [Shot(image, f"TIM frame {i}", str(i)) for i, image in enumerate(images)]
    return figure(
        "The clip in equal steps",
        player(shots, page.look, "frame", 0, None),
        f"Onset to offset, interpolated in time (TIM) to {len(images)} frames.",
        "the expression comes and goes smoothly; no frame is doubled, dark or from another clip.",
        "player wide",
        data_player=True,
    )


def _curve(page: Page) -> Markup | None:
    images = page.arrays.get("interpolate", "image")
    if images is None or len(images) < 3:
        return None
    gray = images.astype(np.float32) @ LUMA.astype(np.float32)
    values = np.abs(gray - gray[0]).mean((1, 2)).tolist()
    told, last = page.clip.told, len(images) - 1
    marks = {"onset": 0.0, "offset": float(last)}
    if told.get("offset", 0) > told.get("onset", 0):
        marks["apex"] = last * (told["apex"] - told["onset"]) / (told["offset"] - told["onset"])
    return figure(
        "Motion over time",
        charts.curve("Motion over time", values, marks, "grey levels", "TIM frame"),
        "Mean absolute difference to the onset over the face square. The first step holds the camera's noise.",
        "it rises to the apex mark and falls. A curve that climbs to the end is head motion or light; a peak far from the "
        "mark, a doubtful apex.",
        "chart-figure",
    )


def _dynamic(page: Page) -> Markup | None:
    image = page.arrays.get("dynamic", "image")
    if image is None:
        return page.holes("dynamic/image")
    scale = pictures.signed_scale(image)
    return figure(
        "Dynamic image",
        page.look.image(pictures.signed_picture(image, scale), "dynamic image"),
        f"Rank pooling of the magnified clip: one image in which later frames weigh more. Gray is 0, white +{scale:.2g}, "
        f"black −{scale:.2g}.",
        "a gray ground with edges where the expression moves. An outline of the whole head is head motion.",
    )


def _gray(page: Page) -> Markup | None:
    image = page.arrays.get("gray", "image")
    if image is None:
        return page.holes("gray/image")
    about = page.arrays.one.about("gray", "image") or "luma"
    good = "the expression is plain to see, with no ghosts; the dual branch reads exactly this picture."
    return figure("Gray", page.look.image(pictures.image_picture(image), about), about, good)
