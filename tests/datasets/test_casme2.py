"""CASME II's layouts and sheets with their quirks, reproduced with generated rows and images."""

from __future__ import annotations

import csv
import io
import re
import time
import zipfile

import openpyxl
import pytest
from openpyxl.worksheet.formula import ArrayFormula

from mer_pipe.datasets.casme2 import list_clips
from mer_pipe.datasets.published import compare
from mer_pipe.types import DatasetError
from tests.datasets.conftest import HEADER_2014, HEADER_2019, row_2014, write_clip, write_sheet

TREE = "CASME2_RAW_selected"
SHEET = "CASME2-coding-20140508.xlsx"


def reasons(listing) -> dict[str, str]:
    return {e.id: e.reason for e in listing.excluded}


def relist(root, *rows, **options):
    write_sheet(root / SHEET, rows)
    return list_clips(root, **options)


def test_a_row_becomes_a_sample_with_its_frames_in_time_order(casme2_root):
    listing = list_clips(casme2_root)
    assert [s.id for s in listing.samples] == ["casme2/sub01/EP02_01f", "casme2/sub01/EP03_02", "casme2/sub02/EP02_01f"]
    assert listing.excluded == ()
    first, second, third = listing.samples
    assert first.frames.numbers == tuple(range(46, 56))
    assert [f.rsplit("/", 1)[1] for f in first.frames.files[:2]] == ["img46.jpg", "img47.jpg"]
    assert (first.onset, first.apex, first.offset, first.fps) == (0, 4, 9, 200.0)
    assert (first.emotion, first.label, first.aus) == ("happiness", "happiness", "6+12")
    assert (second.aus, third.aus) == ("4", "4+L10")
    # 7..12 crosses from one digit to two: order is by number, not by name.
    assert [f.rsplit("/", 1)[1] for f in second.frames.files] == [f"img{n}.jpg" for n in range(7, 13)]
    assert first.source["sheet_version"] == "20140508"
    assert len(first.source["sheet_sha256"]) == 64
    assert first.repairs == ()


@pytest.mark.parametrize("below", ["", TREE])
def test_the_root_may_be_the_database_or_its_tree(casme2_root, below):
    assert len(list_clips(casme2_root / below).samples) == 3


def test_the_2019_sheet_is_told_by_its_columns_and_both_may_be_there(casme2_root):
    rows = [(1, "EP02_01f", 46, 50, 55, "6+12", "sadness", 4), (1, "EP03_02", 7, 9, 12, "R12", "Surprise", 2)]
    write_sheet(casme2_root / "coding.xlsx", rows, HEADER_2019)
    old, new = list_clips(casme2_root), list_clips(casme2_root, sheet="20190701")
    assert {s.source["sheet_version"] for s in old.samples} == {"20140508"}
    assert any("20190701" in note for note in old.notes)
    assert [(s.label, s.source["sheet"]) for s in new.samples] == [("surprise", "coding.xlsx")]
    assert "outside the 5-class set" in reasons(new)["casme2/sub01/EP02_01f"]


def test_a_stripped_sheet_and_a_sheet_with_lines_above_its_header_read_alike(casme2_root):
    rows = [("sub01", "EP02_01f", "46", "50", "55", "happiness"), ("02", "EP02_01f", 98, 101, 103, "Others ")]
    header = ("subject", " FileName", "Onset Frame", "apexframe", "OffsetFrame", "EstimatedEmotion")
    write_sheet(casme2_root / SHEET, [("", ""), header, *rows], ("CASME II", "coding", None))
    listing = list_clips(casme2_root)
    assert [(s.id, s.label, s.source["row"]) for s in listing.samples] == [
        ("casme2/sub01/EP02_01f", "happiness", "4"),
        ("casme2/sub02/EP02_01f", "others", "5"),
    ]


