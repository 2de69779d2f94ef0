"""A clip in motion: from onset over apex through the AFs and back, or its frames in time, as GIF or MP4."""

from __future__ import annotations

import io
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mer_pipe.report import pictures
from mer_pipe.report.clips import AF_DIGITS, array_panels, chosen_places, drawn_names
from mer_pipe.report.one_clip import MARKS, OneClip, open_clip
from mer_pipe.report.strips import INK, PAPER, SOFT, fitted, wrapped
from mer_pipe.types import StoreError

TICK = 80
"""ms: every picture stays for a multiple of it, so that a video of one frame a tick keeps the same times."""
STEP, HOLD = 2 * TICK, 8 * TICK
WIDTH = 336
COLOURS = 255
CODECS = {"vp09": "VP9, which Chromium plays", "mp4v": "MPEG-4 part 2, which Chromium does not play"}
"""What OpenCV's own wheels can write into MP4, best first; they have no H.264 encoder."""


@dataclass(frozen=True)
class Sweep:
    """Pictures to be shown one after the other, again and again.

    Attributes
    ----------
    frames : (y, x, 3) uint8, all of one size, even in both directions.
    times : how long each stays, in ms, multiples of `TICK`.
    title : what is shown.
    """

    frames: tuple[np.ndarray, ...]
    times: tuple[int, ...]
    title: str


@dataclass(frozen=True)
class Stop:
    """One picture of a sweep: where it lies between the first (0) and the last (1), and its caption."""

    picture: np.ndarray
    place: float
    caption: str


def clip_sweep(
    store_path: str | Path, clip: str, stage: str = "magnify", af: Sequence[float] | None = None, width: int = WIDTH
) -> Sweep:
    """One clip at one stage as a sweep, captions in the pictures.

    Images of AFs go from onset over apex up to the largest AF and back. Frames go forward in time, onset to offset, many
    times slower than they were; the caption tells their true time. Features of frames and AFs need one AF.

    Parameters
    ----------
    store_path, clip, stage, af : as for `mer_pipe.report.clips.clip_panels`.
    width : of the pictures in px.

    Raises
    ------
    StoreError : as `clip_panels`, and where a stage has nothing to go through.
    """
    one = open_clip(store_path, clip)
    for name in drawn_names(one, stage):
        lead = one.leading(stage, name)
        if not lead:
            continue
        if af is not None and "af" not in lead:
            raise StoreError(f"{stage} has no AF axis", "leave the AFs out")
        chosen = chosen_places(one, stage, name, af)
        if "frame" in lead:
            chosen["frame"] = list(range(len(lead["frame"])))
        axes = [dim for dim, places in chosen.items() if len(places) > 1]
        if len(axes) > 1:
            raise StoreError(
                f"{stage} has frames and AFs, which is more than one film shows", "name one AF with --af 8"
            )
        # One AF is enough beside onset and apex.
        stops, note = _stops(one, stage, name, chosen, (axes or list(chosen))[-1])
        if len(stops) < 2:
            raise StoreError(f"one picture of {stage} is no sweep", "write it with -o strip.png")
        return _film(stops, one.title, f"{stage}: {note}", "frame" not in axes, width)
    raise StoreError(f"{stage} has one picture, nothing to sweep through", "write it with -o strip.png")


def write_sweep(path: str | Path, sweep: Sweep) -> str:
    """Write a sweep as .gif or .mp4, whole or not at all; what was written, in words.

    Raises
    ------
    StoreError : another suffix, the file cannot be written, or this OpenCV writes no video.
    """
    from mer_pipe.store.durable import write_file

    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".gif":
        data, how = _gif(sweep), "GIF"
    elif suffix == ".mp4":
        data, how = _mp4(sweep)
    else:
        raise StoreError(f"{path.name} is no .gif or .mp4", "choose one of them for a sweep")
    write_file(path, data)
    high, wide = sweep.frames[0].shape[:2]
    return f"{len(sweep.frames)} pictures, {wide} x {high} px, {sum(sweep.times) / 1000:.1f} s, {how}"


def _stops(one: OneClip, stage: str, name: str, chosen: dict[str, list[int]], axis: str) -> tuple[list[Stop], str]:
    panels, note = array_panels(one, stage, name, chosen)
    values = one.leading(stage, name)[axis]
    drawn = [(picture, values[i]) for (picture, _), i in zip(panels, chosen[axis], strict=False)]
    if axis == "frame":
        return _in_time(one, drawn, note, chosen, one.leading(stage, name))
    if axis == "mark":
        many = max(1, len(drawn) - 1)
        return [Stop(p, i / many, _marked(one, str(v))) for i, (p, v) in enumerate(drawn)], note or "the marks"
    stops = [(float(v), p, f"AF {round(v, AF_DIGITS):g}") for p, v in drawn]
    if one.kind(stage, name) == "image" and "crop" in one.stages:
        marks = one.leading("crop", "image").get("mark", [])
        frames = one.values("crop", "image")
        # The onset is the motion times 0, the apex times 1: the sweep goes through them where they belong.
        stops += [(float(f), pictures.image_picture(frames[marks.index(m)]), _marked(one, m))
                  for f, m in enumerate(MARKS[:2]) if m in marks]  # fmt: skip
    stops.sort(key=lambda stop: stop[0])
    low, high = stops[0][0], stops[-1][0]
    span = (high - low) or 1.0
    return [Stop(p, (f - low) / span, caption) for f, p, caption in stops], note or f"motion times {low:g} to {high:g}"


