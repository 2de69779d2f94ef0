"""Pictures and their table as a folder that ``datasets.load_dataset`` reads, with arrays beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mer_pipe.export.encode import document, npy, png
from mer_pipe.export.pictures import Cost, coloured, levels_of, scale_of, told
from mer_pipe.export.plan import Plan, Tick

SPLIT = "train"
"""The one split. Folds are by subject, which is a column: a published split is the user's own to make."""


def write_imagefolder(plan: Plan, work: Path, tick: Tick) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Write ``train/<name>.png`` and ``train/metadata.jsonl``; arrays go to ``arrays/<array>/<name>.npy``, and a column
    named like the array holds that path, relative to the export.

    Returns
    -------
    A row for each clip, for `labels.csv`, and what `export.json` tells of the pictures.

    Raises
    ------
    StoreError : an array is damaged or not finite.
    """
    rows, cost = [], Cost()
    (work / SPLIT).mkdir()
    with (work / SPLIT / "metadata.jsonl").open("wb") as lines:
        for done, entry in enumerate(plan.entries, 1):
            made = levels_of(plan, entry)
            (work / SPLIT / f"{entry.name}.png").write_bytes(png(coloured(made.levels, plan.settings.order)))
            paths = {}
            for array in plan.arrays:
                paths[array.name] = f"arrays/{array.name}/{entry.name}.npy"
                (work / paths[array.name]).parent.mkdir(parents=True, exist_ok=True)
                (work / paths[array.name]).write_bytes(npy(plan.source.read(array.name, entry.clip)))
            row = {"file_name": f"{entry.name}.png", **entry.told, **scale_of(made), **paths}
            lines.write(document(row))
            rows.append(row)
            cost.add(made)
            tick(done, len(plan.entries))
    return rows, told(plan, cost)
