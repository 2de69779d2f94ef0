"""u, v and strain as pictures, in the trees that STSTNet and HTNet read.

STSTNet (Liong et al., FG 2019) lists its input folder: each folder in it is a subject, left out; in it ``u_train`` and
``u_test`` hold a folder a class, named by its index. HTNet (Wang et al., 2023) takes the same tree, and beside it one folder
of all pictures, one of the apex frames, in which it looks for landmarks, and a table; its file names end in " .png".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mer_pipe.export.encode import png, table
from mer_pipe.export.levels import CHANNELS, Levels, area_mean, to_levels
from mer_pipe.export.plan import FACES, Entry, Plan, Tick
from mer_pipe.types import StoreError

STSTNET = "norm_u_v_os"
HTNET_TREE, HTNET_WHOLE, HTNET_FACES = (
    f"datasets/{name}" for name in ("three_norm_u_v_os", "STSNet_whole_norm_u_v_os", "combined_datasets_whole")
)
HTNET_TABLE = "combined_3_class2_for_optical_flow.csv"
FLAT = "pictures"


def write_pictures(plan: Plan, work: Path, tick: Tick) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Write the pictures of a plan below `work`, clip by clip.

    Returns
    -------
    A row for each clip, for `labels.csv`, and what `export.json` tells of the pictures.

    Raises
    ------
    StoreError : an array is damaged or not finite.
    """
    rows, cost = [], Cost()
    suffix = " .png" if plan.layout == "htnet" else ".png"
    for done, entry in enumerate(plan.entries, 1):
        made = levels_of(plan, entry)
        data = png(coloured(made.levels, plan.settings.order))
        for place in places(plan, entry):
            path = work / place / f"{entry.name}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        if plan.layout == "htnet":
            _write_face(plan, entry, work / HTNET_FACES)
        rows.append({"file": f"{entry.name}{suffix}", **entry.told, **scale_of(made)})
        cost.add(made)
        tick(done, len(plan.entries))
    if plan.layout == "htnet":
        (work / HTNET_TABLE).write_bytes(table([_htnet_row(entry) for entry in plan.entries]))
    return rows, told(plan, cost)


def places(plan: Plan, entry: Entry) -> list[str]:
    """The folders that a clip's picture goes to, relative to the export."""
    if plan.layout == "flat":
        return [FLAT]
    root = STSTNET if plan.layout == "loso" else HTNET_TREE
    folds = [f"{root}/{fold}/{'u_test' if fold == entry.folder else 'u_train'}/{entry.index}" for fold in plan.folds]
    return folds if plan.layout == "loso" else [*folds, HTNET_WHOLE]


def levels_of(plan: Plan, entry: Entry) -> Levels:
    """A clip's u, v and strain, reduced to the size of the pictures and rounded to grey levels.

    Raises
    ------
    StoreError : an array is damaged or not finite.
    """
    parts = []
    for array in plan.pictured:
        values = plan.source.read(array.name, entry.clip)
        if not np.isfinite(values).all():
            raise StoreError(
                f"{array.name} of {entry.clip.id} holds values that are not finite", "build the store anew"
            )
        parts.append(area_mean(values, plan.settings.size).reshape(plan.settings.size, plan.settings.size, -1))
    return to_levels(np.concatenate(parts, axis=-1), plan.settings.scaling)


def coloured(levels: np.ndarray, order: str) -> np.ndarray:
    """Channels u, v, strain as red, green, blue ("rgb") or as blue, green, red ("bgr"): the picture as (y, x, RGB)."""
    return levels if order == "rgb" else np.ascontiguousarray(levels[..., ::-1])


def scale_of(made: Levels) -> dict[str, float]:
    """Columns to read values back by: value = offset + step * level."""
    return {
        f"{channel}_{what}": float(values[at])
        for at, channel in enumerate(CHANNELS)
        for what, values in (("offset", made.offset), ("step", made.step))
    }


class Cost:
    """What 8 bits cost, over the clips added."""

    def __init__(self) -> None:
        self.step = self.error = self.beyond = np.zeros(3)
        self.clipped = np.zeros(3, int)

    def add(self, made: Levels) -> None:
        self.step = np.maximum(self.step, made.step)
        self.error = np.maximum(self.error, made.error)
        self.beyond = np.maximum(self.beyond, made.beyond)
        self.clipped = self.clipped + made.clipped


def told(plan: Plan, cost: Cost) -> dict[str, Any]:
    """What `export.json` says of the pictures."""
    settings = plan.settings
    colours = ("red", "green", "blue") if settings.order == "rgb" else ("blue", "green", "red")
    of_colour = dict(zip(colours, CHANNELS, strict=True))
    units = dict(zip(CHANNELS, ("px", "px", "px/px"), strict=True))
    grid = "x".join(str(side) for side in plan.pictured[0].shape[1::-1])
    return {
        "pictures": {
            "size": settings.size,
            "from": [array.name for array in plan.pictured],
            "flow": plan.pictured[0].about,
            "reduced": f"mean over areas of the {grid} grid; px are px of that grid",
            "order": settings.order,
            "colours": {colour: of_colour[colour] for colour in ("red", "green", "blue")},
            "cv2.imread": [of_colour[colour] for colour in ("blue", "green", "red")],
            "scaling": str(settings.scaling),
            "values": "offset + step * level, with offset and step of each clip and channel in the table",
            "eight_bits": {
                channel: {
                    "unit": units[channel],
                    "largest_step": float(cost.step[at]),
                    "largest_error": float(cost.error[at]),
                    "clipped": int(cost.clipped[at]),
                    "clipped_by_at_most": float(cost.beyond[at]),
                }
                for at, channel in enumerate(CHANNELS)
            },
        }
    }


def _write_face(plan: Plan, entry: Entry, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    apex = plan.source.arrays[FACES].coordinates["mark"].index("apex")
    (folder / f"{entry.name}.png").write_bytes(png(plan.source.read(FACES, entry.clip)[apex]))


def _htnet_row(entry: Entry) -> Mapping[str, Any]:
    """HTNet joins `sub` and `filename_o` by "_" to find a picture, and opens `imagename` as the face."""
    return {
        "dataset": entry.clip.told["database"],
        "sub": entry.folder,
        "filename_o": entry.name.removeprefix(f"{entry.folder}_"),
        "label": entry.index,
        "imagename": f"{entry.name}.png",
    }
