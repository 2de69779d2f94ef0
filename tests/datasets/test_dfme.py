"""DFME: a frame rate a row, clip names that repeat across subjects."""

from __future__ import annotations

import shutil

import pytest

from mer_pipe.datasets.dfme import list_clips
from mer_pipe.types import DatasetError
from tests.datasets.fakes import copy, fake, reasons

SHEET = "annotation.csv"


def test_every_row_has_its_own_rate():
    samples = list_clips(fake("dfme", quirks=False).root).samples
    assert [s.fps for s in samples] == [300.0, 500.0, 200.0, 300.0, 300.0, 500.0]
    assert samples[0].id == "dfme/sub001/clip01"
    assert samples[0].frames.files[0].endswith(f"DFME/sub001/clip01/{samples[0].frames.numbers[0]:05d}.jpg")


def test_a_row_without_a_rate_is_excluded_unless_one_is_given():
    root, name = fake("dfme").root, "dfme/sub080/clip02"
    assert "fps '' is not a frame rate" in reasons(list_clips(root))[name]
    (given,) = [s for s in list_clips(root, fps=500).samples if s.id == name]
    assert given.fps == 500
    assert given.repairs == ("frame rate not in the sheet: 500 as asked",)
    assert "fps 'fast' is not a frame rate" in reasons(list_clips(root, fps=500))["dfme/sub080/clip03"]
    with pytest.raises(DatasetError, match="0 is no frame rate"):
        list_clips(root, fps=0)


def test_an_unusual_rate_is_used_and_told():
    (odd,) = [s for s in list_clips(fake("dfme").root).samples if s.fps == 250]
    assert odd.repairs == ("frame rate 250 is none of the database's 200, 300 and 500",)


@pytest.mark.parametrize(("cell", "rate"), [("200.0", 200.0), ("300fps", 300.0), ("500 FPS", 500.0)])
def test_rates_are_read_however_they_are_written(tmp_path, cell, rate):
    root = copy("dfme", tmp_path)
    lines = (root / SHEET).read_text().splitlines()
    first = lines[1].split(",")
    lines[1] = ",".join([*first[:7], cell, first[8]])
    (root / SHEET).write_text("\n".join(lines))
    assert list_clips(root).samples[0].fps == rate


@pytest.mark.parametrize("cell", ["0", "-200", "1e9", "inf", "nan", "99999999"])
def test_rates_that_are_none_exclude_their_row(tmp_path, cell):
    root = copy("dfme", tmp_path)
    lines = (root / SHEET).read_text().splitlines()
    first = lines[1].split(",")
    lines[1] = ",".join([*first[:7], cell, first[8]])
    (root / SHEET).write_text("\n".join(lines))
    assert f"fps {cell!r} is not a frame rate" in reasons(list_clips(root, fps=200))["dfme/sub001/clip01"]


def test_a_clip_name_that_several_subjects_have_needs_its_subjects_folder():
    listing = list_clips(fake("dfme").root)
    assert "there is no folder clip02 of this subject" in reasons(listing)["dfme/sub081/clip02"]
    assert all(f"sub{s.subject[3:]}/" in s.frames.files[0].lower() or s.repairs for s in listing.samples)


def test_unique_clip_names_need_no_subjects_folder(tmp_path):
    root = copy("dfme", tmp_path)
    text = (root / SHEET).read_text().splitlines()
    kept = [line for line in text if "sub002" not in line]
    (root / SHEET).write_text("\n".join(kept))
    shutil.rmtree(root / "DFME" / "sub002")
    (root / "DFME" / "sub001").rename(root / "DFME" / "all")
    assert len(list_clips(root).samples) == 4
