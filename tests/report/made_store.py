"""Stores with known contents for tests of the report: faces are green, motions are chosen, one clip for every rule."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mer_pipe.recipes import BUILT_IN, plain
from mer_pipe.stages.scene import scene
from mer_pipe.store.publish import ArrayPlan, publish
from mer_pipe.types import ArraySpec

SIDE = 112
AFS = (2.0, 4.0, 8.0)
MARKS = ("onset", "apex", "offset")
FACE = np.array([10, 190, 40], np.uint8)
"""Colour of every face: no flow to the right, strain or chart has it."""
EYES = np.array([[40.0, 36.0], [72.0, 36.0]], np.float32)
TRANSFORM = np.array([[1 / SIDE, 0, 0], [0, 1 / SIDE, 0.02]])
LABELS = ("happiness", "others", "")
MOVES = {"still": 0.05, "huge": 6.0}

RGB = ArraySpec(("y", "x", "channel"), "uint8", "grey level")


def face(texture: np.ndarray, shift: int = 0) -> np.ndarray:
    """A green picture with a dark texture in its middle, moved `shift` px to the right."""
    image = np.tile(FACE, (SIDE, SIDE, 1))
    image[40:72, 30 + shift : 62 + shift] = (FACE * texture[..., None]).astype(np.uint8)
    return image


@cache
def filmed() -> tuple[np.ndarray, np.ndarray]:
    """The scene of every clip: a green frame of 400 x 300 px, shown at 80 %."""
    return scene(np.tile(FACE, (300, 400, 1)))


def values(clip: int, kind: str = "", bump: float = 0.0, noise: int = 0) -> dict[str, np.ndarray]:
    """The arrays of one clip; `bump` is added to the flow of a clip that is to differ, grey levels of `noise` to frames."""
    rng = np.random.default_rng(clip)
    texture = rng.random((32, 32)) * 0.5 + 0.25
    flow = np.zeros((SIDE, SIDE, 2), np.float32)
    # Every clip moves the middle of the face to the right, each by a little more.
    flow[30:80, 30:80, 0] = MOVES.get(kind, 1.2 + 0.01 * clip)
    if kind == "head":
        flow[..., 0] = 0.8
    if kind == "still":
        flow *= 0.1
    flow[..., 0] += bump
    frames = np.stack([face(texture, s) for s in (0, 1, 3, 2, 1)])
    strain = np.zeros((SIDE, SIDE), np.float32)
    strain[40:70, 40:70] = 0.04
    if noise:
        frames = (frames + rng.integers(0, noise, frames.shape)).astype(np.uint8)
        flow += rng.random(flow.shape, np.float32)
        strain += rng.random(strain.shape, np.float32) * 0.02
    if kind == "broken":
        flow[:50], strain[:50] = np.nan, np.inf
    apex = frames[0] if kind == "same" else face(texture, 3)
    return {
        "align/transform": TRANSFORM,
        "align/eyes": EYES,
        "scene/image": filmed()[0],
        "scene/placement": filmed()[1],
        "crop/image": np.stack([frames[0], apex, frames[4]]),
        "magnify/image": np.stack([face(texture, round(3 * af)) for af in AFS]),
        "interpolate/image": frames,
        "gray/image": face(texture, 6)[..., 1].copy(),
        "flow_onset/flow": flow,
        "flow_offset/flow": flow * 0.5,
        "strain/strain": strain,
        "travel/distance": np.array([0.3, 20.0 if kind in ("huge", "flat") else 1.2], np.float32),
        "travel/head": np.array([0.95 if kind == "head" else 0.2, 0.2, 0.0, 0.05, 0.1], np.float32),
        "travel/contrast": np.array([50, 0.4 if kind == "flat" else 50], np.float32),
        "dynamic/image": (frames[2].astype(np.float32) - frames[0]) / 1000,
        "features_mrn/feature": np.full(16, clip + bump, np.float32),
        "motion/motion": np.concatenate([flow * 4, strain[..., None]], -1),
    }


SPECS = {
    "align/transform": ({}, ArraySpec(("row", "column"), "float64"), "align_cascade"),
    "align/eyes": ({}, ArraySpec(("eye", "xy"), "float32", "px"), "align_cascade"),
    "scene/image": ({}, RGB, "scene"),
    "scene/placement": ({}, ArraySpec(("value",), "float64"), "scene"),
    "crop/image": ({"mark": MARKS}, RGB, "crop"),
    "magnify/image": ({"af": AFS}, RGB, "magnify.flow"),
    "interpolate/image": ({}, ArraySpec(("frame", "y", "x", "channel"), "uint8", "grey level"), "interpolate"),
    "gray/image": ({}, ArraySpec(("y", "x"), "uint8", "grey level"), "gray"),
    "flow_onset/flow": (
        {},
        ArraySpec(("y", "x", "component"), "float32", "px", about="flow from onset to apex"),
        "flow",
    ),
    "flow_offset/flow": (
        {},
        ArraySpec(("y", "x", "component"), "float32", "px", about="flow from offset to apex"),
        "flow",
    ),
    "strain/strain": ({}, ArraySpec(("y", "x"), "float32", "px/px"), "strain"),
    "travel/distance": ({}, ArraySpec(("quantile",), "float32", "px"), "travel"),
    "travel/head": ({}, ArraySpec(("part",), "float32", "px, px, px, degrees, %"), "travel"),
    "travel/contrast": ({}, ArraySpec(("pair",), "float32", "grey level"), "travel"),
    "dynamic/image": ({}, ArraySpec(("y", "x", "channel"), "float32"), "dynamic"),
    # An array that is named like its axis: xarray takes it for a coordinate.
    "features_mrn/feature": ({}, ArraySpec(("feature",), "float32"), "features"),
    "motion/motion": ({}, ArraySpec(("y", "x", "channel"), "float32", "px, px, px/px"), "motion"),
}


def make_store(
    path: Path,
    clips: int = 4,
    kinds: dict[int, str] | None = None,
    only: tuple[str, ...] = (),
    bump: dict[int, float] | None = None,
    edit: dict[int, dict[str, Any]] | None = None,
    skip: tuple[int, ...] = (),
    afs: tuple[float, ...] = AFS,
    noise: int = 0,
    **facts: Any,
) -> Path:
    """Publish a store.

    Parameters
    ----------
    kinds : clip -> "still", "huge", "head", "same", "flat" (and huge) or "broken" (values that are not finite).
    only : groups; () for all.
    bump : clip -> px added to its flow.
    edit : clip -> coordinates to replace.
    skip : clips left out.
    afs : of the magnified images, out of `AFS`.
    noise : grey levels of noise on the frames, and some on flow and strain.
    facts : root attributes to replace.
    """
    kinds, bump, edit = kinds or {}, bump or {}, edit or {}
    rows = [clip for clip in range(clips) if clip not in skip]
    made = {clip: values(clip, kinds.get(clip, ""), bump.get(clip, 0.0), noise) for clip in rows}
    plans = []
    for name, (leading, spec, stage) in SPECS.items():
        group, _, output = name.partition("/")
        if only and group not in only:
            continue
        leading = {"af": afs} if "af" in leading else leading
        places = (
            [(i,) for i in map(AFS.index, afs)] if "af" in leading else [(i,) for i in range(3)] if leading else [()]
        )
        cells = tuple(
            tuple((f"{clip}|{name}|{','.join(map(str, place))}", output) for place in places) for clip in rows
        )
        told = {"stage": stage, "stage_version": 1, "systems": ["mrn", "ruan"]}
        plans.append(ArrayPlan(group, output, leading, spec, spec.dtype, cells, told))

    def read(key: str) -> dict[str, np.ndarray]:
        clip, name, place = key.split("|")
        value = made[int(clip)][name]
        return {name.partition("/")[2]: value[int(place)] if place else value}

    recipe = plain(BUILT_IN["demo"])
    told = {
        "database": "demo",
        "recipe": recipe,
        "notes": [],
        "excluded": [{"id": "demo/sub09/EP09_09", "reason": "apex 'x' is no number", "fix": "correct the sheet"}],
        "failed": [
            {"sample": "demo/sub08/EP05_05", "stage": "align", "reason": "no face was found", "fix": "look at it"}
        ],
    }
    publish(path, [_row(clip) | edit.get(clip, {}) for clip in rows], plans, told | facts, read)
    return path


def _row(clip: int) -> dict[str, Any]:
    subject, name = f"sub{clip // 3 + 1:02d}", f"EP{clip % 3 + 1:02d}_01"
    return {
        "sample": f"demo/{subject}/{name}",
        "database": "demo",
        "subject": f"demo/{subject}",
        "clip": name,
        "emotion": "repression" if clip % 2 else "happiness",
        "label": LABELS[clip % 3],
        "aus": ("6+12", "L4", "")[clip % 3],
        "onset": 10,
        "apex": 20,
        "offset": 50,
        "frames": 41 + clip,
        "fps": 200.0,
        "repairs": "",
        "source": "sheet=coding.xlsx",
    }


def flip_byte(path: Path, at: int = -1000) -> None:
    """Damage one byte of a file."""
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)


def shard_of(store: Path, array: str) -> Path:
    """The one shard of an array."""
    (shard,) = (p for p in (store / array / "c").rglob("*") if p.is_file())
    return shard
