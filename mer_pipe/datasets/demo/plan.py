"""What a demo database is asked to be, and the names of its files; nothing here draws."""

from __future__ import annotations

import json
from pathlib import Path

from mer_pipe.types import DatasetError

VERSION = 1
"""Raised whenever the pixels, names or rows of a generated database change."""

TREE = "CASME2_RAW_selected"
SHEET = "CASME2-coding-20140508.xlsx"
MARKER = "demo.json"


def parameters(*, subjects: int, clips: int, frames, size, seed: int, fps: float) -> dict:
    """The parameters of a demo database as its marker file keeps them; raises DatasetError for values out of range."""
    frames = (int(frames), int(frames)) if isinstance(frames, int) else tuple(int(n) for n in frames)
    size = tuple(int(n) for n in size)
    if not (1 <= subjects <= 99 and 1 <= clips <= 99):
        raise DatasetError(f"a demo of {subjects} subjects with {clips} clips cannot be made", "Use 1 to 99 of each.")
    if len(frames) != 2 or not 3 <= frames[0] <= frames[1] <= 1000:
        raise DatasetError(f"a demo clip cannot have {frames} frames", "Give the fewest and the most, 3 to 1000.")
    if len(size) != 2 or not all(32 <= n <= 2000 for n in size):
        raise DatasetError(f"a demo frame cannot be {size}", "Give rows and columns, 32 to 2000 each.")
    if not fps > 0:
        raise DatasetError(f"a demo cannot run at {fps} frames per second", "Give a positive number.")
    return {
        "version": VERSION,
        "subjects": int(subjects),
        "clips": int(clips),
        "frames": list(frames),
        "size": list(size),
        "seed": int(seed),
        "fps": float(fps),
    }


def read_marker(root: Path) -> dict | None:
    """The parameters a folder was generated with, or None where it is no generated database."""
    try:
        return json.loads((root / MARKER).read_text())
    except (OSError, ValueError):
        return None
