"""A store and a clip as a notebook shows them: one piece of HTML that needs no network, no style sheet and no script file."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mer_pipe.report import pictures
from mer_pipe.report.clips import array_panels, chosen_places, clip_facts
from mer_pipe.report.compare import few
from mer_pipe.report.inspect import Overview, overview, render, render_clip
from mer_pipe.report.one_clip import OneClip, open_clip
from mer_pipe.report.page.html import Child, Markup, h
from mer_pipe.report.page.media import compressed, data_uri, fitted
from mer_pipe.report.strips import strip
from mer_pipe.report.terminal import human
from mer_pipe.types import StoreError

if TYPE_CHECKING:
    import xarray

FACES = 6
"""Clips whose faces a store shows."""
SIDE = 256
"""px: longest side of a picture."""
MOST = 60
"""Pictures under a slider; WebP holds no more than 16383 px side by side."""
SHOWN_AF = 8.0
QUALITY = 88
PRIVACY = (
    "Contains faces of people, under the licence of the database. A notebook keeps them: clear its outputs before you "
    "pass it on."
)

# Handlers inside attributes find their figure from where they are: no ids to collide, and no script that must run first.
SLIDE = (
    "const f=this.closest('figure'),i=f.querySelector('img'),t=JSON.parse(f.dataset.names);"
    "i.style.objectPosition=-this.value*f.dataset.wide+'px 0';f.querySelector('output').textContent=t[this.value]"
)
PLAY = (
    "const f=this.closest('figure'),s=f.querySelector('input'),stop=()=>{clearInterval(f.timer);f.timer=0};"
    "if(f.timer){stop();this.textContent='play'}else{let d=1;this.textContent='stop';f.timer=setInterval(()=>{"
    "if(!f.isConnected)return stop();let v=+s.value+d;if(v<0||v>+s.max){d=-d;v=+s.value+d}"
    "s.value=v;s.dispatchEvent(new Event('input'))},180)}"
)


def show(store: str | Path | xarray.DataTree, clip: str | None = None) -> StoreView | ClipView:
    """A store, or one clip of it, to look at in a notebook; in a plain terminal it prints as text.

    Parameters
    ----------
    store : path of a published store, or what `mer_pipe.open` returned.
    clip : id of a clip, or an end of it that names one.

    Raises
    ------
    StoreError : the store or the clip is not there, or the tree was not opened from a store.
    """
    path = store if isinstance(store, str | Path) else getattr(store, "encoding", {}).get("source")
    if path is None:
        raise StoreError("this object was not opened from a store", "pass a path, or what mer_pipe.open returns")
    if clip is None:
        return StoreView(path, overview(path))
    one = open_clip(path, clip)
    return ClipView(path, one)


@dataclass(frozen=True)
class _View:
    path: str | Path

    def _repr_html_(self) -> str:
        raise NotImplementedError

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        made = {"text/plain": self.__repr__, "text/html": self._repr_html_}
        wanted = [kind for kind in made if (not include or kind in include) and kind not in (exclude or ())]
        return {kind: made[kind]() for kind in wanted}


@dataclass(frozen=True, repr=False)
class StoreView(_View):
    """A store at a glance, see `show`."""

    seen: Overview

    def __repr__(self) -> str:
        return _text(render(self.seen))

    def _repr_html_(self) -> str:
        seen = self.seen
        lost = len(seen.excluded) + len(seen.failed)
        colour = "#2e7d32" if not lost else "#b26a00" if not seen.failed else "#c62828"
        verdict = f"{seen.clips} clips usable, {len(seen.excluded)} excluded, {len(seen.failed)} failed"
        named = f"{seen.path} · {seen.database or 'unnamed'} · recipe {seen.recipe or 'unnamed'} · {human(seen.bytes)}"
        return _framed(
            colour,
            h("strong", verdict),
            h("div", named, style="opacity:.75"),
            h("div", f"features are from random weights ({seen.random_weights}): not for results",
              style="color:#c62828") if seen.random_weights else None,
            h("div", "classes: ", _counted(seen.classes), style="margin-top:.5em"),
            h("div", "subjects: ", _counted(seen.subjects)),
            [h("div", f"{e['id']}: {e['reason']}", style="color:#b26a00") for e in (*seen.failed, *seen.excluded)[:8]],
            h("div", f"and {lost - 8} more", style="opacity:.75") if lost > 8 else None,
            [h("div", f"look at {w}", style="color:#b26a00") for w in seen.warnings[:8]],
            _guarded("faces", lambda: _faces(self.path)),
            h("details", h("summary", f"{len(seen.arrays)} arrays"), _arrays(seen)),
        )  # fmt: skip


@dataclass(frozen=True, repr=False)
class ClipView(_View):
    """One clip, see `show`."""

    one: OneClip

    def __repr__(self) -> str:
        return _text(render_clip(clip_facts(self.path, self.one.coordinates["sample"])))

    def _repr_html_(self) -> str:
        told = self.one.coordinates
        marks = f"onset {told.get('onset')}, apex {told.get('apex')}, offset {told.get('offset')}"
        rate = f", {told['fps']:g} frames a second" if told.get("fps") else ""
        more = [told["emotion"]] if told.get("emotion") not in (None, "", told.get("label")) else []
        more += [f"AU {told['aus']}"] if told.get("aus") else []
        more += [told["repairs"]] if told.get("repairs") else []
        return _framed(
            "#1565c0",
            h("strong", told["sample"]),
            h("div", f"{told.get('label') or 'outside the class set'} · {marks}{rate}", style="opacity:.75"),
            h("div", " · ".join(more), style="opacity:.75") if more else None,
            _guarded("magnify" if "magnify" in self.one.stages else "crop", lambda: _player(self.one)),
            [_guarded(stage, lambda stage=stage: _still(self.one, stage)) for stage in self._drawn],
        )

    @property
    def _drawn(self) -> list[str]:
        return [stage for stage in ("flow_onset", "strain", "dynamic") if stage in self.one.stages]


def _framed(colour: str, *children: Child) -> str:
    """The colours of the text and the ground are the notebook's own, light or dark."""
    style = f"border-left:4px solid {colour};padding:.2em 0 .2em .9em;line-height:1.5;max-width:72em"
    return h("div", *children, h("div", h("small", PRIVACY), style="opacity:.75;margin-top:.5em"), style=style)


