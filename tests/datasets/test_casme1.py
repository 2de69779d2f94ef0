"""CASME: two apex columns, frames named after their clip."""

from __future__ import annotations

import pytest

from mer_pipe.datasets.casme1 import list_clips
from mer_pipe.types import DatasetError
from tests.datasets.fakes import copy, edit, fake, reasons

SHEET = "CASME.xlsx"


def test_a_row_becomes_a_sample_at_60_frames_a_second():
    listing = list_clips(fake("casme", quirks=False).root)
    sample = listing.samples[0]
    assert sample.id == "casme/sub01/EP01_3"
    assert sample.fps == 60
    assert sample.frames.files[0].endswith(f"CASME_raw_selected/sub01/EP01_3/EP01_3-{sample.frames.numbers[0]}.jpg")
    assert sample.source["sheet_version"] == "apex1+2"
    assert (sample.emotion, sample.label, sample.aus) == ("tense", "tense", "4")


def test_padded_and_unpadded_frames_are_read_by_number():
    samples = list_clips(fake("casme").root).samples
    padded = [s for s in samples if s.subject == "sub02"]
    assert all(f"-{s.frames.numbers[0]:03d}.jpg" in s.frames.files[0] for s in padded)
    assert all(list(s.frames.numbers) == list(range(s.frames.numbers[0], s.frames.numbers[-1] + 1)) for s in samples)


def test_a_second_apex_is_kept_in_the_source():
    seconds = {s.id: s.source["apex2"] for s in list_clips(fake("casme").root).samples if "apex2" in s.source}
    assert list(seconds) == ["casme/sub08/EP12_5"]


def test_marks_of_another_cut_are_told_with_what_the_folder_holds():
    reason = reasons(list_clips(fake("casme").root))["casme/sub08/EP14_1"]
    assert "which holds 101.." in reason


def test_every_emotion_may_be_asked_for_and_a_sheet_without_a_second_apex_reads(tmp_path):
    root = copy("casme", tmp_path, quirks=True)
    all_of_them = list_clips(root, class_set="8")
    assert {"happiness", "sadness"} <= {s.label for s in all_of_them.samples}
    edit(root / SHEET, lambda rows: [row.pop(5) for row in rows])
    assert {s.source["sheet_version"] for s in list_clips(root).samples} == {"apex1"}
    with pytest.raises(DatasetError, match="no class set '9'"):
        list_clips(root, class_set="9")


def test_the_cropped_tree_may_be_chosen(tmp_path):
    import shutil

    root = copy("casme", tmp_path)
    shutil.copytree(root / "CASME_raw_selected", root / "Cropped")
    both = list_clips(root)
    assert all("/CASME_raw_selected/" in s.frames.files[0] for s in both.samples)
    assert any("cropped is there too" in note for note in both.notes)
    cropped = list_clips(root, tree="cropped")
    assert all("/Cropped/" in s.frames.files[0] for s in cropped.samples)
    assert cropped.samples[0].source["tree"] == "cropped"
    assert [s.id for s in list_clips(root / "Cropped").samples] == [s.id for s in both.samples]
    with pytest.raises(DatasetError, match="holds no tree raw, only"):
        list_clips(root, tree="raw")


def test_a_clip_of_another_subject_is_never_taken(tmp_path):
    root = copy("casme", tmp_path)
    edit(root / SHEET, lambda rows: rows[1].__setitem__(0, 9))
    listing = list_clips(root)
    assert "there is no folder EP01_3 of this subject" in reasons(listing)["casme/sub09/EP01_3"]
    edit(root / SHEET, lambda rows: rows[1].__setitem__(0, "anna"))
    assert "is not a subject's number" in reasons(list_clips(root))["casme/anna/EP01_3"]