def test_a_csv_export_is_accepted(casme2_root):
    rows = [HEADER_2014, row_2014(1, "EP02_01f", 46, 50, 55, "surprise")]
    with open(casme2_root / "labels.csv", "w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=";").writerows(rows)
    (casme2_root / SHEET).unlink()
    assert [s.label for s in list_clips(casme2_root).samples] == ["surprise"]
    assert [s.label for s in list_clips(casme2_root, sheet=casme2_root / "labels.csv").samples] == ["surprise"]


def test_padding_and_case_of_folders_and_files_do_not_matter_and_are_said(casme2_root):
    write_clip(casme2_root / TREE / "Sub3" / "ep5_02F", range(5, 9), "reg_IMG{:05d}.JPG")
    listing = relist(casme2_root, row_2014(3, "EP05_02f", 5, 6, 8))
    assert listing.samples[0].id == "casme2/sub03/EP05_02f"
    assert listing.samples[0].frames.files[0].endswith("reg_IMG00005.JPG")
    assert listing.samples[0].repairs == ("frames of EP05_02f found in folder Sub3/ep5_02F",)


def test_the_updated_sheet_of_2014_is_told_by_its_row(casme2_root):
    write_clip(casme2_root / TREE / "sub24/EP02_07", range(61, 107))
    listing = relist(casme2_root, row_2014(24, "EP02_07", 61, 91, 106, "disgust"))
    assert listing.samples[0].source["sheet_version"] == "20140508 updated"
    assert any("247" not in line and "20140508 updated" in line for line in compare(listing, "casme2"))


def test_objective_classes_need_the_sheet_that_has_them(casme2_root):
    with pytest.raises(DatasetError, match="class set objective needs a column of objective classes"):
        list_clips(casme2_root, class_set="objective")
    rows = [(1, "EP02_01f", 46, 50, 55, "6+12", "happiness", 1), (1, "EP03_02", 7, 9, 12, "R12", "others", 7)]
    write_sheet(casme2_root / "coding.xlsx", rows, HEADER_2019)
    listing = list_clips(casme2_root, class_set="objective", sheet="20190701")
    assert [(s.label, s.emotion) for s in listing.samples] == [("I", "happiness")]
    assert reasons(listing) == {"casme2/sub01/EP03_02": "objective class '7' is outside the objective-class set"}
    both = list_clips(casme2_root, class_set="objective7", sheet="20190701")
    assert [s.label for s in both.samples] == ["I", "VII"]


def test_an_unusable_apex_is_taken_halfway_where_the_policy_says_so(casme2_root):
    rows = row_2014(1, "EP02_01f", 46, 90, 55), row_2014(2, "EP02_01f", 98, 101, 103)
    first, second = relist(casme2_root, *rows, apex_policy="sheet_or_middle").samples
    assert (first.apex, second.apex) == (4, 3)
    assert first.repairs == ("apex 90 lies outside onset 46 .. offset 55: taken halfway, frame 50",)
    assert second.repairs == ()
    with pytest.raises(DatasetError, match="no apex policy 'sheet-or-middle'. Did you mean sheet_or_middle"):
        list_clips(casme2_root, apex_policy="sheet-or-middle")


def test_few_missing_frames_may_be_held_and_many_never_are(casme2_root):
    for number in (46, 50):
        (casme2_root / TREE / f"sub01/EP02_01f/img{number}.jpg").unlink()
    for number in (99, 100):
        (casme2_root / TREE / f"sub02/EP02_01f/img{number}.jpg").unlink()
    listing = list_clips(casme2_root, missing_frames="hold")
    held = listing.samples[0]
    assert held.frames.numbers == tuple(range(46, 56))
    assert [f.rsplit("/", 1)[1] for f in held.frames.files[:5]] == [
        "img47.jpg", "img47.jpg", "img48.jpg", "img49.jpg", "img49.jpg"
    ]  # fmt: skip
    assert "46, 50 are missing in sub01/EP02_01f" in held.repairs[0]
    assert "99, 100 are missing" in reasons(listing)["casme2/sub02/EP02_01f"]
    assert "the frames of 2 of 3 clips are there: the database may be unpacked only in part" in listing.notes


@pytest.mark.parametrize(("policy", "onset"), [("first", 46), ("last", 48)])
def test_of_contradicting_rows_one_may_be_read(casme2_root, policy, onset):
    rows = [row_2014(1, "EP02_01f", first, 50, 55) for first in (46, 47, 48)]
    (sample,) = relist(casme2_root, *rows, repeated_rows=policy).samples
    assert sample.frames.numbers[0] == onset
    assert sample.repairs == (f"rows 2, 3, 4 annotate this clip differently: row {onset - 44} is read",)


def test_shared_frames_and_unreadable_action_units_are_noted(casme2_root):
    rows = row_2014(1, "EP02_01f", 46, 50, 55, aus="4 7"), row_2014(1, "EP2_1F", 46, 51, 55)
    notes = relist(casme2_root, *rows).notes
    assert "1 clips have the frames of another: casme2/sub01/EP02_01f and casme2/sub01/EP2_1F" in notes
    assert "action units of 1 clips cannot be read and are kept as written: '4 7' (casme2/sub01/EP02_01f)" in notes


def test_formulas_over_several_cells_are_refused_too(casme2_root):
    book = openpyxl.load_workbook(casme2_root / SHEET)
    book.active["D2"] = ArrayFormula("D2:D2", "=SUM(40,6)")
    book.save(casme2_root / SHEET)
    assert "formula, =SUM(40,6)" in reasons(list_clips(casme2_root))["casme2/sub01/EP02_01f"]


def test_trees_are_chosen_by_name_and_the_choice_is_noted(casme2_root):
    write_clip(casme2_root / "CASME2-RAW/sub01/EP02_01f", range(1, 80))
    write_clip(casme2_root / "Cropped-updated/Cropped/sub01/EP02_01f", range(46, 56), "reg_img{}.jpg")
    for tree, part in ((None, f"/{TREE}/"), ("raw", "/CASME2-RAW/"), ("cropped", "/Cropped-updated/Cropped/")):
        listing = list_clips(casme2_root, tree=tree)
        sample = listing.samples[0]
        assert sample.frames.numbers == tuple(range(46, 56))
        assert part in sample.frames.files[0]
        assert any("is there too" in note for note in listing.notes)
    assert len(list_clips(casme2_root / "Cropped-updated" / "Cropped").samples) == 1
    with pytest.raises(DatasetError, match="Did you mean cropped"):
        list_clips(casme2_root, tree="croped")


def test_emotions_outside_the_class_set_are_excluded_and_maps_apply(casme2_root):
    rows = [row_2014(1, "EP02_01f", 46, 50, 55, "fear"), row_2014(2, "EP02_01f", 98, 101, 103, "repression")]
    assert reasons(relist(casme2_root, *rows)) == {"casme2/sub01/EP02_01f": "emotion 'fear' is outside the 5-class set"}
    assert [(s.emotion, s.label) for s in list_clips(casme2_root, class_set="3").samples] == [
        ("repression", "negative")
    ]
    assert [s.label for s in list_clips(casme2_root, class_set="7").samples] == ["fear", "repression"]


def test_the_slash_apex_is_excluded_with_its_correction_or_taken_halfway(casme2_root):
    write_clip(casme2_root / TREE / "sub04/EP12_01f", range(10, 21))
    row = row_2014(4, "EP12_01f", 10, "/", 20)
    reason = reasons(relist(casme2_root, row))["casme2/sub04/EP12_01f"]
    assert "apex '/' is not a frame number" in reason
    assert "annotators gave this clip no apex" in reason
    (sample,) = list_clips(casme2_root, apex_policy="middle").samples
    assert sample.frames.numbers[sample.apex] == 15
    assert sample.source["apex_policy"] == "middle"


def test_an_apex_on_the_onset_is_kept_and_noted(casme2_root):
    write_clip(casme2_root / TREE / "sub05/EP09_05f", range(10, 21))
    rows = row_2014(5, "EP09_05f", 10, 10, 20), row_2014(1, "EP02_01f", 46, 46, 55)
    known, other = reversed(relist(casme2_root, *rows).samples)
    assert (known.apex, other.apex) == (0, 0)
    assert "MEGC 2019" in known.repairs[0]
    assert "apex on its onset, frame 46" in other.repairs[0]


@pytest.mark.parametrize(
    ("marks", "reason"),
    [
        ((46, 90, 55), "apex 90 lies outside onset 46 .. offset 55"),
        ((46, 40, 55), "apex 40 lies outside"),
        ((55, 50, 46), "offset 46 is not after onset 55"),
        (("?", 50, 55), "onset '\\?' is not a frame number"),
        ((46, 50, None), "offset '' is not a frame number"),
        ((46, 50, "=55"), "offset cell of row 2 is a formula, =55"),
        ((46, 50, 57), "frames 46..57, 56, 57 are missing in sub01/EP02_01f"),
        ((46, 50, 999999999), "56, 57, 58 and 999999941 more are missing"),
        ((46, "1" * 5000, 55), "is not a frame number"),
        ((46, 50.5, 55), "apex '50.5' is not a frame number"),
    ],
)
def test_marks_that_cannot_be_used_exclude_the_clip(casme2_root, marks, reason):
    listing = relist(casme2_root, row_2014(1, "EP02_01f", *marks), row_2014(2, "EP02_01f", 98, 101, 103))
    assert [s.id for s in listing.samples] == ["casme2/sub02/EP02_01f"]
    assert re.search(reason, reasons(listing)["casme2/sub01/EP02_01f"])
    assert listing.excluded[0].fix


def test_an_interior_frame_that_is_missing_excludes_the_clip(casme2_root):
    (casme2_root / TREE / "sub01/EP02_01f/img48.jpg").unlink()
    assert "48 is missing in sub01/EP02_01f" in reasons(list_clips(casme2_root))["casme2/sub01/EP02_01f"]


def test_a_frame_that_is_there_twice_excludes_the_clip(casme2_root):
    write_clip(casme2_root / TREE / "sub01/EP02_01f", [48], "img{:03d}.jpg")
    write_clip(casme2_root / TREE / "sub02/EP02_01f", [98], "._img{}.jpg")
    assert reasons(list_clips(casme2_root)) == {
        "casme2/sub01/EP02_01f": "frame 48 is there more than once in sub01/EP02_01f: img048.jpg, img48.jpg"
    }


def test_missing_clips_and_subjects_are_excluded_by_name(casme2_root):
    listing = relist(casme2_root, row_2014(1, "EP77_01", 1, 2, 3), row_2014(9, "EP02_01f", 1, 2, 3))
    assert reasons(listing) == {
        "casme2/sub01/EP77_01": "there is no folder EP77_01 in sub01",
        "casme2/sub09/EP02_01f": "there is no folder for subject 9",
    }


@pytest.mark.parametrize("name", ["../..", "..", "/etc", "sub\\..\\..", ".", "a/../../b"])
def test_names_from_a_sheet_never_leave_the_root(casme2_root, tmp_path, name):
    write_clip(tmp_path / "b", range(1, 4))
    listing = relist(casme2_root, row_2014(1, name, 1, 2, 3), row_2014(name, "EP02_01f", 1, 2, 3))
    assert listing.samples == ()
    assert len(listing.excluded) == 2
    for entry in listing.excluded:
        database, subject, clip = entry.id.split("/")
        assert database == "casme2"
        assert not {subject, clip} & {"", ".", ".."}
    assert any("is not a plain folder name" in e.reason for e in listing.excluded)


def test_a_nul_in_a_csv_cell_is_excluded(casme2_root):
    (casme2_root / SHEET).unlink()
    (casme2_root / "s.csv").write_text(
        "Subject,Filename,OnsetFrame,ApexFrame,OffsetFrame,Estimated Emotion\n1,EP02\0_01f,46,50,55,happiness\n"
    )
    (entry,) = list_clips(casme2_root).excluded
    assert "plain folder name" in entry.reason
    assert "\0" not in entry.id


def test_repeated_rows_are_noted_and_contradicting_rows_excluded(casme2_root):
    good, changed = row_2014(2, "EP02_01f", 98, 101, 103), row_2014(1, "EP02_01f", 47, 50, 55)
    listing = relist(casme2_root, row_2014(1, "EP02_01f", 46, 50, 55), good, good, changed)
    assert [s.id for s in listing.samples] == ["casme2/sub02/EP02_01f"]
    assert "rows 2, 5" in reasons(listing)["casme2/sub01/EP02_01f"]
    assert any("row 4 repeats row 3" in note for note in listing.notes)


def test_a_wrong_root_says_what_was_expected_and_found(tmp_path):
    (tmp_path / "CASME2_RAW_selectd").mkdir()
    with pytest.raises(DatasetError, match=r"expected to hold CASME2_RAW_selected.*holds CASME2_RAW_selectd") as caught:
        list_clips(tmp_path)
    assert "nearest is CASME2_RAW_selectd" in caught.value.fix
    with pytest.raises(DatasetError, match="does not exist"):
        list_clips(tmp_path / "nowhere")


def test_a_missing_sheet_and_a_foreign_sheet_are_named(casme2_root):
    (casme2_root / SHEET).unlink()
    with pytest.raises(DatasetError, match=r"there is no \.xlsx or \.csv"):
        list_clips(casme2_root)
    write_sheet(
        casme2_root / "codes.xlsx", [("006", "006_1_2", 5562, 5588)], ("Subject", "Filename", "Duration", "Apex")
    )
    with pytest.raises(DatasetError, match=r"codes\.xlsx has no header row .*nearest row reads Subject, Filename"):
        list_clips(casme2_root)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "protected by a password"),
        (b"just text", "is not an .xlsx workbook"),
        (b"PK\x03\x04" + bytes(30), "is not an .xlsx workbook"),
    ],
)
def test_files_that_are_no_workbook_are_one_line(casme2_root, data, reason):
    (casme2_root / SHEET).write_bytes(data)
    with pytest.raises(DatasetError, match=reason):
        list_clips(casme2_root, sheet=SHEET)


