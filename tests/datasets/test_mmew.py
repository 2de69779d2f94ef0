"""MMEW: folders of emotions, rows without an apex."""

from __future__ import annotations

import shutil

import pytest

from mer_pipe.datasets.mmew import list_clips
from mer_pipe.types import DatasetError
from tests.datasets.fakes import copy, edit, fake, reasons

SHEET = "MMEW_Micro_Exp.xlsx"


def test_a_row_becomes_a_sample_at_90_frames_a_second():
    sample = list_clips(fake("mmew", quirks=False).root).samples[0]
    assert sample.id == "mmew/S01/S01-01-001"
    assert sample.frames.files[0].endswith("Micro_Expression/happiness/S01-01-001/1.jpg")
    assert (sample.fps, sample.label, sample.aus, sample.frames.numbers[0]) == (90.0, "happiness", "6+12", 1)


def test_others_of_the_sheet_may_lie_in_repression():
    (other,) = [s for s in list_clips(fake("mmew").root).samples if "/repression/" in s.frames.files[0]]
    assert (other.label, other.repairs) == ("others", ())


def test_class_sets_leave_emotions_out():
    root = fake("mmew").root
    assert {s.label for s in list_clips(root, class_set="6").samples} == {
        "happiness", "surprise", "anger", "disgust", "fear", "sadness"
    }  # fmt: skip
    assert {s.label for s in list_clips(root, class_set="4").samples} <= {"happiness", "surprise", "disgust", "others"}
    assert {s.label for s in list_clips(root, class_set="3").samples} == {"positive", "negative", "surprise"}


def test_a_row_without_an_apex_is_taken_halfway_when_asked():
    root = fake("mmew").root
    strict, halfway = list_clips(root), list_clips(root, apex_policy="sheet_or_middle")
    won = {s.id for s in halfway.samples} - {s.id for s in strict.samples}
    assert won == {"mmew/S08/S08-04-002", "mmew/S08/S08-04-003"}
    assert "offset '' is not a frame number" in reasons(halfway)["mmew/S08/S08-04-001"]


def test_subjects_may_stand_above_emotions(tmp_path):
    root = copy("mmew", tmp_path)
    plain = list_clips(root)
    for sample in plain.samples:
        folder = root / "Micro_Expression" / sample.emotion / sample.clip
        shutil.move(folder, root / "Micro_Expression" / sample.subject / sample.emotion / sample.clip)
    turned = list_clips(root)
    assert [s.id for s in turned.samples] == [s.id for s in plain.samples]
    assert all(s.repairs == () for s in turned.samples)


def test_a_clip_in_two_emotions_is_the_one_of_its_row(tmp_path):
    root = copy("mmew", tmp_path)
    tree = root / "Micro_Expression"
    shutil.copytree(tree / "happiness" / "S01-01-001", tree / "fear" / "S01-01-001")
    listing = list_clips(root)
    assert "/happiness/" in listing.samples[0].frames.files[0]
    assert listing.samples[0].repairs == ()
    shutil.copytree(tree / "happiness" / "S01-01-001", tree / "anger" / "S01-01-001")
    shutil.rmtree(tree / "happiness" / "S01-01-001")
    assert "several folders could be S01-01-001" in reasons(list_clips(root))["mmew/S01/S01-01-001"]


def test_a_missing_column_is_named(tmp_path):
    root = copy("mmew", tmp_path)
    edit(root / SHEET, lambda rows: rows[0].__setitem__(6, "Feeling"))
    with pytest.raises(DatasetError, match="no header row with Subject.*nearest row reads Subject, Filename"):
        list_clips(root)
