"""File names: none leaves the export, none hides another."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from mer_pipe.export.clips import Clip
from mer_pipe.export.names import clip_names, distinct, safe, subject_folders


def clip(database: str, subject: str, name: str, row: int = 0) -> Clip:
    told = {"sample": f"{database}/{subject}/{name}", "database": database, "subject": f"{database}/{subject}"}
    return Clip(row, told | {"clip": name})


@given(st.text())
def test_no_text_makes_more_than_one_plain_part_of_a_path(text):
    name = safe(text)
    assert name == os.path.basename(os.path.normpath(name))
    assert name.isascii()
    assert 0 < len(name) <= 120
    assert not name.startswith(".")


def test_a_name_that_climbs_stays_in_its_folder():
    assert safe("../../etc/passwd") == "__.._etc_passwd"
    assert [safe(text) for text in ("..", "", "a/b", "EP02_01f", "spNO.1", "微")] == [
        "_", "_", "a_b", "EP02_01f", "spNO.1", "_",
    ]  # fmt: skip


@given(st.lists(st.text("aAbB-2", max_size=4)))
def test_no_two_names_differ_by_case_alone(texts):
    names = distinct(texts)
    assert len({name.lower() for name in names}) == len(texts)
    assert all(name.startswith(text) for name, text in zip(names, texts, strict=True))


def test_clips_that_differ_by_case_get_names_of_their_own():
    clips = [clip("casme2", "sub01", name) for name in ("EP01_01f", "ep01_01F", "EP01/01f")]
    assert clip_names(clips, subject_folders(clips)) == ["sub01_EP01_01f", "sub01_ep01_01F-2", "sub01_EP01_01f-3"]


def test_subjects_are_named_as_their_database_names_them():
    clips = [clip("casme2", "sub01", "a"), clip("samm", "006", "b"), clip("smic", "s01", "c")]
    assert list(subject_folders(clips).values()) == ["sub01", "006", "s01"]


def test_one_name_in_two_databases_is_two_subjects():
    clips = [clip("casme", "sub01", "a"), clip("casme2", "SUB01", "b"), clip("casme2", "sub02", "c")]
    assert list(subject_folders(clips).values()) == ["casme_sub01", "casme2_SUB01", "sub02"]


def test_numbers_are_told_from_numbers_where_a_reader_would_not():
    clips = [clip("samm", "006", "01"), clip("samm", "007", "02")]
    folders = subject_folders(clips, numbers=False)
    assert list(folders.values()) == ["samm_006", "samm_007"]
    assert clip_names(clips, folders, numbers=False) == ["samm_006_clip01", "samm_007_clip02"]
    assert list(subject_folders([*clips, clip("smic", "s01", "x")], numbers=False).values()) == ["006", "007", "s01"]