def test_a_zip_without_a_workbook_and_a_bomb_are_refused(casme2_root):
    for name, size, reason in (("a.txt", 10, "not a readable"), ("xl/workbook.xml", 200 * 2**20, "unpacks to")):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, bytes(size))
        (casme2_root / SHEET).write_bytes(packed.getvalue())
        with pytest.raises(DatasetError, match=reason):
            list_clips(casme2_root, sheet=SHEET)


def test_huge_claimed_dimensions_cost_nothing_and_a_far_row_is_refused(casme2_root):
    path = casme2_root / SHEET

    def edit(pattern: bytes, text: bytes) -> None:
        with zipfile.ZipFile(path) as archive:
            files = {n: archive.read(n) for n in archive.namelist()}
        sheet = "xl/worksheets/sheet1.xml"
        files[sheet], count = re.subn(pattern, text, files[sheet], count=1)
        assert count == 1
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)

    edit(rb'<dimension ref="[^"]*"', b'<dimension ref="A1:XFD1048576"')
    start = time.perf_counter()
    assert len(list_clips(casme2_root).samples) == 3
    edit(rb"</sheetData>", b'<row r="1048576"><c r="A1048576"><v>1</v></c></row></sheetData>')
    with pytest.raises(DatasetError, match="more than 20000 rows"):
        list_clips(casme2_root, sheet=SHEET)
    assert time.perf_counter() - start < 5


def test_a_whole_database_is_listed_quickly_and_alike_each_time(tmp_path):
    rows = [row_2014(s, f"EP{c:02d}_01", 1, 3, 6) for s in range(1, 27) for c in range(1, 11)][:255]
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(1, 71):
        (frames / f"img{number}.jpg").touch()
    for subject, clip, *_ in rows:
        folder = tmp_path / TREE / f"sub{subject:02d}" / clip
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.symlink_to(frames)
    write_sheet(tmp_path / SHEET, rows[::-1])
    list_clips(tmp_path)
    start = time.perf_counter()
    listing = list_clips(tmp_path)
    taken = time.perf_counter() - start
    assert len(listing.samples) == 255
    assert [s.id for s in listing.samples] == sorted(s.id for s in listing.samples)
    assert listing == list_clips(tmp_path)
    assert taken < 1
