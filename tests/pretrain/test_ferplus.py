"""Reading the two sheets: what is used, what is left out and told, what is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest

from mer_pipe.pretrain import votes
from mer_pipe.pretrain.ferplus import GENERATED, read
from mer_pipe.pretrain.parts import REPEATED, divide
from mer_pipe.types import DatasetError
from tests.pretrain.sheets import cast, planted, write

COUNT = 60


@pytest.fixture
def sheets(tmp_path):
    images, kind = planted(COUNT)
    parts = ["Training"] * 40 + ["PublicTest"] * 10 + ["PrivateTest"] * 10
    return images, write(tmp_path, images, [cast(neutral=9, fear=1) if k else cast(fear=10) for k in kind], parts)


def edit(path, row: int, pattern: str, becomes: str) -> None:
    """Change one row; the header is row 1."""
    lines = path.read_text().split("\n")
    assert re.search(pattern, lines[row - 1])
    lines[row - 1] = re.sub(pattern, becomes, lines[row - 1], count=1)
    path.write_text("\n".join(lines))


def test_pixels_votes_and_parts_come_back_as_written(sheets):
    images, (pixels, sheet) = sheets
    faces = read(pixels, sheet)
    np.testing.assert_array_equal(faces.images, images)
    assert faces.votes[0].tolist() == cast(fear=10)
    assert faces.votes[1].tolist() == cast(neutral=9, fear=1)
    assert np.bincount(faces.part).tolist() == [40, 10, 10]
    assert faces.row.tolist() == list(range(2, COUNT + 2))
    assert faces.excluded == ()
    assert faces.agreement == 1.0


def test_sheets_without_a_mark_are_of_ferplus(sheets):
    assert read(*sheets[1]).source == "FER+"


@pytest.mark.parametrize(("which", "rows", "told"), [
    (0, range(COUNT), "generated faces"),
    (1, range(COUNT), "generated faces"),
    (0, range(7), "7 generated faces and 53 of FER+"),
    (1, [0], "1 generated faces and 59 of FER+"),
])  # fmt: skip
def test_rows_marked_in_either_sheet_are_generated(sheets, which, rows, told):
    path = sheets[1][which]
    header, *lines = path.read_text().splitlines()
    lines = [f"{line},{GENERATED if i in rows else ''}" for i, line in enumerate(lines)]
    path.write_text("\n".join([f"{header},source", *lines]) + "\n")
    assert read(*sheets[1]).source == told


def test_another_source_is_no_mark_of_generated_rows(sheets):
    path = sheets[1][0]
    header, *lines = path.read_text().splitlines()
    path.write_text("\n".join([f"{header},Source", *(f"{line},web" for line in lines)]) + "\n")
    assert read(*sheets[1]).source == "FER+"


def test_columns_are_found_by_name_in_any_order(sheets):
    """As the other published form of FER2013 has them: emotion, Usage, pixels, with blanks before the names."""
    images, (pixels, sheet) = sheets
    rows = [line.split(",") for line in pixels.read_text().splitlines()]
    pixels.write_text("\r\n".join(f"{e}, {u}, {p}" for e, p, u in rows), encoding="utf-8-sig")
    np.testing.assert_array_equal(read(pixels, sheet).images, images)


@pytest.mark.parametrize(
    ("which", "pattern", "becomes", "told"),
    [
        (0, r" \d+,", ",", "it has 2303 pixels, not 2304"),
        (0, r",\d+ ", ",", "it has 2303 pixels, not 2304"),
        (0, r",\d+ ", ",256 ", "'256' is not a whole number of 0..255"),
        (0, r",\d+ ", ",-1 ", "'-1' is not a whole number"),
        (0, r",\d+ ", ",7.5 ", "'7.5' is not a whole number"),
        (0, r",\d+ ", ",1_0 ", "'1_0' is not a whole number"),
        (0, r"^\d,", "happy,", "emotion is 'happy', not 0 to 6"),
        (0, "Training", "PublicTest", "Usage is 'PublicTest' here and 'Training' in the votes"),
        (0, r"^.*$", "6", "Usage is ''"),
        (1, r",\d+$", ",many", "NF is 'many', not a number of votes"),
        (1, r",\d+$", ",-3", "NF is '-3', not a number of votes"),
        (1, r",\d+$", "", "NF is '', not a number of votes"),
        (1, "Training", "Train", "Usage is 'Train', not Training, PublicTest, PrivateTest"),
        (1, r"png.*$", "png,0,0,0,0,0,0,0,0,0,0", "nobody voted"),
    ],
)
def test_a_bad_row_is_left_out_and_told_and_the_others_stay(sheets, which, pattern, becomes, told):
    images, paths = sheets
    edit(paths[which], 9, pattern, becomes)
    faces = read(*paths)
    assert [one.id for one in faces.excluded] == ["row 9"]
    assert told in faces.excluded[0].reason
    assert paths[which].name in faces.excluded[0].reason
    np.testing.assert_array_equal(faces.images, np.delete(images, 7, 0))
    assert 9 not in faces.row
    assert len(faces.votes) == len(faces.part) == COUNT - 1


def test_too_many_bad_rows_mean_a_damaged_file(sheets):
    _, (pixels, sheet) = sheets
    for row in (5, 6, 7, 8):
        edit(pixels, row, r",\d+ ", ",x ")
    with pytest.raises(DatasetError, match=r"4 of 60 rows cannot be used; the first is row 5 of .*fer2013.csv"):
        read(pixels, sheet)


@pytest.mark.parametrize("which", [0, 1])
def test_sheets_of_different_lengths_are_refused(sheets, which):
    _, paths = sheets
    paths[which].write_text("\n".join(paths[which].read_text().splitlines()[:-3]))
    with pytest.raises(DatasetError, match=r"has \d+ rows and .* has \d+: row by row they must belong together"):
        read(*paths)


def test_a_sheet_without_a_column_is_named(sheets):
    _, (pixels, sheet) = sheets
    edit(sheet, 1, "contempt", "scorn")
    with pytest.raises(DatasetError, match="has no column contempt"):
        read(pixels, sheet)
    with pytest.raises(DatasetError, match="has no column neutral, happiness"):
        read(sheet, pixels)


def test_absent_empty_and_binary_files_are_refused(sheets, tmp_path):
    _, (pixels, sheet) = sheets
    with pytest.raises(DatasetError, match="cannot be read: No such file"):
        read(tmp_path / "absent.csv", sheet)
    pixels.write_bytes(b"")
    with pytest.raises(DatasetError, match="has no column"):
        read(pixels, sheet)
    pixels.write_bytes(bytes(range(256)) * 50)
    with pytest.raises(DatasetError):
        read(pixels, sheet)


def test_votes_of_other_images_are_noticed(tmp_path):
    rng = np.random.default_rng(0)
    images, _ = planted(300)
    names = ("happiness", "sadness", "anger", "fear", "surprise", "neutral")
    given = [cast(**{names[i]: 10}) for i in rng.integers(0, 6, 300)]
    pixels, sheet = write(tmp_path, images, given, ["Training"] * 280 + ["PublicTest"] * 10 + ["PrivateTest"] * 10)
    assert read(pixels, sheet).agreement == 1.0
    lines = sheet.read_text().splitlines()
    body = lines[1:281]
    sheet.write_text("\n".join([lines[0], *body[1:], body[0], *lines[281:]]))
    with pytest.raises(DatasetError, match="as by chance"):
        read(pixels, sheet)


def test_every_image_that_is_left_out_is_counted_with_its_reason(tmp_path):
    images, _ = planted(24)
    images[1] = images[22]  # in Training and in PrivateTest
    given = [cast(neutral=10)] * 24
    given[4] = cast(NF=10)
    given[5] = cast(unknown=8, neutral=2)
    given[6] = cast(neutral=5, fear=5)
    given[18] = cast(neutral=5, fear=5)
    parts = ["Training"] * 16 + ["PublicTest"] * 4 + ["PrivateTest"] * 4
    faces = read(*write(tmp_path, images, given, parts))
    made = divide(faces, "majority")
    assert made.left_out["Training"] == {REPEATED: 1, votes.NO_FACE: 1, votes.UNKNOWN: 1, votes.DISAGREED: 1}
    assert made.left_out["PublicTest"] == {votes.DISAGREED: 1}
    assert made.left_out["PrivateTest"] == {}
    assert made.training.row.tolist() == [r for r in range(2, 18) if r not in (3, 6, 7, 8)]
    # Training keeps the divided image under crossentropy; the tests go by majority all the same.
    kept = divide(faces, "crossentropy", repeats=True)
    assert kept.left_out == {
        "Training": {votes.NO_FACE: 1, votes.UNKNOWN: 1},
        "PublicTest": {votes.DISAGREED: 1},
        "PrivateTest": {},
    }
    for part in (kept.training, kept.public, kept.private):
        np.testing.assert_allclose(part.labels.sum(1), 1)


def test_a_part_without_images_is_refused(tmp_path):
    images, _ = planted(12)
    faces = read(*write(tmp_path, images, [cast(neutral=10)] * 12, ["Training"] * 8 + ["PublicTest"] * 4))
    with pytest.raises(DatasetError, match="PrivateTest has 0 usable images of 0"):
        divide(faces, "majority")
