"""A user's own corrections, on top of the reviewed ones."""

from __future__ import annotations

import pytest

from mer_pipe.datasets import list_clips
from mer_pipe.types import DatasetError
from tests.datasets.conftest import row_2014, write_clip, write_sheet

HEADER = "subject,clip,field,becomes,reason"


def corrected(root, tmp_path, *lines, header=HEADER, **options):
    table = tmp_path / "mine.csv"
    table.write_text("\n".join((header, *lines)) + "\n")
    return list_clips("casme2", root, corrections=table, **options)


def test_each_field_can_be_set_and_each_use_is_told(casme2_root, tmp_path):
    listing = corrected(
        casme2_root,
        tmp_path,
        "sub01,EP02_01f,onset,47,late",
        "1,ep2_1F,apex,51,late",
        "01,EP02_01f,offset,54,late",
        "1,EP03_02,emotion,surprise,coded again",
        "1,EP03_02,aus,1+2,coded again",
        "2,EP02_01f,exclude,,speaks",
    )
    first, second = listing.samples
    assert (first.frames.numbers, first.apex) == (tuple(range(47, 55)), 4)
    assert first.repairs == (
        "onset '46' read as 47: late (row 2 of mine.csv)",
        "apex '50' read as 51: late (row 3 of mine.csv)",
        "offset '55' read as 54: late (row 4 of mine.csv)",
    )
    assert (second.emotion, second.label, second.aus) == ("surprise", "surprise", "1+2")
    assert len(second.repairs) == 2
    assert [e.reason for e in listing.excluded] == ["left out by a correction: speaks (row 7 of mine.csv)"]
    assert not any("was not used" in note for note in listing.notes)


def test_a_correction_mends_what_excluded_a_clip_and_comes_above_the_reviewed_ones(casme2_root, tmp_path):
    write_clip(casme2_root / "CASME2_RAW_selected/sub04/EP12_01f", range(10, 21))
    write_sheet(casme2_root / "CASME2-coding-20140508.xlsx", [row_2014(4, "EP12_01f", 10, "/", 20)])
    assert list_clips("casme2", casme2_root).samples == ()
    (sample,) = corrected(casme2_root, tmp_path, "4,EP12_01f,apex,14,coded again").samples
    assert (sample.apex, sample.repairs) == (4, ("apex '/' read as 14: coded again (row 2 of mine.csv)",))


def test_reads_and_onset_keep_a_correction_to_its_row(casme2_root, tmp_path):
    header = "subject,clip,at onset,field,reads,becomes,reason,source,database"
    listing = corrected(
        casme2_root,
        tmp_path,
        "1,EP02_01f,46,apex,50,52,late,own coding,casme2",
        "1,EP03_02,,apex,8,10,a repaired copy,,",
        "2,EP02_01f,1,apex,,99,another row,,",
        "2,EP02_01f,,apex,,99,another database,,samm",
        header=header,
    )
    first, second, third = listing.samples
    assert (first.apex, second.apex, third.apex) == (6, 2, 3)
    assert "(own coding, row 2 of mine.csv)" in first.repairs[0]
    assert [note for note in listing.notes if "was not used" in note] == [
        "row 3 of mine.csv (1/EP03_02, apex) was not used",
        "row 4 of mine.csv (2/EP02_01f, apex) was not used",
    ]


def test_an_apex_is_passed_over_where_the_policy_does_not_read_it(casme2_root, tmp_path):
    listing = corrected(casme2_root, tmp_path, "1,EP02_01f,apex,52,late", apex_policy="middle")
    assert (listing.samples[0].apex, listing.samples[0].repairs) == (4, ())
    assert any("was not used" in note for note in listing.notes)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,EP02_01f,apexx,5,x", "row 2 of mine.csv corrects 'apexx'. Did you mean apex"),
        ("1,EP02_01f,apex,?,x", r"sets apex to '\?'. Give a frame number"),
        ("1,EP02_01f,apex,=5,x", "sets apex to '=5'"),
        ("1,EP02_01f,emotion,,x", "sets emotion to nothing"),
        ("1,,apex,5,x", "names no subject or no clip"),
        ("1,EP02_01f,apex,5,x\nsub1,ep2_1f,apex,6,y", "row 3 of mine.csv and row 2 both correct the apex"),
    ],
)
def test_rows_that_make_no_sense_are_refused(casme2_root, tmp_path, line, reason):
    with pytest.raises(DatasetError, match=reason):
        corrected(casme2_root, tmp_path, line)


def test_a_table_that_is_none_is_refused(casme2_root, tmp_path):
    with pytest.raises(DatasetError, match="has no header row with subject, clip, field, becomes"):
        corrected(casme2_root, tmp_path, header="clip,apex")
    with pytest.raises(DatasetError, match="there is no sheet none.csv"):
        list_clips("casme2", casme2_root, corrections=tmp_path / "none.csv")
