"""The composite: a list of members over three generated databases."""

from __future__ import annotations

import pytest

from mer_pipe.datasets import list_clips as by_name
from mer_pipe.datasets.megc2019 import list_clips
from mer_pipe.datasets.published import compare
from mer_pipe.types import DatasetError
from tests.datasets import test_samm, test_smic
from tests.datasets.conftest import row_2014, write_clip, write_sheet

LIST = "combined_3class_gt.csv"
MEMBERS = (
    "casme2,sub01,EP02_01f,1",
    "casme2,sub02,EP02_01f,0",
    "samm,6,006_1_2,0",
    "samm,6,006_5_9,1",
    "samm,28,028_4_1,0",
    "smic,s01,s01_ne_01,0",
    "smic,s02,s02_sur_02,2",
)


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "MEGC"
    rows = [
        row_2014(1, "EP02_01f", 46, 50, 55),
        row_2014(2, "EP02_01f", 98, 101, 103, "disgust"),
        row_2014(4, "EP12_01f", 10, "/", 20, "happiness"),
    ]
    for subject, clip, _, onset, _, offset, *_ in rows:
        write_clip(root / "CASME II/CASME2_RAW_selected" / f"sub{subject:02d}" / clip, range(onset, offset + 1))
    write_sheet(root / "CASME II/CASME2-coding-20140508.xlsx", rows)
    codes = [*test_samm.ROWS, test_samm.row("028_4_1", 1100, 1143, 1134)]
    for _, clip, _, onset, _, offset, *_ in codes:
        test_samm.write_frames(root / "SAMM", clip, range(onset, offset + 1))
    test_samm.write_sheet(root / "SAMM" / test_samm.SHEET, codes)
    for tree in ("SMIC_all_cropped", "SMIC_all_raw"):
        test_smic.write_camera(root, "HS", tree=tree)
    (root / LIST).write_text("\n".join(MEMBERS))
    return root


def relist(root, *lines, **options):
    (root / LIST).write_text("\n".join(lines))
    return list_clips(root, **options)


def test_the_members_come_from_three_databases_under_their_own_names(root):
    listing = list_clips(root)
    assert [(s.id, s.label) for s in listing.samples] == [
        ("casme2/sub01/EP02_01f", "positive"),
        ("casme2/sub02/EP02_01f", "negative"),
        ("samm/006/006_1_2", "negative"),
        ("samm/006/006_5_9", "positive"),
        ("samm/028/028_4_1", "negative"),
        ("smic/s01/s01_ne_01", "negative"),
        ("smic/s02/s02_sur_02", "surprise"),
    ]
    assert listing.excluded == ()
    assert [s.fps for s in listing.samples] == [200.0] * 5 + [100.0] * 2
    # Raw before cropped, although the cropped folder comes first by name.
    assert "/SMIC_all_raw/" in listing.samples[-1].frames.files[0]
    assert {s.source["protocol"] for s in listing.samples} == {"megc2019"}
    assert listing.samples[2].source["members_row"] == "3"
    assert any(note == "casme2: 3 annotated clips, 2 in the list" for note in listing.notes)
    assert by_name("megc2019", root) == listing


def test_a_clip_is_the_same_as_in_its_own_database(root):
    alone = by_name("casme2", root / "CASME II", class_set="3").samples[0]
    member = list_clips(root).samples[0]
    assert (alone.id, alone.frames, alone.apex, alone.label) == (member.id, member.frames, member.apex, member.label)


def test_the_list_counts_and_not_the_class_map(root):
    # 04/EP12_01f is happiness, and no member; 013_1_1 is disgust, and a member here with another label.
    listing = relist(root, "samm,13,013_1_1,2", "casme2,sub01,EP02_01f,1")
    odd = listing.samples[1]
    assert (odd.id, odd.label, odd.emotion) == ("samm/013/013_1_1", "surprise", "Disgust")
    assert odd.repairs == ("labelled surprise by combined_3class_gt.csv; the class map makes 'Disgust' negative",)


def test_every_row_is_in_exactly_one_of_samples_and_excluded(root):
    (root / "SAMM/006/006_1_2/006_05564.jpg").unlink()
    lines = (
        *MEMBERS,
        "casme2,sub04,EP12_01f,1",
        "casme2,sub09,EP99_01,1",
        "smic,s77,s77_po_01,1",
        "samm,6,../../etc,1",
    )
    for policy, count in (("sheet", 5), ("sheet_or_middle", 7)):
        listing = relist(root, *lines, apex_policy=policy)
        assert len(listing.samples) == count
        assert len(listing.samples) + len(listing.excluded) == len(lines)
        assert not {s.id for s in listing.samples} & {e.id for e in listing.excluded}
    reasons = {e.id: e.reason for e in listing.excluded}
    assert "5564 is missing in 006/006_1_2" in reasons["samm/006/006_1_2"]
    assert reasons["casme2/sub09/EP99_01"] == f"row 9 of {LIST}: CASME II has no such clip"
    assert reasons["smic/s77/s77_po_01"] == f"row 10 of {LIST}: SMIC has no such clip"
    assert "samm/6/.._.._etc" in reasons


