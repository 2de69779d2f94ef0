"""SAMM's layout and sheet with their quirks, reproduced with generated rows and images."""

from __future__ import annotations

import csv

import openpyxl
import pytest

from mer_pipe.datasets.casme2 import list_clips as list_casme2
from mer_pipe.datasets.samm import list_clips
from mer_pipe.types import DatasetError
from tests.datasets.conftest import write_clip
from tests.datasets.test_casme2 import SHEET as CASME2_SHEET

HEADER = (
    "Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration", "Micro",
    "Action Units", "Estimated Emotion", "Objective Classes", "Notes",
)  # fmt: skip
SHEET = "SAMM_Micro_FACS_Codes_v2.xlsx"


def row(clip, onset, apex, offset, emotion="Anger", aus="4+7", objective="III", duration=None):
    subject = clip.split("_")[0]
    frames = offset - onset + 1 if duration is None else duration
    return (subject, clip, 4, onset, apex, offset, frames, "Micro - 1/2", aus, emotion, objective, "")


def write_sheet(path, rows, preamble=13, worksheets=("MICRO_ONLY",)):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name in worksheets:
        page = book.create_sheet(name)
        for line in range(preamble):
            page.append((f"about the codes, line {line}", "Apex Frame" if line == 5 else None))
        page.append(HEADER)
        for cells in rows if name == worksheets[-1] else ():
            page.append(cells)
    book.save(path)


def write_frames(root, clip, numbers, name="{s}_{n:05d}.jpg"):
    subject = clip.split("_")[0]
    write_clip(root / subject / clip, numbers, name.replace("{s}", subject).replace("{n", "{"))


ROWS = (
    row("006_1_2", 5562, 5566, 5570),
    row("006_5_9", 9990, 10003, 10005, "Happiness", "R12 or R14", "I"),
    row("011_2_1", 7, 9, 12, "Other", "A/L12", "VII"),
    row("013_1_1", 20, 22, 25, "Disgust", 10, "IV"),
)


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "SAMM"
    for _, clip, _, onset, _, offset, *_ in ROWS:
        write_frames(root, clip, range(onset, offset + 1))
    write_sheet(root / SHEET, ROWS)
    return root


def test_the_header_is_found_below_thirteen_lines_and_in_a_stripped_copy(root):
    whole = list_clips(root)
    assert [s.id for s in whole.samples] == ["samm/006/006_1_2", "samm/006/006_5_9", "samm/011/011_2_1"]
    assert [s.label for s in whole.samples] == ["anger", "happiness", "other"]
    assert [(e.id, e.reason) for e in whole.excluded] == [
        ("samm/013/013_1_1", "emotion 'Disgust' is outside the 5-class set")
    ]
    first, second, _ = whole.samples
    assert (first.frames.numbers, first.apex, first.fps) == (tuple(range(5562, 5571)), 4, 200.0)
    # 9999 and 10000 differ in digits: order is by number.
    assert second.frames.numbers == tuple(range(9990, 10006))
    assert (second.aus, second.source["objective_class"], second.source["row"]) == ("R12 or R14", "I", "16")
    assert not any(s.repairs for s in whole.samples)
    write_sheet(root / SHEET, ROWS, preamble=0)
    assert [s.id for s in list_clips(root).samples] == [s.id for s in whole.samples]


def test_the_worksheet_of_micro_expressions_is_read_whatever_stands_before_it(root):
    write_sheet(root / SHEET, ROWS, worksheets=("MACRO", "Sheet2", "MICRO_ONLY"))
    assert len(list_clips(root).samples) == 3


def test_a_csv_export_loses_padding_and_gains_decimals_and_reads_alike(root):
    (root / SHEET).unlink()
    with open(root / "samm.csv", "w", newline="") as file:
        csv.writer(file).writerow(HEADER)
        for cells in ROWS:
            csv.writer(file).writerow(
                [int(cells[0]), cells[1].lstrip("0"), "", *(f"{c}.0" for c in cells[3:6]), *cells[6:]]
            )
    listing = list_clips(root)
    assert [s.id for s in listing.samples] == ["samm/006/006_1_2", "samm/006/006_5_9", "samm/011/011_2_1"]
    assert listing.samples[0].repairs == ("frames of 6_1_2 found in folder 006/006_1_2",)


