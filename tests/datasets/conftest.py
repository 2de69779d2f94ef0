"""Small copies of CASME II's layouts: folders of tiny images and sheets, all written by code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openpyxl
import pytest
from PIL import Image

HEADER_2014 = (
    "Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None, "Action Units", "Estimated Emotion"
)  # fmt: skip
HEADER_2019 = (
    "Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion", "Objective Classes"
)  # fmt: skip


def row_2014(subject, clip, onset, apex, offset, emotion="happiness", aus="6+12"):
    return (subject, clip, None, onset, apex, offset, None, aus, emotion)


def write_sheet(path: Path, rows, header=HEADER_2014) -> Path:
    book = openpyxl.Workbook()
    for row in (header, *rows):
        book.active.append(row)
    book.save(path)
    return path


def write_clip(folder: Path, numbers, name="img{}.jpg", size=(12, 16)) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        Image.fromarray(np.full((*size, 3), number % 256, np.uint8)).save(folder / name.format(number))
    return folder


@pytest.fixture
def casme2_root(tmp_path: Path) -> Path:
    """Two subjects, three clips, one shared clip name, the sheet of 2014."""
    root = tmp_path / "CASMEII"
    rows = [
        row_2014(1, "EP02_01f", 46, 50, 55),
        row_2014(1, "EP03_02", 7, 9, 12, "others", 4),
        row_2014(2, "EP02_01f", 98, 101, 103, "disgust", "4+L10"),
    ]
    for subject, clip, _, onset, _, offset, *_ in rows:
        write_clip(root / "CASME2_RAW_selected" / f"sub{subject:02d}" / clip, range(onset, offset + 1))
    write_sheet(root / "CASME2-coding-20140508.xlsx", rows)
    return root
