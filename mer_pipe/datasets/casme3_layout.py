"""What CAS(ME)^3's parts have in common, and how one is never read as the other: they are different people."""

from __future__ import annotations

import re
from pathlib import Path

from mer_pipe.datasets.places import Layout, letters
from mer_pipe.datasets.rows import subject_number
from mer_pipe.types import DatasetError

PARTS = ("A", "C")
FPS = 30.0
LONGEST = 120
"""Frames beyond which a row is taken for a slip of the pen: 4 s, where a micro-expression lasts half a second."""
SUBJECT = "spno|sp|subject|sub|s"

_TREES_A = {
    "part_a": ("part_A", "part_A_split"),
    "clips": ("Part_A_ME_clip", "part_A_ME_clips", "ME_A"),
    "cropped": ("part_A_cropped", "ME_A_cropped"),
}
_TREES_B = {"part_b": ("part_B", "ME_B")}
_TREES_C = {
    "part_c": ("part_C",),
    "clips": ("Part_C_ME_clip", "part_C_ME_clips", "ME_C"),
    "cropped": ("part_C_cropped", "ME_C_cropped"),
}


def _skipped(*trees: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    return ("depth", *(letters(name) for kinds in trees for names in kinds.values() for name in names))


LAYOUT_A = Layout(
    title="CAS(ME)^3 part A",
    expected="part_A with folders spNO.1/a/color inside, or the micro-expression clips spNO.1_a_355",
    sheet="cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx",
    trees=_TREES_A,
    inner=("color", "colour", "frame"),
    skip=_skipped(_TREES_B, _TREES_C),
)
LAYOUT_C = Layout(
    title="CAS(ME)^3 part C",
    expected="part_C with a folder a subject inside (01/a/color, spNO.1/color ...), or the clips ME_C/01/1/color",
    sheet="CAS(ME)3_part_C_ME.xlsx",
    # A folder "C" alone says so only here: beside part A's videos a, b, c it says nothing.
    trees={**_TREES_C, "part_c": (*_TREES_C["part_c"], "C")},
    inner=("color", "colour", "frame"),
    skip=_skipped(_TREES_A, _TREES_B),
)
_FOLDER_OF = re.compile(r"(?:cas[ _]?\(?me\)?\^?3[ _-]*)?(?:part|me)[ _-]*([abc])(?![a-z])", re.IGNORECASE)
_SHEET_OF = re.compile(r"part[ _-]*([abc])(?![a-z])", re.IGNORECASE)


def subject(name: str) -> int | None:
    """The number of a subject as folders and sheets write it ("spNO.1", "spNo.1", "sub01", "01"), or None."""
    return subject_number(name, SUBJECT)


def passed_over(name: str, part: str) -> str:
    """What a sheet's name says that keeps it from being taken unasked; "" for a sheet of the part's micro-expressions."""
    found = _SHEET_OF.search(name)
    if found and found.group(1).upper() != part:
        return f"part {found.group(1).upper()}"
    return "macro-expressions" if re.search("mae|macro", name, re.IGNORECASE) else ""


def check_part(root: Path, sheet: object, part: str) -> None:
    """Raise DatasetError where the root, a folder above it or the sheet's name says another part than the one asked for."""
    for folder in (root, *root.parents[:2]):
        found = _FOLDER_OF.match(folder.name)
        if found:
            _refuse(found.group(1).upper(), part, f"{root} is in {folder.name}")
            break
    named = _SHEET_OF.search(Path(str(sheet)).name) if sheet is not None else None
    if named:
        _refuse(named.group(1).upper(), part, f"the sheet is {Path(str(sheet)).name}")


def _refuse(found: str, part: str, where: str) -> None:
    if found != part:
        other = f"Choose part={found}" if found in PARTS else f"Part {found} has no labels: give another root"
        raise DatasetError(f"part {part} was asked for, but {where}", f"{other}, or the folder that holds part {part}.")