def _in_time(
    one: OneClip,
    drawn: Sequence[tuple[np.ndarray, int]],
    note: str,
    chosen: dict[str, list[int]],
    lead: dict[str, list],
) -> tuple[list[Stop], str]:
    """Frames of an interpolated clip: evenly spaced from onset to offset."""
    told, many = one.coordinates, len(drawn)
    fps = float(told.get("fps", 0) or 0)
    lasts = (told["offset"] - told["onset"]) / fps if fps > 0 and {"onset", "offset"} <= set(told) else 0.0
    stops = []
    for i, (picture, _) in enumerate(drawn):
        when = f" · {1000 * lasts * i / (many - 1):.0f} ms" if lasts else ""
        stops.append(Stop(picture, i / (many - 1), f"TIM frame {i + 1} of {many}{when}"))
    slower = STEP * (many - 1) / (1000 * lasts) if lasts else 0.0
    parts = [f"{1000 * lasts:.0f} ms, shown {slower:.0f} times slower" if lasts else "onset to offset"]
    if "af" in lead:
        parts.append(f"AF {round(lead['af'][chosen['af'][0]], AF_DIGITS):g}")
    return stops, "; ".join([*parts, *([note] if note else [])])


def _marked(one: OneClip, mark: str) -> str:
    number = one.coordinates.get(mark)
    return mark if number is None else f"{mark}, frame {number}"


def _film(stops: Sequence[Stop], title: str, note: str, back: bool, width: int) -> Sweep:
    """Draw every stop once, then put them into the order of time."""
    drawn = _drawn(stops, title, note, width)
    still = len(stops) <= len(MARKS)
    order = list(range(len(stops)))
    if back and not still:
        order += order[-2:0:-1]
    turns = {0, len(stops) - 1}
    times = [HOLD if still or i in turns or stops[i].caption.startswith("apex") else STEP for i in order]
    return Sweep(tuple(drawn[i] for i in order), tuple(times), title)


def _drawn(stops: Sequence[Stop], title: str, note: str, width: int) -> list[np.ndarray]:
    """Each stop under the title, over its caption and a rail that shows how far the sweep has come."""
    from PIL import Image, ImageDraw, ImageFont

    high, wide = stops[0].picture.shape[:2]
    height, margin = round(high * width / wide), round(width / 28)
    head, foot = ImageFont.load_default(width / 24), ImageFont.load_default(width / 17)
    across = width + 2 * margin
    lines = [(text, INK) for text in wrapped(title, head, width)] + [
        (text, SOFT) for text in wrapped(note, head, width)
    ]
    step, top = round(width / 24 * 1.3), margin + round(width / 24 * 1.3) * len(lines) + margin // 2
    rail = top + height + round(width / 17 * 1.9)
    deep = rail + 2 * margin
    drawn = []
    for stop in stops:
        # Even sizes: video halves the colour in both directions.
        sheet = Image.new("RGB", (2 * math.ceil(across / 2), 2 * math.ceil(deep / 2)), PAPER)
        draw = ImageDraw.Draw(sheet)
        for number, (text, colour) in enumerate(lines):
            draw.text((margin, margin + number * step), text, colour, head)
        sheet.paste(fitted(stop.picture, height, width), (margin, top))
        draw.text(
            (across / 2, top + height + round(width / 17 * 0.35)), _one_line(stop.caption, foot, width), INK, foot, "ma"
        )
        draw.line((margin, rail, margin + width, rail), (170, 170, 170), 2)
        for other in stops:
            x = margin + other.place * width
            draw.line((x, rail - 4, x, rail + 4), (170, 170, 170), 1)
        x = margin + stop.place * width
        draw.ellipse((x - 6, rail - 6, x + 6, rail + 6), INK)
        drawn.append(np.asarray(sheet).copy())
    return drawn


def _one_line(text: str, font, width: int) -> str:
    return " ".join(wrapped(text, font, width)[:1])


def _gif(sweep: Sweep) -> bytes:
    from PIL import Image

    different = list({id(frame): frame for frame in sweep.frames}.values())
    # One palette for all: a palette a picture would make still parts of the face flicker, and so would dithering. A ninth
    # of the pixels gives the same palette to 0.03 dB.
    sampled = np.concatenate(different)[::3, ::3].copy()
    palette = Image.fromarray(sampled).quantize(COLOURS, Image.Quantize.MEDIANCUT, kmeans=1)
    reduced = {
        id(frame): Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in different
    }
    first, *others = [reduced[id(frame)] for frame in sweep.frames]
    file = io.BytesIO()
    first.save(file, "gif", save_all=True, append_images=others, duration=list(sweep.times), loop=0, optimize=False)
    return file.getvalue()


def _mp4(sweep: Sweep) -> tuple[bytes, str]:
    import cv2

    high, wide = sweep.frames[0].shape[:2]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sweep.mp4"
        for codec, told in CODECS.items():
            video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 1000 / TICK, (wide, high))
            if not video.isOpened():
                continue
            for frame, time in zip(sweep.frames, sweep.times, strict=True):
                for _ in range(time // TICK):
                    video.write(np.ascontiguousarray(frame[..., ::-1]))
            video.release()
            return path.read_bytes(), told
    raise StoreError("this OpenCV writes no MP4", "write a GIF: -o sweep.gif")