def _counted(counts: dict[str, int]) -> str:
    shown = [f"{name or 'outside the class set'} {count}" for name, count in list(counts.items())[:12]]
    return ", ".join(shown) + (f" and {len(counts) - 12} more" if len(counts) > 12 else "")


def _guarded(stage: str, draw: Any) -> Child:
    """What `draw` makes; a damaged array is told by name, and the rest is shown."""
    try:
        return draw()
    except StoreError as error:
        return h("div", f"{stage} is not shown: {error}", style="color:#c62828")


def _faces(path: str | Path) -> Markup | None:
    """One face of some clips, at the stored AF nearest to 8, or the apex where nothing is magnified."""
    import zarr

    samples = zarr.open_group(str(path), mode="r", zarr_format=3)["sample"][...].tolist()
    drawn, captions, af = [], [], None
    for sample in few(samples, FACES):
        one = open_clip(path, sample)
        if "magnify" in one.stages:
            afs = one.leading("magnify", "image")["af"]
            nearest = min(range(len(afs)), key=lambda i, afs=afs: abs(afs[i] - SHOWN_AF))
            image, af = one.values("magnify", "image")[nearest], afs[nearest]
        elif "crop" in one.stages and "apex" in (marks := one.leading("crop", "image").get("mark", [])):
            image = one.values("crop", "image")[marks.index("apex")]
        else:
            return None
        drawn.append(fitted(pictures.image_picture(image), SIDE // 2))
        captions.append(f"{sample.partition('/')[2]}: {one.coordinates.get('label') or 'no class'}")
    sheet = strip(drawn, captions, "apex" if af is None else f"apex magnified, AF {af:g}")
    return _image(sheet, f"faces of {len(drawn)} clips")


def _player(one: OneClip) -> Markup:
    """Onset, apex and every AF in one picture, of which a slider shows one part; without styles all of it is seen."""
    drawn, names = [], []
    if "crop" in one.stages:
        marks = one.leading("crop", "image").get("mark", [])
        frames = one.values("crop", "image")
        for mark in ("onset", "apex"):
            if mark in marks:
                drawn.append(frames[marks.index(mark)])
                names.append(f"{mark}, frame {one.coordinates.get(mark)}")
    if "magnify" in one.stages:
        afs, images = one.leading("magnify", "image")["af"], one.values("magnify", "image")
        for i in few(range(len(afs)), MOST):
            drawn.append(images[i])
            names.append(f"AF {round(afs[i], 2):g}")
    if not drawn:
        raise StoreError("the store holds no frames of it", "build it again with this mer-pipe")
    frames = [fitted(pictures.image_picture(image), SIDE) for image in drawn]
    high, wide = frames[0].shape[:2]
    sheet = np.concatenate(frames, axis=1)
    look = f"width:{wide}px;height:{high}px;max-width:none;object-fit:none;object-position:0 0;display:block;margin:0"
    return h(
        "figure",
        h("img", src=data_uri(compressed(sheet, QUALITY)), alt=f"left to right: {', '.join(names)}", style=look),
        h("button", "play", type="button", onclick=PLAY),
        h("input", type="range", min=0, max=len(frames) - 1, value=0, oninput=SLIDE, aria_label="AF",
          style=f"width:{wide - 60}px;vertical-align:middle"),
        h("div", h("output", names[0])),
        data_names=json.dumps(names),
        data_wide=wide,
        style="margin:.5em 1em .5em 0;display:inline-block;vertical-align:top",
    )  # fmt: skip


def _still(one: OneClip, stage: str) -> list[Markup]:
    """The pictures of a stage without further axes, each with its caption."""
    return list(_stills(one, stage))


def _stills(one: OneClip, stage: str) -> Iterator[Markup]:
    for name in one.names(stage):
        if not one.kind(stage, name):
            continue
        panels, note = array_panels(one, stage, name, chosen_places(one, stage, name, None))
        for picture, caption in panels:
            told = note or caption
            told = told if told.startswith(stage) else f"{stage}: {told}"
            small = fitted(picture, SIDE)
            yield h(
                "figure",
                _image(small, told),
                h("div", told, style=f"max-width:{small.shape[1]}px"),
                style="margin:.5em 1em .5em 0;display:inline-block;vertical-align:top",
            )


def _image(picture: np.ndarray, alt: str) -> Markup:
    return h("img", src=data_uri(compressed(picture, QUALITY)), alt=alt, style="max-width:100%;margin:0;display:block")


def _arrays(seen: Overview) -> Markup:
    rows: list[Sequence[str]] = [
        (
            array.path,
            " × ".join(f"{dim}={size}" for dim, size in array.axes.items()),
            f"{array.dtype} {array.units if array.units != '1' else ''}".strip(),
            human(array.bytes),
            ", ".join(array.systems),
        )
        for array in seen.arrays
    ]
    head = h("tr", [h("th", name, style="text-align:left") for name in ("array", "axes", "type", "size", "read by")])
    return h("table", head, [h("tr", [h("td", cell, style="text-align:left") for cell in row]) for row in rows])


def _text(renderable: Any) -> str:
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=100, highlight=False, color_system=None).print(renderable)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


__all__ = ["ClipView", "StoreView", "show"]
