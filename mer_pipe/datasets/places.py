"""What a database folder is expected to hold, and where its annotation sheet is."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mer_pipe.datasets.tree import subfolders
from mer_pipe.types import DatasetError

T = TypeVar("T")


@dataclass(frozen=True)
class Layout:
    """What a database's folder is expected to hold.

    Attributes
    ----------
    title : the database as people call it.
    expected : the folders, as a message names them.
    sheet : the sheet's usual file name.
    trees : kind -> the folder names that tell it, compared without case and punctuation; the first kind found is used.
    inner : names of the folder inside a clip's folder that holds its frames; empty where the clip's own does.
    skip : names of folders that are never looked into (depth images beside colour).
    """

    title: str
    expected: str
    sheet: str
    trees: Mapping[str, Sequence[str]]
    inner: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()

    def kind(self, name: str) -> str | None:
        """The kind of tree that a folder name tells, or None."""
        return next((kind for kind, names in self.trees.items() if letters(name) in map(letters, names)), None)


def check_root(root: str | os.PathLike[str]) -> Path:
    """The root as an absolute path; raises DatasetError unless it is a folder."""
    path = Path(root).absolute()
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise DatasetError(f"{path} {what}", "Give the folder that holds the database.")
    return path


def find_sheet(
    root: Path,
    sheet: str | os.PathLike[str] | None,
    read: Callable[[Path], T],
    layout: Layout,
    notes: list[str],
    passed_over: Callable[[str], str] = lambda name: "",
    prefer: Callable[[str], bool] = lambda name: False,
) -> T:
    """The annotation sheet, read.

    Parameters
    ----------
    root : the database's folder; the sheet may be in it, up to two folders below it, or beside or above a root that is
        itself a tree.
    sheet : its path, absolute or below the root; None looks for the first file that `read` accepts.
    read : reads a file, or raises DatasetError where it is another sheet.
    notes : what was chosen among several is added.
    passed_over : what a file's name says that keeps it from being taken unasked ("macro-expressions"); "" where it may be.
    prefer : whether a file of this name goes before those found earlier.

    Raises
    ------
    DatasetError : there is no such sheet; the message names the nearest.
    """
    if sheet is not None:
        path = Path(sheet)
        return read(path if path.is_absolute() or path.exists() else root / path)
    found: list[tuple[Path, T]] = []
    failed: list[str] = []
    passed: list[str] = []
    for path in _sheet_files(root, layout):
        if says := passed_over(path.name):
            passed.append(f"{path.name} is passed over, as its name says {says}")
            continue
        try:
            found.append((path, read(path)))
        except DatasetError as error:
            failed.append(error.message)
    if not found:
        near = f"the nearest: {failed[0]}" if failed else f"there is no .xlsx or .csv file, only {shown(root)}"
        if passed and not failed:
            near = passed[0]
        raise DatasetError(
            f"no {layout.title} sheet in {root}: {near}", f"Put {layout.sheet} there, or give its path with sheet=."
        )
    found.sort(key=lambda each: not prefer(each[0].name))
    others = ", ".join(path.name for path, _ in found[1:4])
    also = f"; {others} would do too (choose with sheet=)" if others else ""
    notes.append(f"annotations from {found[0][0].name}{also}")
    return found[0][1]


def _sheet_files(root: Path, layout: Layout) -> list[Path]:
    """Sheets in the root, then beside and above a root that is a tree, then up to two folders below."""
    places = [root]
    above = root
    while len(places) < 3 and layout.kind(above.name):
        above = above.parent
        places.append(above)
    names = subfolders(str(root))
    below = [root / name for name in names if not layout.kind(name)]
    below += [folder / name for folder in below for name in _names(folder)[:40]]
    # A tree may hold its sheet, but its own folders are people and clips.
    below += [root / name for name in names if layout.kind(name)]
    found: list[Path] = []
    for place in (*places, *below):
        try:
            found += sorted(
                p
                for p in place.iterdir()
                if p.suffix.lower() in (".xlsx", ".csv") and not p.name.startswith(("~", "."))
            )
        except OSError:
            continue
    return found


def _names(folder: Path) -> list[str]:
    try:
        return subfolders(str(folder))
    except DatasetError:
        return []


def shown(root: Path) -> str:
    names = subfolders(str(root))
    return ", ".join(names[:6]) + (" ..." if len(names) > 6 else "") if names else "no folder at all"


def letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