def test_padding_case_headers_blanks_and_repeats_in_the_list_do_not_matter(root):
    listing = relist(
        root,
        "dataset,subject,filename,label",
        "CASMEII,1,ep2_1F,1",
        "",
        "SAMM,006,6_1_2,0.0",
        "SMIC-HS,s1,s1_ne_1,negative",
        "smic,s01,s01_ne_01,0",
    )
    assert [s.id for s in listing.samples] == ["casme2/sub01/EP02_01f", "samm/006/006_1_2", "smic/s01/s01_ne_01"]
    assert "is taken as a header" in listing.notes[1]
    assert "row 6 of combined_3class_gt.csv repeats row 5" in listing.notes[2]


def test_rows_that_label_a_clip_differently_exclude_it(root):
    (entry,) = relist(root, MEMBERS[0], "smic,s01,s01_ne_01,0", "smic,s1,s1_ne_01,2").excluded
    assert (entry.id, entry.reason) == ("smic/s01/s01_ne_01", f"rows 2, 3 of {LIST} label this clip differently")


def test_databases_may_lie_elsewhere_and_one_may_be_missing(root, tmp_path):
    (root / "CASME II").rename(tmp_path / "far")
    listing = list_clips(root)
    assert [e.id for e in listing.excluded] == ["casme2/sub01/EP02_01f", "casme2/sub02/EP02_01f"]
    assert "CASME II is not there" in listing.excluded[0].reason
    assert listing.excluded[0].fix == "Give its folder with casme2=."
    assert "CASME II is not there: its clips are excluded" in listing.notes
    assert len(list_clips(root, casme2=tmp_path / "far").samples) == 7
    with pytest.raises(DatasetError, match="nowhere does not exist"):
        list_clips(root, casme2=tmp_path / "nowhere")


def test_the_cropped_frames_of_all_three_or_none(root):
    for database, folder in (("casme2", "CASME II/Cropped"), ("samm", "SAMM cropped")):
        for sample in list_clips(root).samples:
            if sample.database == database:
                write_clip(root / folder / sample.subject / sample.clip, sample.frames.numbers)
    listing = list_clips(root, tree="cropped", samm=root)
    assert len(listing.samples) == 7
    assert {s.source["tree"] for s in listing.samples} == {"cropped"}
    assert not {s.source["tree"] for s in list_clips(root).samples} & {"cropped"}
    with pytest.raises(DatasetError, match="no tree 'raw'"):
        list_clips(root, tree="raw")


def test_a_missing_or_foreign_list_is_named(root):
    with pytest.raises(DatasetError, match="row 2 of .* is no member: label '3' is none of 0, 1, 2"):
        relist(root, MEMBERS[0], "smic,s01,s01_ne_01,3", members=LIST)
    with pytest.raises(DatasetError, match="no list of members in .*the nearest: row 2"):
        list_clips(root)
    (root / LIST).unlink()
    with pytest.raises(DatasetError, match=r"there is no \.csv file"):
        list_clips(root)
    (root / "empty").mkdir()
    (root / "empty" / LIST).write_text(MEMBERS[0])
    with pytest.raises(DatasetError, match="none of the databases that"):
        list_clips(root / "empty")


def test_corrections_reach_the_databases_and_unused_ones_are_told_once(root, tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text(
        "database,subject,clip,field,becomes,reason\n"
        "samm,6,006_1_2,apex,5569,coded again\n"
        "smic,s1,s1_ne_01,exclude,,the person speaks\n"
        "samm,6,006_9_9,apex,5569,no such clip\n"
        ",6,006_5_9,apex,10002,read by one of three\n"
        ",6,006_8_8,apex,10002,read by none\n"
    )
    listing = list_clips(root, corrections=table)
    assert next(s for s in listing.samples if s.id == "samm/006/006_1_2").apex == 7
    assert "left out by a correction: the person speaks" in listing.excluded[0].reason
    assert [note for note in listing.notes if "was not used" in note] == [
        "row 6 of mine.csv (6/006_8_8, apex) was not used",
        "row 4 of mine.csv (samm/6/006_9_9, apex) was not used",
    ]


def test_the_comparison_counts_each_database(root):
    lines = compare(list_clips(root), "megc2019")
    assert lines[0].startswith("class set 3: found 7 in 3 classes, 6 subjects; published: 442")
    assert any("class set 3, smic: found 2 in 2 classes, 2 subjects; published: 164" in line for line in lines)
    assert sum("published: " in line for line in lines) == 4
