"""CAS(ME)^2: a sheet without a header, names through two naming sheets, offsets of 0, two kinds of expression."""

from __future__ import annotations

import csv
import shutil

import openpyxl
import pytest

from mer_pipe.datasets.casme_squared import list_clips
from mer_pipe.types import DatasetError
from tests.datasets.fakes import copy, edit, fake, reasons

SHEET = "CAS(ME)^2code_final.xlsx"


def test_naming_sheets_lead_from_code_to_folder():
    listing = list_clips(fake("casme_sq", quirks=False).root)
    sample = listing.samples[0]
    assert sample.id == "casme_sq/s15/disgust1_1"
    assert "/rawpic/s15/15_0101disgustingteeth/img0" in sample.frames.files[0]
    assert (sample.fps, sample.emotion, sample.label) == (30.0, "negative", "negative")
    assert (sample.source["expression"], sample.source["self_report"]) == ("micro", "disgust")
    # The video goes on before the onset and after the offset; the sample doesn't.
    assert len(sample.frames) == sample.offset + 1


def test_an_offset_of_0_gives_way_to_the_apex_unless_asked_otherwise():
    root = fake("casme_sq").root
    (short,) = [s for s in list_clips(root).samples if s.apex == s.offset]
    assert short.source["offset_policy"] == "apex"
    assert "offset 0: the clip ends at its apex" in short.repairs[0]
    strict = list_clips(root, offset_policy="exclude")
    assert "offset 0 is not after onset" in reasons(strict)[short.id]
    with pytest.raises(DatasetError, match="Did you mean apex"):
        list_clips(root, offset_policy="apx")


def test_macro_expressions_are_listed_when_asked_for():
    root = fake("casme_sq").root
    micro, macro, both = (list_clips(root, expressions=kind) for kind in ("micro", "macro", "both"))
    assert {s.source["expression"] for s in macro.samples} == {"macro"}
    assert {s.id for s in both.samples} == {s.id for s in micro.samples} | {s.id for s in macro.samples}
    assert any(reason == "a micro-expression" for reason in reasons(macro).values())
    assert all(len(x.samples) + len(x.excluded) == len(micro.samples) + len(micro.excluded) for x in (macro, both))
    with pytest.raises(DatasetError, match="no 'mikro' expressions. Did you mean micro"):
        list_clips(root, expressions="mikro")


def test_one_code_for_two_expressions_is_told_apart_by_the_onset():
    ids = [s.id for s in list_clips(fake("casme_sq").root).samples if "happy1" in s.id]
    assert ids == ["casme_sq/s22/happy1_1_10", "casme_sq/s22/happy1_1_60"]


def test_null_action_units_are_none():
    assert "" in {s.aus for s in list_clips(fake("casme_sq").root).samples}
    assert "NULL" not in {s.aus for s in list_clips(fake("casme_sq").root).samples}


def test_csv_exports_of_the_three_pages_read_as_the_workbook(tmp_path):
    root = copy("casme_sq", tmp_path, quirks=True)
    whole = list_clips(root)
    book = openpyxl.load_workbook(root / SHEET)
    for page in book.worksheets:
        with open(root / f"{page.title}.csv", "w", newline="") as file:
            csv.writer(file).writerows(
                [["" if c is None else c for c in row] for row in page.iter_rows(values_only=True)]
            )
    (root / SHEET).unlink()
    export = list_clips(root)
    assert [s.id for s in export.samples] == [s.id for s in whole.samples]
    assert [e.id for e in export.excluded] == [e.id for e in whole.excluded]
    (root / "naming rule1.csv").unlink()
    with pytest.raises(DatasetError, match="maps subjects to folders"):
        list_clips(root)


def test_blank_columns_an_added_header_and_numbers_as_text_do_no_harm(tmp_path):
    root = copy("casme_sq", tmp_path)
    plain = list_clips(root)

    def spoil(rows):
        for row in rows:
            row[2:5] = [str(cell) for cell in row[2:5]]
            row.insert(2, None)
        rows.insert(0, ["Subject", "Video", None, "Onset", "Apex", "Offset", "AUs", "Emotion", "Type", "Self report"])

    edit(root / SHEET, spoil)
    spoiled = list_clips(root)
    assert [(s.id, s.onset, s.apex, s.offset) for s in spoiled.samples] == [
        (s.id, s.onset, s.apex, s.offset) for s in plain.samples
    ]
    assert spoiled.excluded == ()


def test_the_selected_tree_is_found_by_the_code(tmp_path):
    root = copy("casme_sq", tmp_path)
    raw = list_clips(root)
    for sample in raw.samples:
        folder = root / "selectedpic" / sample.subject / sample.clip
        folder.mkdir(parents=True)
        for file in sample.frames.files:
            shutil.copy(file, folder)
    selected = list_clips(root, tree="selected")
    assert [s.id for s in selected.samples] == [s.id for s in raw.samples]
    assert all("/selectedpic/" in s.frames.files[0] for s in selected.samples)
    assert any("selected is there too" in note for note in list_clips(root).notes)


def test_a_type_that_is_neither_excludes_its_row(tmp_path):
    root = copy("casme_sq", tmp_path)
    edit(root / SHEET, lambda rows: rows[0].__setitem__(7, "expression"))
    listing = list_clips(root)
    assert "type 'expression' is neither" in reasons(listing)["casme_sq/s15/disgust1_1"]


def test_another_workbook_is_named(tmp_path):
    root = copy("casme_sq", tmp_path)
    book = openpyxl.Workbook()
    book.active.append(["Subject", "Filename"])
    book.save(root / SHEET)
    with pytest.raises(DatasetError, match="no page of 9 columns"):
        list_clips(root)
