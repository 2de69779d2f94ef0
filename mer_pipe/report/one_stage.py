"""One stage of a store over all clips: what made it, with which parameters, and how far its values reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mer_pipe.report.clips import check_stage
from mer_pipe.report.inspect import StoredArray, overview
from mer_pipe.report.one_clip import in_order


@dataclass(frozen=True)
class StageArray:
    """One array of a stage.

    Attributes
    ----------
    stored : its place, axes, unit, and the stage that made it.
    parameters : of that stage, plain values.
    least, most : the extreme values, each with the clip that has it; None where no clip could be read.
    mean : over all clips that could be read.
    means : the least and the largest mean of a clip.
    damaged : clip -> why it cannot be read.
    """

    stored: StoredArray
    parameters: Mapping[str, Any]
    least: tuple[float, str] | None
    most: tuple[float, str] | None
    mean: float | None
    means: tuple[float, float] | None
    damaged: Mapping[str, str]


@dataclass(frozen=True)
class StageFacts:
    """What a store tells of one stage: its name as a group of the store, and its arrays."""

    stage: str
    arrays: tuple[StageArray, ...]


def stage_facts(store_path: str | Path, stage: str) -> StageFacts:
    """Read all of one stage, clip by clip.

    Raises
    ------
    StoreError : the store or the stage is not there.
    """
    import zarr

    seen = overview(store_path)
    groups = in_order(dict.fromkeys(array.path.partition("/")[0] for array in seen.arrays))
    check_stage(groups, stage)
    root = zarr.open_group(str(store_path), mode="r", zarr_format=3)
    samples = root["sample"][...].tolist()
    own = [array for array in seen.arrays if array.path.partition("/")[0] == stage]
    return StageFacts(stage, tuple(_read(array, root[array.path], samples) for array in own))


def _read(stored: StoredArray, array: Any, samples: list[str]) -> StageArray:
    spans: list[tuple[float, float, float, str]] = []
    damaged = {}
    for row, sample in enumerate(samples):
        try:
            values = np.asarray(array[row])
        except Exception as error:  # a damaged clip is a named hole, whatever the codec said
            damaged[sample] = " ".join(str(error).split())
            continue
        spans.append((float(values.min()), float(values.mean(dtype=np.float64)), float(values.max()), sample))
    parameters = dict(array.attrs).get("parameters", {})
    if not spans:
        return StageArray(stored, parameters, None, None, None, None, damaged)
    lows, means, highs, read = zip(*spans, strict=True)
    low, high = int(np.argmin(lows)), int(np.argmax(highs))
    return StageArray(
        stored,
        parameters,
        (lows[low], read[low]),
        (highs[high], read[high]),
        float(np.mean(means)),
        (min(means), max(means)),
        damaged,
    )
