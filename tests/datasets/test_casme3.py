"""CAS(ME)^3 part A: several clips a video, named by their onsets; slips of the pen; depth beside colour."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mer_pipe.datasets.casme3 import list_clips
from mer_pipe.types import DatasetError
from tests.datasets.fakes import copy, edit, fake, reasons

SHEET = Path("annotation", "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx")


def test_a_video_with_two_rows_gives_two_clips_named_by_their_onsets():
    samples = list_clips(fake("casme3", quirks=False).root).samples
    assert [s.id for s in samples[:4]] == [
        "casme3/spNO.1/a_30",
        "casme3/spNO.1/a_90",
        "casme3/spNO.1/b_30",
        "casme3/spNO.1/b_90",
    ]
    assert samples[0].frames.files[0].endswith("part_A/spNO.1/a/color/30.jpg")
    assert (samples[0].fps, samples[0].source["sheet_version"]) == (30.0, "v2")
    assert samples[0].source["objective_class"] == "II"


def test_the_order_of_rows_changes_nothing_but_their_numbers(tmp_path):
    root = copy("casme3", tmp_path)
    before = list_clips(root)
    edit(root / SHEET, lambda rows: rows.__setitem__(slice(1, None), rows[:0:-1]))
    assert [s.id for s in list_clips(root).samples] == [s.id for s in before.samples]


def test_the_folders_of_subjects_may_be_written_otherwise_and_doubled():
    files = {s.subject: s.frames.files[0] for s in list_clips(fake("casme3").root).samples}
    assert "/spNo.20/a/color/" in files["spNO.20"]
    assert "/spNO.21/spNO.21/c/color/" in files["spNO.21"]
    assert not any("/depth/" in file for file in files.values())


def test_others_counts_in_either_case():
    listing = list_clips(fake("casme3").root)
    assert {s.label for s in listing.samples if s.emotion in ("others", "Others")} == {"others"}
    assert {s.emotion for s in listing.samples if s.label == "others"} == {"others", "Others"}


def test_class_sets_by_valence_and_by_objective_class():
    root = fake("casme3").root
    three = list_clips(root, class_set="3")
    assert {s.emotion: s.label for s in three.samples} == {
        "disgust": "negative", "surprise": "surprise", "fear": "negative", "anger": "negative", "sad": "negative"
    }  # fmt: skip
    assert "emotion 'Others' is outside the 3-class set" in reasons(three).values()
    assert {s.label for s in list_clips(root, class_set="objective").samples} <= {"I", "II", "III", "IV", "V"}


def test_a_clip_of_thousands_of_frames_is_excluded_by_its_length_and_the_bound_may_be_set():
    root = fake("casme3").root
    long = "casme3/spNO.22/f_17"
    assert "3456 frames, more than 120" in reasons(list_clips(root))[long]
    assert "missing in" in reasons(list_clips(root, longest=4000))[long]
    assert len(list_clips(root, longest=5).samples) == 0
    with pytest.raises(DatasetError, match="at most 1 frames"):
        list_clips(root, longest=1)


def test_an_apex_before_the_onset_is_excluded_or_taken_halfway():
    root, name = fake("casme3").root, "casme3/spNO.22/d_"
    assert any(i.startswith(name) for i in reasons(list_clips(root)))
    kept = [s for s in list_clips(root, apex_policy="sheet_or_middle").samples if s.id.startswith(name)]
    assert [s.apex for s in kept] == [s.offset // 2 for s in kept]
    assert "taken halfway" in kept[0].repairs[0]


def test_the_macro_sheet_is_passed_over_unless_asked_for(tmp_path):
    root = copy("casme3", tmp_path, quirks=True)
    assert {s.source["sheet"] for s in list_clips(root).samples} == {SHEET.name}
    macro = next((root / "annotation").glob("*MaE*"))
    (root / SHEET).unlink()
    with pytest.raises(DatasetError, match=r"no CAS\(ME\)\^3 part A sheet"):
        list_clips(root)
    assert [e.id for e in list_clips(root, sheet=macro).excluded] == ["casme3/spNO.1/a_200"]


def test_the_database_own_clip_folders_are_read_too(tmp_path):
    root = copy("casme3", tmp_path)
    videos = list_clips(root)
    for sample in videos.samples:
        folder = root / "Part_A_ME_clip" / "frame" / f"{sample.subject}_{sample.clip}"
        folder.mkdir(parents=True)
        for file in sample.frames.files:
            shutil.copy(file, folder)
        shutil.copytree(folder, root / "Part_A_ME_clip" / "depth" / folder.name)
    shutil.rmtree(root / "part_A")
    clips = list_clips(root)
    assert [(s.id, s.frames.numbers) for s in clips.samples] == [(s.id, s.frames.numbers) for s in videos.samples]
    assert {s.source["tree"] for s in clips.samples} == {"clips"}
    assert not any("/depth/" in s.frames.files[0] for s in clips.samples)
