"""CAS(ME)^3 part C: layouts told by their content, a sheet without apexes, and other people than part A's."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import openpyxl
import pytest

from mer_pipe.datasets.casme3 import list_clips
from mer_pipe.datasets.fake import write
from mer_pipe.datasets.published import compare
from mer_pipe.types import DatasetError
from tests.datasets.fakes import SIZE, copy, edit, fake, reasons

SHEET = "CAS(ME)3_part_C_ME.xlsx"


def part_c(root, **options):
    return list_clips(root, part="C", **{"apex_policy": "middle", **options})


def root_c(folder: Path, quirks: bool = False) -> Path:
    return copy("casme3", folder, quirks, part="C")


def column(name: str, values):
    """A change of a sheet that adds a column: one value a row, or a function of the row by column name."""

    def change(rows):
        header = list(rows[0])
        for number, row in enumerate(rows[1:]):
            row.append(
                values(dict(zip(header, row, strict=True))) if callable(values) else values[number % len(values)]
            )
        rows[0].append(name)

    return change


def rename(**names):
    return lambda rows: rows.__setitem__(0, [names.get(cell, cell) for cell in rows[0]])


def marks_of(listing):
    return {s.id: (s.frames.numbers[0], s.frames.numbers[s.apex], s.frames.numbers[-1]) for s in listing.samples}


@pytest.mark.parametrize("quirks", [False, True])
def test_the_fake_of_part_c_comes_out_as_it_says(quirks):
    expected = fake("casme3", quirks, part="C")
    listing = part_c(expected.root)
    assert expected.differences(listing) == []
    assert len(expected.samples) >= 6
    assert bool(expected.excluded) is quirks
    assert not any(s.repairs for s in listing.samples)


def test_a_clip_is_named_by_its_part_and_its_onset_and_frames_are_the_colour_ones():
    listing = part_c(fake("casme3", part="C").root)
    sample = next(s for s in listing.samples if s.id == "casme3/C_spNO.1/30")
    assert sample.frames.files[0].endswith("part_C/01/a/color/30.jpg")
    assert (sample.fps, sample.source["part"], sample.source["tree"]) == (30.0, "C", "part_c")
    assert "its distributed layout was not seen" in " ".join(listing.notes)


def test_parts_a_and_c_in_one_root_never_meet(tmp_path):
    root = copy("casme3", tmp_path, quirks=True)
    only_a, only_c = list_clips(root), part_c(fake("casme3", part="C").root)
    shutil.copytree(fake("casme3", part="C").root, root, dirs_exist_ok=True)
    both = list_clips(root), part_c(root)
    assert marks_of(both[0]) == marks_of(only_a)
    assert reasons(both[0]) == reasons(only_a)
    assert marks_of(both[1]) == marks_of(only_c)
    assert reasons(both[1]) == reasons(only_c)
    people = [{s.subject for s in listing.samples} for listing in both]
    assert not people[0] & people[1]
    assert not any("part_C" in file for s in both[0].samples for file in s.frames.files)
    assert not any("part_A" in file for s in both[1].samples for file in s.frames.files)


def test_the_frames_of_one_part_are_never_read_as_the_others(tmp_path):
    root = copy("casme3", tmp_path)
    shutil.copytree(Path(fake("casme3", False, part="C").root) / "part_C", root / "part_C")
    shutil.rmtree(root / "part_A")
    # Part C has folders 01/a/color too, which the rows of part A would fit.
    with pytest.raises(DatasetError, match="holds none, only annotation, part_C"):
        list_clips(root)
    other = root_c(tmp_path / "other")
    shutil.rmtree(other / "part_C")
    shutil.copytree(Path(fake("casme3", False).root) / "part_A", other / "part_A")
    with pytest.raises(DatasetError, match="2 annotated subjects it holds none, only part_A"):
        part_c(other)


def test_a_root_or_a_sheet_of_another_part_is_told(tmp_path):
    a, c = copy("casme3", tmp_path / "1"), root_c(tmp_path / "2")
    with pytest.raises(DatasetError, match="part C was asked for, but .* is in part_A. Choose part=A"):
        part_c(a / "part_A")
    with pytest.raises(DatasetError, match="part A was asked for, but .* is in part_C. Choose part=C"):
        list_clips(c / "part_C" / "01")
    with pytest.raises(DatasetError, match=r"the sheet is cas\(me\)3_part_A_ME_label"):
        part_c(c, sheet=next(a.rglob("*.xlsx")))
    with pytest.raises(DatasetError, match="passed over, as its name says part C"):
        list_clips(c)
    with pytest.raises(DatasetError, match="passed over, as its name says part A"):
        part_c(a)
    with pytest.raises(DatasetError, match="no labelled part 'B'. Use one of A, C"):
        list_clips(c, part="B")
    (c / "part_B").mkdir()
    with pytest.raises(DatasetError, match="Part B has no labels"):
        part_c(c / "part_B")


def test_numbered_folders_elsewhere_are_not_taken_for_subjects(tmp_path):
    root = root_c(tmp_path)
    (root / "part_C").rename(root / "other recordings")
    with pytest.raises(DatasetError, match="Give part C's folder as the root, or call it part_C"):
        part_c(root)
    # Given as the root itself, a folder of any name will do.
    listing = part_c(root / "other recordings", sheet=root / SHEET)
    assert marks_of(listing) == fake("casme3", False, part="C").samples


def nested(folder):
    shutil.move(folder, folder.parent / "all")
    (folder / "RGB_Depth" / "part_C").mkdir(parents=True)
    shutil.move(folder.parent / "all", folder / "RGB_Depth" / "part_C" / "part_C")


def directly(folder):
    for person in folder.iterdir():
        for file in (person / "a" / "color").iterdir():
            shutil.move(file, person)
        shutil.rmtree(person / "a")


def colour(folder):
    for person in folder.iterdir():
        shutil.move(person / "a" / "color", person / "Colour")
        (person / "audio").mkdir()


def doubled(folder):
    for person in list(folder.iterdir()):
        shutil.move(person, folder / "x")
        person.mkdir()
        shutil.move(folder / "x", person / person.name)


@pytest.mark.parametrize("change", [nested, directly, colour, doubled])
def test_frames_are_found_directly_in_colour_in_one_video_folder_or_deeper(change, tmp_path):
    root = root_c(tmp_path)
    change(root / "part_C")
    listing = part_c(root)
    assert marks_of(listing) == fake("casme3", False, part="C").samples
    assert listing.excluded == ()


@pytest.mark.parametrize("name", ["partC", "Part C", "PART-C", "C"])
@pytest.mark.parametrize("person", ["spNO.{}", "spNo.{:02d}", "sub{}", "{}"])
def test_the_folders_of_part_and_people_may_be_written_otherwise(name, person, tmp_path):
    root = root_c(tmp_path)
    for folder in list((root / "part_C").iterdir()):
        folder.rename(folder.with_name(person.format(int(folder.name))))
    (root / "part_C").rename(root / name)
    assert marks_of(part_c(root)) == fake("casme3", False, part="C").samples


def test_a_subject_with_several_videos_is_told_unless_the_sheet_names_one(tmp_path):
    root = root_c(tmp_path)
    shutil.copytree(root / "part_C" / "01" / "a", root / "part_C" / "01" / "b")
    listing = part_c(root)
    assert {s.subject for s in listing.samples} == {"C_spNO.2"}
    assert all("several folders could be the video of subject 1" in reason for reason in reasons(listing).values())
    edit(root / SHEET, column("Filename", ["b"]))
    named = part_c(root).samples
    assert all("/01/b/color/" in s.frames.files[0] for s in named if s.subject == "C_spNO.1")
    assert len(named) == 6
    edit(root / SHEET, lambda rows: rows[1].__setitem__(-1, "../b"))
    assert "not a plain folder name" in reasons(part_c(root))["casme3/C_spNO.1/30"]


def test_clip_folders_are_found_by_the_count_and_never_by_being_the_only_one(tmp_path):
    root = root_c(tmp_path)
    videos = part_c(root)
    nth = {}
    for sample in sorted(videos.samples, key=lambda s: (s.subject, s.frames.numbers[0])):
        number = int(sample.subject.rsplit(".", 1)[1])
        nth[number] = nth.get(number, 0) + 1
        folder = root / "ME_C" / f"{number:02d}" / str(nth[number]) / "color"
        folder.mkdir(parents=True)
        for file in sample.frames.files:
            shutil.copy(file, folder)
    clips = part_c(root, tree="clips")
    assert marks_of(clips) == marks_of(videos)
    assert all("/ME_C/" in file for s in clips.samples for file in s.frames.files)
    shutil.rmtree(root / "part_C")
    for other in ("1", "2", "4"):
        shutil.rmtree(root / "ME_C" / "01" / other)
    half = part_c(root)
    assert [s.id for s in half.samples if s.subject == "C_spNO.1"] == ["casme3/C_spNO.1/90"]
    assert all("no folder of subject 1 with these frames" in reason for reason in reasons(half).values())


def test_a_sheet_without_apexes_asks_for_a_policy():
    root = fake("casme3", False, part="C").root
    with pytest.raises(DatasetError, match="no column of apexes. Use apex_policy=middle"):
        list_clips(root, part="C")
    halfway = part_c(root, apex_policy="sheet_or_middle")
    assert marks_of(halfway) == marks_of(part_c(root))
    assert all("taken halfway" in s.repairs[0] for s in halfway.samples)
    assert {s.source["apex_policy"] for s in part_c(root, apex_policy="motion").samples} == {"motion"}


def test_a_sheet_like_part_as_is_read_with_its_apexes_and_their_faults(tmp_path):
    root = root_c(tmp_path)
    edit(root / SHEET, column("Apex", lambda row: row["onset"] + 2))
    edit(root / SHEET, column("Objective class", ["IV"]))
    edit(root / SHEET, rename(sub="Subject", onset="Onset", offset="Offset", au="AU"))
    listing = part_c(root, apex_policy="sheet")
    assert {s.apex for s in listing.samples} == {2}
    assert {s.label for s in part_c(root, class_set="objective").samples} == {"IV"}
    edit(root / SHEET, lambda rows: rows[1].__setitem__(-2, 20))
    spoilt = part_c(root, apex_policy="sheet")
    assert "apex 20 lies outside onset 30" in reasons(spoilt)["casme3/C_spNO.1/30"]
    assert len(spoilt.samples) == 5


def test_the_micro_expression_sheet_goes_before_others_and_the_choice_is_told(tmp_path):
    root = root_c(tmp_path)
    shutil.copy(root / SHEET, root / "CAS(ME)3_part_C.xlsx")
    shutil.copy(root / SHEET, root / "CAS(ME)3_part_C_MaE.xlsx")
    listing = part_c(root)
    assert {s.source["sheet"] for s in listing.samples} == {SHEET}
    assert listing.notes[0] == f"annotations from {SHEET}; CAS(ME)3_part_C.xlsx would do too (choose with sheet=)"
    macro = part_c(root, sheet="CAS(ME)3_part_C_MaE.xlsx")
    assert {s.source["sheet"] for s in macro.samples} == {"CAS(ME)3_part_C_MaE.xlsx"}
    (root / SHEET).unlink()
    (root / "CAS(ME)3_part_C.xlsx").unlink()
    with pytest.raises(DatasetError, match="MaE.xlsx is passed over, as its name says macro-expressions"):
        part_c(root)


@pytest.mark.parametrize("title", ["ME", "Micro-expressions", "part_C_ME"])
def test_a_csv_and_a_workbook_whose_first_page_is_another_read_the_same(title, tmp_path):
    root = root_c(tmp_path)
    whole = part_c(root)
    book = openpyxl.load_workbook(root / SHEET)
    rows = [list(row) for row in book.worksheets[0].iter_rows(values_only=True)]
    book.worksheets[0].title = title
    macro = book.create_sheet("MaE", 0)
    macro.append(rows[0])
    macro.append([1, 1, 200, 260, "12", "happy", "1_1"])
    book.save(root / SHEET)
    assert marks_of(part_c(root)) == marks_of(whole)
    (root / SHEET).unlink()
    with open(root / "part_C" / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    assert marks_of(part_c(root)) == marks_of(whole)
    assert marks_of(part_c(root / "part_C")) == marks_of(whole)


def test_expression_types_are_chosen_where_the_sheet_has_them(tmp_path):
    root = root_c(tmp_path)
    with pytest.raises(DatasetError, match="no column of expression types, so 'macro' cannot be chosen"):
        part_c(root, expressions="macro")
    edit(root / SHEET, column("Type", ["micro-expression", "MaE", "micro", "macro-expression", "ME", "twitch"]))
    micro, macro, both = (part_c(root, expressions=kind) for kind in ("micro", "macro", "both"))
    assert [len(x.samples) for x in (micro, macro, both)] == [3, 2, 5]
    assert {s.source["expression"] for s in macro.samples} == {"macro"}
    assert "a macro-expression" in reasons(micro).values()
    assert any("'twitch' is neither micro- nor macro-expression" in reason for reason in reasons(both).values())
    with pytest.raises(DatasetError, match="Did you mean micro"):
        part_c(root, expressions="mikro")
    with pytest.raises(DatasetError, match="sheet of their own"):
        list_clips(fake("casme3").root, expressions="macro")


def test_valences_are_read_by_the_class_sets_that_have_them(tmp_path):
    root = root_c(tmp_path)
    words = ("negative", "positive", "negative", "surprise", "negative", "others")

    def change(rows):
        for row, word in zip(rows[1:], words, strict=True):
            row[5] = word

    edit(root / SHEET, change)
    assert [s.label for s in part_c(root, class_set="4").samples].count("negative") == 3
    assert len(part_c(root, class_set="3").samples) == 5
    few = part_c(root)
    assert {s.label for s in few.samples} == {"surprise", "others"}
    assert "class set 7 has the emotion of 2 of 6 rows, 4 of 6" in few.notes
    edit(root / SHEET, lambda rows: [row.__setitem__(5, "Negative") for row in rows[1:]])
    with pytest.raises(DatasetError, match="is in class set 7: 'negative'. Use 4 or 3"):
        part_c(root)


def test_corrections_of_part_c_leave_part_a_alone(tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text("subject,clip,field,becomes\nC_spNO.1,30,exclude,yes\n")
    c = part_c(fake("casme3", part="C").root, corrections=table)
    assert "left out by a correction" in reasons(c)["casme3/C_spNO.1/30"]
    a = list_clips(fake("casme3").root, corrections=table)
    assert not any("left out" in reason for reason in reasons(a).values())
    assert any("was not used" in note for note in a.notes)


def test_nothing_is_published_for_part_c_and_part_as_counts_are_named_as_such():
    lines = compare(part_c(fake("casme3", False, part="C").root), "casme3")
    assert lines[0] == "class set 7, part C: found 6 in 6 classes, 2 subjects; no published count for this"
    assert all("CAS(ME)^3 part A" in line for line in lines[1:])


def test_only_this_database_has_a_fake_in_parts(tmp_path):
    with pytest.raises(DatasetError, match="the fake of samm has no part 'C'"):
        write("samm", tmp_path / "x", part="C")
    with pytest.raises(DatasetError, match="the fake of casme3 has no part 'B'"):
        write("casme3", tmp_path / "x", part="B")
    assert not (tmp_path / "x").exists()
    one, same = (
        write("casme3", tmp_path / n, clips=1, size=SIZE, quirks=False, part=p) for n, p in (("1", "A"), ("2", None))
    )
    assert one.samples == same.samples
