"""One clip of a store: its pictures at one stage as a strip, and its numbers."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mer_pipe.report import pictures
from mer_pipe.report.one_clip import OneClip, open_clip
from mer_pipe.report.strips import Panels
from mer_pipe.types import StoreError

ROWS = 4
"""Frames shown of features that have a frame and an AF axis."""
BINS = 16
AF_DIGITS = 2
"""Decimals of an AF in captions; an AF that is asked for is found by what a caption shows."""


def clip_strip(
    store_path: str | Path, clip: str, stage: str = "magnify", af: Sequence[float] | None = None
) -> tuple[np.ndarray, str]:
    """One clip at one stage as a labelled strip: (y, x, 3) uint8, and its title. Takes and raises what `clip_panels` does."""
    panels = clip_panels(store_path, clip, stage, af)
    return panels.strip(), panels.title


def clip_panels(store_path: str | Path, clip: str, stage: str = "magnify", af: Sequence[float] | None = None) -> Panels:
    """The pictures of one clip at one stage.

    Parameters
    ----------
    store_path : a published store.
    clip : its id ("casme2/sub01/EP02_01f") or an end of it that names one clip ("EP02_01f").
    stage : a group of the store.
    af : the AFs to show; all when None.

    Returns
    -------
    With the clip, its labels, action units and frame numbers of onset, apex and offset as title.

    Raises
    ------
    StoreError : the store, the clip, the stage or an AF is not there, or the stage has no picture.
    """
    return stage_panels(open_clip(store_path, clip), stage, af)


def stage_panels(one: OneClip, stage: str, af: Sequence[float] | None = None) -> Panels:
    """As `clip_panels`, of a clip that is open."""
    names = drawn_names(one, stage)
    if af is not None and not any("af" in one.leading(stage, name) for name in names):
        raise StoreError(f"{stage} has no AF axis", "leave the AFs out")
    panels = list(_before(one, stage, names[0]))
    columns, notes = None, [one.about(stage, name) for name in names if one.about(stage, name)]
    for name in names:
        chosen = chosen_places(one, stage, name, af)
        more, note = array_panels(one, stage, name, chosen)
        panels += more
        notes += [note] if note else []
        if len(chosen) > 1:
            columns = len(list(chosen.values())[-1])
    drawn, captions = zip(*panels, strict=True)
    return Panels(drawn, captions, one.title, f"{stage}{': ' if notes else ''}{'; '.join(notes)}", columns)


def drawn_names(one: OneClip, stage: str) -> list[str]:
    """The arrays of a stage that have a picture.

    Raises
    ------
    StoreError : the store has no such stage, or it has no picture.
    """
    check_stage(one.stages, stage)
    names = [name for name in one.names(stage) if one.kind(stage, name)]
    if not names:
        held = "; ".join(_told(one, stage, name) for name in one.names(stage))
        raise StoreError(f"{stage} has no picture; it holds {held}", f"stages with one: {', '.join(_drawn(one))}")
    return names


def clip_facts(store_path: str | Path, clip: str) -> dict[str, Any]:
    """What a store says of one clip: its coordinates, and for each array its axes and units, its least, mean and largest
    value and how many values lie in each of 16 equal parts between the two ends. An array that cannot be read tells why
    under "damaged" instead.

    Raises
    ------
    StoreError : the store or the clip is not there.
    """
    one = open_clip(store_path, clip)
    arrays = {}
    for stage in one.stages:
        for name in one.names(stage):
            array = one.tree[f"{stage}/{name}"]
            told = {
                "axes": {str(dim): array.sizes[dim] for dim in array.dims[1:]},
                "dtype": str(array.dtype),
                "units": array.attrs.get("units", ""),
            }
            try:
                arrays[f"{stage}/{name}"] = told | _spread(one.values(stage, name))
            except StoreError as error:
                arrays[f"{stage}/{name}"] = told | {"damaged": str(error)}
    return {**one.coordinates, "arrays": arrays}


def _spread(values: np.ndarray) -> dict[str, Any]:
    low, high = float(values.min()), float(values.max())
    # float16 overflows in the differences that bins are made of.
    flat = values.ravel() if values.dtype.kind != "f" else values.ravel().astype(np.float64, copy=False)
    counts = np.histogram(flat, BINS, (low, high))[0] if np.isfinite([low, high]).all() else np.zeros(BINS, int)
    return {"min": low, "mean": float(values.mean(dtype=np.float64)), "max": high, "histogram": counts.tolist()}


def check_stage(stages: Sequence[str], stage: str) -> None:
    """Raise StoreError, with the nearest name, where `stage` is not one of the store's."""
    if stage not in stages:
        near = difflib.get_close_matches(stage, stages, 1, 0.5)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise StoreError(f"the store has no stage {stage!r}{hint}", f"it holds {', '.join(stages)}")


def _drawn(one: OneClip) -> list[str]:
    return [stage for stage in one.stages if any(one.kind(stage, name) for name in one.names(stage))]


def _told(one: OneClip, stage: str, name: str) -> str:
    values = one.values(stage, name)
    if values.size > 12:
        return f"{name} of shape {' x '.join(map(str, values.shape))}"
    return f"{name} {np.array2string(values, precision=5, separator=', ', suppress_small=True)}"


