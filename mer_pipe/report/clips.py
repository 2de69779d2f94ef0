"""One clip of a store: its pictures at one stage as a strip, and its numbers."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mer_pipe.report import pictures
from mer_pipe.report.one_clip import OneClip, open_clip
from mer_pipe.types import StoreError

ROWS = 4
"""Frames shown of features that have a frame and an AF axis."""
AF_DIGITS = 2
"""Decimals of an AF in captions; an AF that is asked for is found by what a caption shows."""


def clip_strip(
    store_path: str | Path, clip: str, stage: str = "magnify", af: Sequence[float] | None = None
) -> tuple[np.ndarray, str]:
    """One clip at one stage as a labelled strip.

    Parameters
    ----------
    store_path : a published store.
    clip : its id ("casme2/sub01/EP02_01f") or an end of it that names one clip ("EP02_01f").
    stage : a group of the store.
    af : the AFs to show; all when None.

    Returns
    -------
    (y, x, 3) uint8 picture, and its title: clip, labels, action units and frame numbers of onset, apex and offset.

    Raises
    ------
    StoreError : the store, the clip, the stage or an AF is not there, or the stage has no picture.
    """
    one = open_clip(store_path, clip)
    _check_stage(one, stage)
    names = [name for name in one.names(stage) if one.kind(stage, name)]
    if not names:
        held = "; ".join(_told(one, stage, name) for name in one.names(stage))
        raise StoreError(f"{stage} has no picture; it holds {held}", f"stages with one: {', '.join(_drawn(one))}")
    if af is not None and not any("af" in one.leading(stage, name) for name in names):
        raise StoreError(f"{stage} has no AF axis", "leave the AFs out")
    panels = list(_before(one, stage, names[0]))
    columns, notes = None, [one.about(stage, name) for name in names if one.about(stage, name)]
    for name in names:
        chosen = _chosen(one, stage, name, af)
        more, note = _panels(one, stage, name, chosen)
        panels += more
        notes += [note] if note else []
        if len(chosen) > 1:
            columns = len(list(chosen.values())[-1])
    title = one.title
    heading = f"{title}\n{stage}{': ' if notes else ''}{'; '.join(notes)}"
    return pictures.strip([p for p, _ in panels], [c for _, c in panels], heading, columns), title


def clip_facts(store_path: str | Path, clip: str) -> dict[str, Any]:
    """What a store says of one clip: its coordinates, and for each array its axes, units and least, mean and largest value.

    Raises
    ------
    StoreError : the store or the clip is not there.
    """
    one = open_clip(store_path, clip)
    arrays = {}
    for stage in one.stages:
        for name in one.names(stage):
            array = one.tree[f"{stage}/{name}"][one.row]
            values = array.values
            arrays[f"{stage}/{name}"] = {
                "axes": {str(dim): size for dim, size in zip(array.dims, array.shape, strict=True)},
                "dtype": str(array.dtype),
                "units": array.attrs.get("units", ""),
                "min": float(values.min()),
                "mean": float(values.mean(dtype=np.float64)),
                "max": float(values.max()),
            }
    return {**one.coordinates, "arrays": arrays}


def _check_stage(one: OneClip, stage: str) -> None:
    if stage not in one.stages:
        near = difflib.get_close_matches(stage, one.stages, 1, 0.5)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise StoreError(f"the store has no stage {stage!r}{hint}", f"it holds {', '.join(one.stages)}")


def _drawn(one: OneClip) -> list[str]:
    return [stage for stage in one.stages if any(one.kind(stage, name) for name in one.names(stage))]


def _told(one: OneClip, stage: str, name: str) -> str:
    values = one.values(stage, name)
    if values.size > 12:
        return f"{name} of shape {' x '.join(map(str, values.shape))}"
    return f"{name} {np.array2string(values, precision=5, separator=', ', suppress_small=True)}"


def _chosen(one: OneClip, stage: str, name: str, af: Sequence[float] | None) -> dict[str, list[int]]:
    """Positions to show along each leading axis."""
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


def _panels(one: OneClip, stage: str, name: str, chosen: Mapping[str, list[int]]) -> tuple[list[Panel], str]:
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
