"""Where CASME II's frames and annotation sheet are in the copies that go round."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

from mer_pipe.datasets.sheets import Sheet, read_sheet, suggest
from mer_pipe.datasets.tree import subfolders
from mer_pipe.types import DatasetError

TREES = ("raw_selected", "raw", "cropped")
VERSIONS = ("20140508", "20190701")

# Folder names without case and punctuation.
_TREE_NAMES = {
    "casme2rawselected": "raw_selected",
    "casmeiirawselected": "raw_selected",
    "rawselected": "raw_selected",
    "casme2raw": "raw",
    "casmeiiraw": "raw",
    "raw": "raw",
    "cropped": "cropped",
    "croppedupdated": "cropped",
    "casme2cropped": "cropped",
}
_EXPECTED = "CASME2_RAW_selected, CASME2-RAW or Cropped, with folders sub01, sub02 ... inside"
_COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename", "File name"),
    "onset": ("OnsetFrame", "Onset"),
    "apex": ("ApexFrame", "Apex", "ApexFrame1"),
    "offset": ("OffsetFrame", "Offset"),
    "emotion": ("Estimated Emotion", "Emotion"),
    "aus": ("Action Units", "AUs", "AU"),
    "objective": ("Objective Classes", "Objective Class"),
}
_REQUIRED = ("subject", "clip", "onset", "apex", "offset", "emotion")
_DEPTH = 3


def find_tree(root: Path, tree: str | os.PathLike[str] | None, notes: list[str]) -> tuple[str, Path]:
    """Which frames to use: (kind, folder of the subjects); adds to `notes` what was chosen among several."""
    if isinstance(tree, os.PathLike):
        return _kind(Path(tree).name) or "raw_selected", Path(tree)
    if tree is not None and tree not in TREES:
        raise DatasetError(f"CASME II has no tree {tree!r}", suggest(str(tree), TREES))
    found: dict[str, Path] = {}
    own = _kind(root.name)
    if _holds_subjects(root):
        found[own or "raw_selected"] = root
        if own is None:
            notes.append(f"the folder name {root.name} says nothing: its frames are taken as raw_selected")
    else:
        _collect(root, own, _DEPTH, found)
    if not found:
        names = subfolders(str(root))
        near = [n for n in names if difflib.get_close_matches(_letters(n), _TREE_NAMES, 1, 0.75)]
        shown = ", ".join(names[:6]) + (" ..." if len(names) > 6 else "") if names else "no folder at all"
        fix = f"The nearest is {near[0]}: does it hold folders sub01, sub02 ...?" if near else "Check the root."
        raise DatasetError(f"{root} was expected to hold {_EXPECTED}; it holds {shown}", fix)
    if tree is not None and tree not in found:
        raise DatasetError(f"{root} holds no tree {tree}, only {', '.join(found)}", "Choose one of these with tree=.")
    chosen = tree or next(kind for kind in TREES if kind in found)
    others = [kind for kind in TREES if kind in found and kind != chosen]
    also = f"; {' and '.join(others)} is there too (choose with tree=)" if others else ""
    notes.append(f"frames from {found[chosen].name} ({chosen}){also}")
    return chosen, found[chosen]


def find_sheet(root: Path, tree: Path, sheet: str | os.PathLike[str] | None, notes: list[str]) -> tuple[Sheet, str]:
    """The annotation sheet and the version its columns tell; adds to `notes` what was chosen among several."""
    if sheet is not None and str(sheet) not in VERSIONS:
        path = Path(sheet)
        return _read(path if path.is_absolute() or path.exists() else root / path)
    near, failed = {}, []
    # In the root; beside it where the root is itself a tree, or a folder that an archive of one unpacked into.
    places = [root]
    while len(places) < _DEPTH and (places[-1] == tree or _kind(places[-1].name)):
        places.append(places[-1].parent)
    for path in sorted({p for place in places for p in _files(place)}, key=lambda p: (p.parent != root, p.name)):
        try:
            read, version = _read(path)
        except DatasetError as error:
            failed.append(error.message)
            continue
        near.setdefault(version, read)
    wanted = str(sheet) if sheet is not None else next((v for v in VERSIONS if v in near), None)
    if wanted not in near:
        found = f"the nearest: {failed[0]}" if failed else "there is no .xlsx or .csv file"
        if near:
            found = f"only version {', '.join(near)} is there"
        raise DatasetError(
            f"no CASME II sheet{f' of version {sheet}' if sheet else ''} in {root}: {found}",
            "Put CASME2-coding-20140508.xlsx there, or give its path with sheet=.",
        )
    others = [f"{near[v].name} ({v})" for v in near if v != wanted]
    also = f"; {' and '.join(others)} is there too (choose with sheet=)" if others else ""
    notes.append(f"annotations from {near[wanted].name} (version {wanted}){also}")
    return near[wanted], wanted


def _read(path: Path) -> tuple[Sheet, str]:
    sheet = read_sheet(path, _COLUMNS, _REQUIRED)
    # SAMM's sheet has these columns too.
    if sheet.rows and all(re.fullmatch(r"\d+_\d+_\d+", row.cells["clip"]) for row in sheet.rows):
        raise DatasetError(
            f"{path.name} names clips as SAMM does, {sheet.rows[0].cells['clip']}", "Give CASME II's own sheet."
        )
    return sheet, "20190701" if "objective" in sheet.columns else "20140508"


def _files(folder: Path) -> list[Path]:
    try:
        # "~$..." is the lock file of an open workbook.
        return [
            p for p in folder.iterdir() if p.suffix.lower() in (".xlsx", ".csv") and not p.name.startswith(("~", "."))
        ]
    except OSError:
        return []


def _collect(folder: Path, kind: str | None, depth: int, found: dict[str, Path]) -> None:
    """Look for folders of subjects below `folder`: archives often unpack into a folder of their own name."""
    for name in subfolders(str(folder)):
        inner, here = folder / name, _kind(name) or kind
        if here is None:
            continue
        if _holds_subjects(inner):
            found.setdefault(here, inner)
        elif depth > 1:
            _collect(inner, here, depth - 1, found)


def _holds_subjects(folder: Path) -> bool:
    return any(re.fullmatch(r"(sub(ject)?|s)[ _-]?\d+", name, re.IGNORECASE) for name in subfolders(str(folder)))


def _kind(name: str) -> str | None:
    return _TREE_NAMES.get(_letters(name))


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