def chosen_places(one: OneClip, stage: str, name: str, af: Sequence[float] | None) -> dict[str, list[int]]:
    """Positions to show along each leading axis; StoreError for an AF that is not there."""
    chosen = {}
    lead = one.leading(stage, name)
    for dim, values in lead.items():
        chosen[dim] = list(range(len(values)))
        if dim == "af" and af is not None:
            shown = [round(value, AF_DIGITS) for value in values]
            absent = [a for a in af if round(a, AF_DIGITS) not in shown]
            if absent:
                lacks = ", ".join(f"{a:g}" for a in absent)
                raise StoreError(f"{stage} has no AF {lacks}", f"it holds {', '.join(f'{a:g}' for a in shown)}")
            chosen[dim] = [shown.index(round(a, AF_DIGITS)) for a in af]
        elif dim == "frame" and "af" in lead and len(values) > ROWS:
            chosen[dim] = [round(i * (len(values) - 1) / (ROWS - 1)) for i in range(ROWS)]
    return chosen


Panel = tuple[np.ndarray, str]


def array_panels(one: OneClip, stage: str, name: str, chosen: Mapping[str, list[int]]) -> tuple[list[Panel], str]:
    """The panels of one array on one common scale, and what the strip's heading tells of them."""
    kind = one.kind(stage, name)
    places: list[tuple[int, ...]] = [()]
    for positions in chosen.values():
        places = [(*place, position) for place in places for position in positions]
    whole = one.values(stage, name)
    every = [whole[place] for place in places]
    labels = [_label(one, stage, name, place) for place in places]
    if kind == "image":
        return [(pictures.image_picture(v), label) for v, label in zip(every, labels, strict=True)], ""
    if kind == "flow":
        scale = pictures.flow_scale(*every)
        shown = [_flow(v, scale, label) for v, label in zip(every, labels, strict=True)]
        return [*shown, _wheel(every[0], scale)], ""
    if kind == "strain":
        return [_strain(v, label) for v, label in zip(every, labels, strict=True)], ""
    if kind == "motion":
        flow, scale = every[0][..., :2], pictures.flow_scale(every[0][..., :2])
        return [_flow(flow, scale, "flow"), _wheel(flow, scale), _strain(every[0][..., 2], "strain")], ""
    if kind == "signed":
        scale = pictures.signed_scale(*every)
        drawn = [pictures.signed_picture(v, scale) for v in every]
        return list(zip(drawn, labels, strict=True)), f"gray is 0, white +{scale:g}, black -{scale:g}"
    fields = [pictures.feature_field(v) for v in every]
    scale = pictures.heat_scale(*fields)
    what = f"mean of {every[0].shape[0]} maps" if every[0].ndim == 3 else f"{every[0].shape[0]} values, row by row"
    weights = _random_weights(one)
    note = f"{what}, dark is 0, yellow {scale:g}" + (f"; WEIGHTS ARE {weights}" if weights else "")
    return [(pictures.heat_picture(f, scale), label) for f, label in zip(fields, labels, strict=True)], note


def _label(one: OneClip, stage: str, name: str, place: tuple[int, ...]) -> str:
    parts = []
    for (dim, values), position in zip(one.leading(stage, name).items(), place, strict=True):
        value = values[position]
        if dim == "mark":
            parts.append(_mark(one, value))
        else:
            # A frame of an interpolated clip has a number of its own, which is none of the raw frames'.
            parts.append(f"AF {round(value, AF_DIGITS):g}" if dim == "af" else f"TIM frame {value}")
    return ", ".join(parts) or (name if one.kind(stage, name) in ("flow", "strain") else stage)


def _mark(one: OneClip, mark: str) -> str:
    number = one.coordinates.get(mark)
    return mark if number is None else f"{mark}, frame {number}"


def _flow(flow: np.ndarray, scale: float, label: str) -> Panel:
    return pictures.flow_picture(flow, scale), f"{label}; full colour is {scale:g} px"


def _wheel(flow: np.ndarray, scale: float) -> Panel:
    return pictures.flow_key(min(flow.shape[:2])), f"direction; rim is {scale:g} px"


def _strain(values: np.ndarray, label: str) -> Panel:
    scale = pictures.heat_scale(values, least=1e-3)
    return pictures.strain_picture(values, scale), f"{label}; yellow is {scale:g} px/px"


def _random_weights(one: OneClip) -> str:
    """What to say of features of an untrained network; "" of a trained one."""
    recipe = one.facts.get("recipe")
    weights = recipe.get("features", {}).get("weights", "") if isinstance(recipe, Mapping) else ""
    return weights.upper().replace(":", ", SEED ") if weights.startswith("random:") else ""


def _before(one: OneClip, stage: str, name: str) -> Iterator[Panel]:
    """The aligned frames that a stage's pictures are compared with."""
    if stage in ("crop", "interpolate") or one.kind(stage, name) == "map" or "crop" not in one.stages:
        return
    marks = one.leading("crop", "image").get("mark", [])
    frames = one.values("crop", "image")
    to_magnified = one.kind(stage, name) == "flow" and "magnified" in one.about(stage, name) and "gray" in one.stages
    for mark in ("offset", "apex") if stage == "flow_offset" else ("onset", "apex"):
        if mark == "apex" and to_magnified:
            yield pictures.image_picture(one.values("gray", "image")), "magnified apex"
        elif mark in marks:
            yield frames[marks.index(mark)], _mark(one, mark)
