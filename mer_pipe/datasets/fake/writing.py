"""Write a fake copy of a database: its layout, its sheet and its known faults, with generated faces and rows."""

from __future__ import annotations

import importlib
import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

from mer_pipe.datasets.fake.plan import Draft, Expected
from mer_pipe.datasets.sheets import suggest
from mer_pipe.types import DatasetError

DATABASES = ("casme", "casme2", "casme_sq", "casme3", "samm", "smic", "megc2019", "mmew", "4dme", "dfme")
PARTS = {"casme3": {"A": "casme3", "C": "casme3_part_c"}}
"""Databases of several parts -> the modules that plan them; the first is written unless another is asked for."""
EXPECTED = "fake.json"
"""The file in a fake database's root that keeps its `Expected` record."""


def write(
    database: str,
    folder: str | os.PathLike[str],
    *,
    clips: int = 12,
    seed: int = 0,
    size: tuple[int, int] = (240, 320),
    quirks: bool = True,
    part: str | None = None,
) -> Expected:
    """Write a fake copy of a database into `folder`; it appears whole or not at all.

    Folders, file names, sheets and their faults are as in the distributed database; faces, marks and labels are
    generated. The same arguments give the same pixels and rows.

    Parameters
    ----------
    database : a name of `DATABASES`.
    folder : where to write, absent or empty.
    clips : how many ordinary clips; the quirks come on top, a clip or two each.
    seed : of everything drawn.
    size : (rows, columns) of a frame, each 32 to 2000. The databases' own sizes are larger.
    quirks : whether the database's known faults are in it: typing errors, missing frames, odd names.
    part : "A" (where None) or "C" of casme3; the other databases have none. What must come out of part C is said for
        ``part="C", apex_policy="middle"``, as public loaders know no apexes of it.

    Returns
    -------
    Expected : which clips must be samples with which marks, and which must be excluded and why. It is also kept in
        ``fake.json`` in the folder.

    Raises
    ------
    DatasetError : an argument is out of range, or the folder holds something.
    """
    if database not in DATABASES:
        raise DatasetError(f"there is no fake of {database!r}", suggest(str(database), DATABASES))
    if part is not None and part not in PARTS.get(database, {}):
        raise DatasetError(
            f"the fake of {database} has no part {part!r}", suggest(str(part), tuple(PARTS.get(database, ["None"])))
        )
    size = int(size[0]), int(size[1])
    if not (1 <= clips <= 999 and all(32 <= n <= 2000 for n in size)):
        raise DatasetError(
            f"a fake of {clips} clips of {size[0]} x {size[1]} px cannot be made",
            "Use 1 to 999 clips of 32 to 2000 px.",
        )
    root = Path(folder).absolute()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise DatasetError(f"{root} exists and is not an empty folder", "Name a new folder for the fake database.")
    draft = Draft(database, clips, seed, quirks)
    module = {"4dme": "fourdme"}.get(database, database)
    module = PARTS[database][part] if part is not None else module
    importlib.import_module(f"mer_pipe.datasets.fake.{module}").plan(draft)
    expected = draft.expected(str(root))
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{root.name}.", dir=root.parent) as scratch:
        made = Path(scratch) / "fake"
        made.mkdir()
        _write(draft, made, size)
        (made / EXPECTED).write_text(json.dumps({**asdict(expected), "root": ""}, indent=1) + "\n")
        try:
            os.rename(made, root)
        except OSError:
            raise DatasetError(f"{root} appeared while the fake was made", "Name a new folder.") from None
    return expected


def read_expected(folder: str | os.PathLike[str]) -> Expected:
    """The record that `write` left in a folder; raises DatasetError where there is none."""
    path = Path(folder) / EXPECTED
    try:
        kept = json.loads(path.read_text())
        kept["samples"] = {name: tuple(marks) for name, marks in kept["samples"].items()}
        return Expected(**{**kept, "root": str(Path(folder).absolute()), "notes": tuple(kept["notes"])})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        raise DatasetError(f"{folder} holds no fake database", "Write one first.") from None


def _write(draft: Draft, root: Path, size: tuple[int, int]) -> None:
    from mer_pipe.datasets.fake.draw import draw_scene
    from mer_pipe.datasets.fake.tables import write_table

    for index, scene in enumerate(draft.scenes.values()):
        draw_scene(scene, root, size, draft.seed, index)
    for folder in draft.empties:
        (root / folder).mkdir(parents=True)
    for table in draft.tables:
        write_table(table, root)
