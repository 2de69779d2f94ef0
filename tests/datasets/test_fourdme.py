"""4DME: uncertain action units, two emotions at once, frames that a copy numbers anew."""

from __future__ import annotations

from mer_pipe.datasets.fourdme import list_clips
from tests.datasets.fakes import copy, edit, fake, reasons

SHEET = "4DME_Labelling_Micro_release v1.xlsx"


def test_a_row_becomes_a_sample_at_60_frames_a_second():
    sample = list_clips(fake("4dme", quirks=False).root).samples[0]
    assert sample.id == "4dme/S01/S01_1st_001_01"
    assert sample.frames.files[0].endswith("gray_micro/S01_1st_001_01/Frame_000001540.jpg")
    assert (sample.fps, sample.emotion, sample.label) == (60.0, "Negative", "negative")
    assert sample.source["sheet_version"] == "release v1"


def test_an_uncertain_action_unit_stays_as_written():
    assert "AU4(k)+L7" in {s.aus for s in list_clips(fake("4dme").root).samples}


def test_two_emotions_at_once_are_excluded_by_name():
    assert "emotion 'Negative+Repression' is outside the 5-class set" in reasons(list_clips(fake("4dme").root)).values()


def test_frames_counted_from_1_stand_for_the_annotated_ones_only_where_their_count_agrees(tmp_path):
    root = copy("4dme", tmp_path, quirks=True)
    (anew,) = [s for s in list_clips(root).samples if s.clip == "S13_1st_003_01"]
    assert anew.frames.numbers[0] == 1
    assert "same count" in anew.repairs[0]
    edit(root / SHEET, lambda rows: [r.__setitem__(7, r[7] + 1) for r in rows if r[1] == anew.clip])
    assert "missing in" in reasons(list_clips(root))[anew.id]


def test_the_names_of_an_earlier_sheet_read_alike(tmp_path):
    root = copy("4dme", tmp_path)
    plain = list_clips(root)
    edit(root / SHEET, lambda rows: rows.__setitem__(0, [f"{cell}'" for cell in rows[0]]))
    edit(root / SHEET, lambda rows: [r.__setitem__(0, f"S{int(r[0])}") for r in rows[1:]])
    assert [s.id for s in list_clips(root).samples] == [s.id for s in plain.samples]


def test_a_folder_with_two_clips_names_them_by_onset(tmp_path):
    root = copy("4dme", tmp_path)
    edit(root / SHEET, lambda rows: rows.append([*rows[1][:5], rows[1][5] + 1, *rows[1][6:]]))
    ids = [s.id for s in list_clips(root).samples]
    assert ids[:2] == ["4dme/S01/S01_1st_001_01_1540", "4dme/S01/S01_1st_001_01_1541"]
