"""Fake databases: every adapter makes of its fake what the fake says, and the writer keeps its promises."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mer_pipe.datasets import ADAPTERS, list_clips
from mer_pipe.datasets.fake import DATABASES, read_expected, write
from mer_pipe.datasets.frames import load
from mer_pipe.types import DatasetError
from tests.datasets.fakes import SIZE, copy, edit, fake, reasons

LISTED = [database for database in DATABASES if database in ADAPTERS]


def tree(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_every_licensed_database_has_a_fake():
    assert set(ADAPTERS) - {"demo", "folder"} == set(DATABASES) & set(ADAPTERS)


@pytest.mark.parametrize("database", LISTED)
def test_every_quirk_ends_where_it_should(database):
    expected = fake(database)
    listing = list_clips(database, expected.root)
    assert expected.differences(listing) == []
    assert len(expected.excluded) >= 1
    assert all(e.reason for e in listing.excluded)
    assert read_expected(expected.root) == expected


@pytest.mark.parametrize("database", LISTED)
def test_a_fake_without_quirks_is_all_samples_and_says_nothing_of_repairs(database):
    expected = fake(database, quirks=False)
    listing = list_clips(database, expected.root)
    assert expected.differences(listing) == []
    assert listing.excluded == ()
    assert len(listing.samples) == 6
    # SMIC annotates no apex, which the composite tells as a repair of each of its clips.
    assert all(s.repairs == () or s.database == "smic" for s in listing.samples)
    assert all(s.label and s.emotion for s in listing.samples)


@pytest.mark.parametrize("database", LISTED)
def test_ids_are_unique_and_ordered_and_every_frame_is_there(database):
    listing = list_clips(database, fake(database).root)
    for found in (listing.samples, listing.excluded):
        assert [x.id for x in found] == sorted({x.id for x in found})
    assert not {s.id for s in listing.samples} & {e.id for e in listing.excluded}
    assert listing == list_clips(database, fake(database).root)
    for sample in listing.samples:
        assert sample.id.count("/") == 2
        assert list(sample.frames.numbers) == sorted(set(sample.frames.numbers))
        assert all(Path(file).is_file() for file in sample.frames.files)
        assert all(Path(fake(database).root) in Path(file).parents for file in sample.frames.files)


def test_all_adapters_fill_the_same_columns():
    kept = None
    for database in LISTED:
        for sample in list_clips(database, fake(database).root).samples:
            row = {f.name: type(getattr(sample, f.name)) for f in dataclasses.fields(sample)}
            assert kept in (None, row), sample.id
            kept = row
            assert {"tree", "class_set", "apex_policy"} <= set(sample.source), sample.id
            assert {type(v) for v in sample.source.values()} == {str}
            assert sample.fps > 0
            assert sample.emotion
            assert sample.label


def test_people_of_different_databases_never_share_a_name():
    subjects = {}
    for database in LISTED:
        for sample in list_clips(database, fake(database).root).samples:
            subjects.setdefault(f"{sample.database}/{sample.subject}", set()).add(database)
    # The composite lists the clips of its three databases under their own names.
    assert all(len(names - {"megc2019"}) <= 1 for names in subjects.values())


@pytest.mark.parametrize("database", LISTED)
def test_a_tree_unpacked_only_in_part_is_told(database, tmp_path):
    root = Path(shutil.copytree(fake(database, quirks=False).root, tmp_path / "half"))
    listing = list_clips(database, root)
    gone = {s.id for s in listing.samples[::2]}
    for folder in {Path(s.frames.files[0]).parent for s in listing.samples[::2]}:
        shutil.rmtree(folder)
    if database == "smic":
        # Nothing but the folders says which clips there are: those that are gone cannot be missed.
        assert len(list_clips(database, root).samples) == 3
        return
    half = list_clips(database, root)
    assert gone <= {e.id for e in half.excluded}
    assert {s.id for s in half.samples} | {e.id for e in half.excluded} == {s.id for s in listing.samples}
    assert any("unpacked only in part" in note for note in half.notes)
    assert all(e.fix for e in half.excluded)


@pytest.mark.parametrize("database", LISTED)
def test_a_wrong_root_says_what_was_expected(database, tmp_path):
    (tmp_path / "holiday pictures").mkdir()
    with pytest.raises(DatasetError) as caught:
        list_clips(database, tmp_path)
    assert caught.value.fix
    with pytest.raises(DatasetError, match="does not exist"):
        list_clips(database, tmp_path / "nowhere")


@pytest.mark.parametrize("database", sorted(set(LISTED) - {"smic", "megc2019"}))
def test_names_from_a_sheet_never_leave_the_root(database, tmp_path):
    root = copy(database, tmp_path)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "img1.jpg").write_bytes(b"")
    sheet = next(p for p in root.rglob("*") if p.suffix in (".xlsx", ".csv"))
    hostile = ("../secret", "../../etc", "/etc", "..", ".", "a\\..\\b")
    if sheet.suffix == ".csv":
        line = sheet.read_text().splitlines()[1].split(",")
        for name in hostile:
            sheet.write_text(sheet.read_text() + ",".join([line[0], name, *line[2:]]) + "\n")
    else:
        edit(sheet, lambda rows: rows.extend([[rows[-1][0], name, *rows[-1][2:]] for name in hostile]), page_of(sheet))
    listing = list_clips(database, root)
    assert len(listing.samples) == 6
    assert len(listing.excluded) == len(hostile)
    for entry in listing.excluded:
        _, subject, clip = entry.id.split("/")
        assert not {subject, clip} & {"", ".", ".."}
        assert "\\" not in clip


SPOILT = (
    None,
    "",
    0,
    -1,
    1.5,
    "?",
    "/",
    "NULL",
    "=A1",
    "a/b",
    "..",
    "中",
    "1e5",
    "9" * 30,
    " 12 ",
    "12.0",
    "x" * 300,
    "２",
)


@pytest.mark.parametrize("database", sorted(set(LISTED) - {"smic", "megc2019", "dfme"}))
def test_spoilt_cells_end_in_reasons_or_in_one_error_and_ids_stay_fit_for_names(database, tmp_path):
    root = copy(database, tmp_path)
    sheet = next(p for p in root.rglob("*.xlsx"))
    whole = sheet.read_bytes()
    rng = np.random.default_rng(7)
    read = 0

    def spoil(rows):
        for _ in range(4):
            row = rows[rng.integers(len(rows))]
            row[rng.integers(len(row))] = SPOILT[rng.integers(len(SPOILT))]

    for _ in range(8):
        edit(sheet, spoil, page_of(sheet))
        try:
            listing = list_clips(database, root)
        except DatasetError:
            # A header or a naming page is gone; any other exception fails this test.
            pass
        else:
            read += 1
            ids = [x.id for x in (*listing.samples, *listing.excluded)]
            assert len(set(ids)) == len(ids)
            assert all(i.count("/") == 2 and all(part.strip(".") for part in i.split("/")) for i in ids)
            assert all(len(i) < 200 for i in ids)
            assert all(root in Path(f).parents for s in listing.samples for f in s.frames.files)
        sheet.write_bytes(whole)
    assert read >= 2


def page_of(sheet: Path) -> str | None:
    return "MICRO_ONLY" if sheet.name.startswith("SAMM") else None


@pytest.mark.parametrize("database", ["casme", "casme_sq", "smic"])
def test_the_same_arguments_give_the_same_bytes(database, tmp_path):
    again = write(database, tmp_path / "again", clips=6, size=SIZE)
    assert tree(tmp_path / "again") == tree(Path(fake(database).root))
    assert again.samples == fake(database).samples
    other = write(database, tmp_path / "other", clips=6, size=SIZE, seed=1)
    assert tree(tmp_path / "other") != tree(tmp_path / "again")
    assert other.samples != again.samples


def test_a_fake_shows_a_face_that_moves_most_at_its_apex(tmp_path):
    expected = write("casme2", tmp_path / "x", clips=2, size=(120, 160), quirks=False)
    for sample in list_clips("casme2", expected.root).samples:
        images = [image.astype(float).mean(-1) for image in load(sample.frames, range(sample.offset + 1))]
        assert images[0].shape == (120, 160)
        assert images[0].std() > 20
        changes = [np.abs(image - images[0]).max() for image in images]
        # Two frames' noise alone seldom differs by more than 5 grey levels; a displacement at an edge does.
        assert changes[sample.apex] > 10
        assert np.argmax(changes) in range(1, sample.offset + 1)


def test_a_fake_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    from mer_pipe.datasets.fake import tables

    def fail(table, root):
        raise KeyboardInterrupt

    monkeypatch.setattr(tables, "write_table", fail)
    with pytest.raises(KeyboardInterrupt):
        write("casme", tmp_path / "x", clips=1, size=SIZE)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_and_odd_arguments_are_refused(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "mine").write_text("")
    for arguments, options, reason in (
        (("casme", tmp_path / "x"), {}, "not an empty folder"),
        (("casme4", tmp_path / "y"), {}, "no fake of 'casme4'"),
        (("casme", tmp_path / "y"), {"clips": 0}, "cannot be made"),
        (("casme", tmp_path / "y"), {"size": (8, 8)}, "cannot be made"),
    ):
        with pytest.raises(DatasetError, match=reason):
            write(*arguments, **options)
    with pytest.raises(DatasetError, match="no fake database"):
        read_expected(tmp_path / "x")
    assert not (tmp_path / "y").exists()


def test_differences_are_told_one_by_one(tmp_path):
    expected = fake("casme")
    listing = list_clips("casme", expected.root)
    lost, kept = listing.samples[0], listing.samples[1:]
    moved = dataclasses.replace(kept[0], apex=kept[0].onset)
    short = dataclasses.replace(listing, samples=(moved, *kept[1:]), excluded=listing.excluded[1:])
    lines = expected.differences(short)
    assert f"{lost.id} is no sample: not listed" in lines
    assert f"{listing.excluded[0].id} is not excluded" in lines
    assert any(line.startswith(f"{moved.id} has its marks at") for line in lines)
    assert len(lines) == 3
    assert reasons(listing).keys() == expected.excluded.keys()


def test_naming_the_fakes_loads_nothing_heavy():
    heavy = "cv2 PIL openpyxl numba scipy skimage torch"
    code = f"import sys, mer_pipe.datasets.fake as f; f.DATABASES; print([m for m in '{heavy}'.split() if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
