"""SMIC's trees with their quirks, reproduced with generated images."""

from __future__ import annotations

import pytest

from mer_pipe.datasets.smic import list_clips
from mer_pipe.types import DatasetError
from tests.datasets.conftest import write_clip

CLIPS = (
    ("s1", "negative", "s1_ne_01", 11),
    ("s1", "positive", "s1_po_02", 12),
    ("s2", "surprise", "s2_sur_02", 15),
    ("s11", "negative", "s11_ne_10", 20),
)


def write_camera(root, camera, clips=CLIPS, tree="SMIC_all_raw", name="image{}.bmp", start=219124):
    for at, (subject, emotion, clip, frames) in enumerate(clips):
        first = start + 1000 * at
        write_clip(root / tree / camera / subject / "micro" / emotion / clip, range(first, first + frames), name)
        write_clip(root / tree / camera / subject / "non_micro" / clip.replace("_", "_non_"), range(3), name)


@pytest.fixture
def root(tmp_path):
    write_camera(tmp_path / "SMIC", "HS")
    return tmp_path / "SMIC"


def test_the_label_is_the_folder_and_the_marks_are_the_first_middle_and_last_frame(root):
    listing = list_clips(root)
    ids = ["smic/s01/s01_ne_01", "smic/s01/s01_po_02", "smic/s02/s02_sur_02", "smic/s11/s11_ne_10"]
    assert [s.id for s in listing.samples] == ids
    assert [s.label for s in listing.samples] == ["negative", "positive", "surprise", "negative"]
    first = listing.samples[0]
    assert first.frames.numbers == tuple(range(219124, 219135))
    assert (first.onset, first.apex, first.offset, first.fps) == (0, 5, 10, 100.0)
    assert (first.source["camera"], first.source["apex_policy"], first.repairs) == ("HS", "middle", ())
    assert "row" not in first.source
    assert any("annotates no apex: policy middle" in note for note in listing.notes)
    assert any(note.startswith("4 clips without a micro-expression") for note in listing.notes)


def test_cameras_and_trees_are_never_pooled(root):
    write_camera(root, "VIS", CLIPS[:2])
    write_camera(root, "HS", CLIPS, "SMIC_all_cropped", "reg_image{}.bmp")
    raw, vis, cropped = list_clips(root), list_clips(root, camera="VIS"), list_clips(root, tree="cropped")
    assert [len(listing.samples) for listing in (raw, vis, cropped)] == [4, 2, 4]
    assert {s.fps for s in vis.samples} == {25.0}
    assert all("/SMIC_all_raw/HS/" in s.frames.files[0] for s in raw.samples)
    assert all("/SMIC_all_cropped/HS/" in s.frames.files[0] for s in cropped.samples)
    assert "tree cropped, camera VIS there too" in raw.notes[0]
    with pytest.raises(DatasetError, match="no clips of camera NIR, only HS, VIS"):
        list_clips(root, camera="NIR")
    with pytest.raises(DatasetError, match="no tree cropped of camera VIS, only raw"):
        list_clips(root, camera="VIS", tree="cropped")


@pytest.mark.parametrize("below", ["SMIC_all_raw", "SMIC_all_raw/HS"])
def test_the_root_may_be_a_tree_or_a_camera(root, below):
    assert len(list_clips(root / below).samples) == 4
    assert len(list_clips(root).samples) == 4


def test_names_without_camera_padding_or_case_are_read_and_told(tmp_path):
    write_clip(tmp_path / "S01" / "Micro" / "Negative" / "S01_NE_1", range(5, 17), "Image{:06d}.JPG")
    write_clip(tmp_path / "S02" / "surprise" / "odd name", range(12))
    listing = list_clips(tmp_path)
    assert [s.id for s in listing.samples] == ["smic/s01/s01_ne_01", "smic/s02/odd_name"]
    assert "no folder is named by its camera: taken as HS" in listing.notes[0]


def test_a_clip_in_the_wrong_folder_and_one_in_two_folders_are_told(root):
    write_clip(root / "SMIC_all_raw/HS/s3/micro/positive/s3_ne_01", range(12))
    write_clip(root / "SMIC_all_raw/HS/s3/micro/negative/s3_ne_01", range(12))
    listing = list_clips(root)
    odd = [s for s in listing.samples if s.subject == "s03"]
    assert [(s.clip, s.label) for s in odd] == [("s03_ne_01", "negative"), ("s03_ne_01~positive", "positive")]
    assert odd[1].repairs == ("s3_ne_01 lies in folder positive, which counts",)


def test_gaps_single_frames_and_empty_folders_are_excluded_or_held(root):
    folder = root / "SMIC_all_raw/HS/s4/micro/negative"
    write_clip(folder / "s4_ne_01", [1, 2, 3, 4, 6, 7, 8, 9])
    write_clip(folder / "s4_ne_02", [1])
    (folder / "s4_ne_03").mkdir()
    listing = list_clips(root)
    assert len(listing.samples) == 4
    reasons = {e.id: e.reason for e in listing.excluded}
    assert "1..9, 5 is missing" in reasons["smic/s04/s04_ne_01"]
    assert "offset 1 is not after onset 1" in reasons["smic/s04/s04_ne_02"]
    assert reasons["smic/s04/s04_ne_03"] == "there is no numbered image in negative/s4_ne_03"
    held = next(s for s in list_clips(root, missing_frames="hold").samples if s.subject == "s04")
    assert held.frames.numbers == tuple(range(1, 10))
    assert held.frames.files[4] == held.frames.files[3]
    assert "5 is missing" in held.repairs[0]


def test_an_apex_may_be_estimated_or_given(root, tmp_path):
    estimated = list_clips(root, apex_policy="motion").samples[0]
    assert estimated.apex > 0
    assert "apex estimated by strongest motion" in estimated.repairs[0]
    table = tmp_path / "mine.csv"
    table.write_text("subject,clip,field,becomes,reason\ns1,s1_ne_01,apex,219126,seen by two coders\n")
    given, other, *_ = list_clips(root, apex_policy="sheet_or_middle", corrections=table).samples
    assert (given.apex, other.apex) == (2, 5)
    assert "read as 219126: seen by two coders (row 2 of mine.csv)" in given.repairs[0]
    assert "taken halfway" in other.repairs[0]
    assert "row 2 of mine.csv (s1/s1_ne_01, apex) was not used" in list_clips(root, corrections=table).notes


def test_wrong_roots_and_options_are_named(root, tmp_path):
    (tmp_path / "else" / "photos").mkdir(parents=True)
    with pytest.raises(DatasetError, match="expected to hold SMIC_all_raw.*it holds photos"):
        list_clips(tmp_path / "else")
    with pytest.raises(DatasetError, match="Did you mean NIR"):
        list_clips(root, camera="NiR")
    with pytest.raises(DatasetError, match="no apex policy 'sheet'"):
        list_clips(root, apex_policy="sheet")
    write_camera(root, "HS", CLIPS[:1], "copy_raw")
    with pytest.raises(DatasetError, match="holds subject 1 twice"):
        list_clips(root)