@pytest.mark.parametrize(
    ("class_set", "labels"),
    [
        ("3", ["negative", "positive", "negative"]),
        ("7", ["anger", "happiness", "disgust"]),
        ("8", ["anger", "happiness", "other", "disgust"]),
        ("objective", ["III", "I", "IV"]),
        ("objective7", ["III", "I", "VII", "IV"]),
    ],
)
def test_class_sets(root, class_set, labels):
    listing = list_clips(root, class_set=class_set)
    assert [s.label for s in listing.samples] == labels
    assert len(listing.samples) + len(listing.excluded) == 4


def test_padding_case_suffix_and_flat_folders_do_not_matter(tmp_path):
    write_clip(tmp_path / "SAMM" / "6" / "6_1_2", range(5562, 5571), "6_{}.tif")
    write_clip(tmp_path / "SAMM" / "006_5_9", range(9990, 10006), "006_{:06d}.TIFF")
    write_sheet(tmp_path / SHEET, ROWS[:2])
    first, second = list_clips(tmp_path).samples
    assert first.frames.files[0].endswith("6/6_1_2/6_5562.tif")
    assert "found in folder 6/6_1_2" in first.repairs[0]
    assert (len(second.frames), second.repairs) == (16, ())


def test_a_duration_that_disagrees_is_told(root):
    write_sheet(root / SHEET, [row("006_1_2", 5562, 5566, 5570, duration=12)])
    assert "duration is 12, onset 5562 to offset 5570 is 9 frames" in list_clips(root).samples[0].repairs[0]


def test_the_two_misprinted_apexes_are_excluded_or_taken_halfway(root):
    rows = [row("028_4_1", 1100, 1143, 1134), row("032_3_1", 4896, 1930, 4920), row("011_2_1", 7, 30, 12)]
    for clip, onset, offset in (("028_4_1", 1100, 1134), ("032_3_1", 4896, 4920)):
        write_frames(root, clip, range(onset, offset + 1))
    write_sheet(root / SHEET, rows)
    listing = list_clips(root)
    assert listing.samples == ()
    reasons = [e.reason for e in listing.excluded]
    assert "apex 30 lies outside onset 7 .. offset 12" in reasons[0]
    assert "digits may have changed places" in reasons[1]
    assert "nobody knows which frame was meant" in reasons[2]
    assert all("sheet_or_middle" in e.fix for e in listing.excluded)
    samples = list_clips(root, apex_policy="sheet_or_middle").samples
    assert [s.frames.numbers[s.apex] for s in samples] == [9, 1117, 4908]
    assert all("taken halfway" in s.repairs[0] for s in samples)


def test_macro_rows_and_rows_of_another_subject_are_told(root):
    macro = (*ROWS[0][:7], "Macro", *ROWS[0][8:])
    odd = ("007", *ROWS[1][1:])
    write_sheet(root / SHEET, [macro, odd])
    listing = list_clips(root)
    assert [e.reason for e in listing.excluded] == ["a macro-expression (Macro)"]
    assert "the clip's name 006" in listing.samples[0].repairs[0]


def test_the_sheet_of_another_database_is_passed_over_and_refused(root, casme2_root):
    foreign = (casme2_root / CASME2_SHEET).rename(root / "A.xlsx")
    assert len(list_clips(root).samples) == 3
    with pytest.raises(DatasetError, match="A.xlsx names no clip as SAMM does"):
        list_clips(root, sheet=foreign)
    with pytest.raises(DatasetError, match="names clips as SAMM does, 006_1_2"):
        list_casme2(casme2_root, sheet=root / SHEET)


def test_wrong_roots_say_what_was_expected(root, tmp_path):
    (tmp_path / "empty" / "photos").mkdir(parents=True)
    write_sheet(tmp_path / "empty" / SHEET, ROWS)
    with pytest.raises(DatasetError, match="expected to hold folders 006/006_1_2.*holds none, only photos"):
        list_clips(tmp_path / "empty")
    (root / SHEET).unlink()
    with pytest.raises(DatasetError, match="no SAMM sheet"):
        list_clips(root)
