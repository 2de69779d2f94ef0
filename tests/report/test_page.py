"""What a report says of stores whose contents are known, what it leaves out, and what it refuses."""

from __future__ import annotations

import base64
import io
import itertools
import re
import shlex

import numpy as np
import pytest
from PIL import Image

from mer_pipe.recipes import BUILT_IN, plain, with_values
from mer_pipe.recipes.recipe import CLIP_MAGNIFIERS, MAGNIFIERS
from mer_pipe.report.inspect import overview
from mer_pipe.report.page import compare, write_report
from mer_pipe.report.page.alignment import alignment_figure, in_square
from mer_pipe.report.page.charts import curve
from mer_pipe.report.page.data import read_source
from mer_pipe.report.page.html import h
from mer_pipe.report.page.measures import Measures, flags, measure, tearing_from
from mer_pipe.report.page.media import Look, cells
from mer_pipe.report.page.methods import bibtex, grid, paragraph, rebuild
from mer_pipe.types import StoreError
from tests.report.made_store import FACE, SIDE, flip_byte, make_store, shard_of
from tests.toy import tree_bytes

DEFAULT = plain(BUILT_IN["default"])
KINDS = {1: "still", 2: "huge", 3: "head", 4: "same"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("page") / "demo.zarr", clips=9, kinds=KINDS)


@pytest.fixture(scope="module")
def report(store, tmp_path_factory):
    return write_report(store, tmp_path_factory.mktemp("page") / "report", default=DEFAULT).parent


def words(html):
    """The text of a page, without its markup."""
    text = re.sub(r"<(style|script)\b.*?</\1>|<[^>]+>", " ", html, flags=re.S)
    return " ".join(re.sub(r"&(\w+);", lambda m: {"lt": "<", "gt": ">", "amp": "&"}.get(m[1], " "), text).split())


def pictures_in(*texts):
    """Every picture inside pages, decoded."""
    for text in texts:
        for data in re.findall(r'src="data:image/\w+;base64,([^"]+)"', text):
            yield np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


def is_face(image):
    """Whether the green of the test faces fills a good part of a picture."""
    return (np.abs(image.astype(int) - FACE).max(-1) < 30).mean() > 0.2


# The first page


def test_the_first_page_counts_what_is_usable_excluded_and_failed(report):
    text = words((report / "index.html").read_text())
    assert "9 usable" in text
    assert "1 excluded" in text
    assert "1 failed" in text


def test_what_is_missing_comes_before_the_contact_sheet_with_its_reason_and_what_to_do(report):
    text = words((report / "index.html").read_text())
    failed = text.index("demo/sub08/EP05_05")
    assert text[failed:].startswith("demo/sub08/EP05_05 no face was found. look at it")
    assert "demo/sub09/EP09_09 apex 'x' is no number. correct the sheet" in text
    assert failed < text.index("Contact sheet", text.index("usable"))


def test_every_clip_has_a_card_that_leads_to_its_page(store, report):
    html = (report / "index.html").read_text()
    links = re.findall(r'<a href="(clips/[^"]+)"><span class="head">', html)
    assert len(links) == len(set(links)) == 9
    for clip, link in zip(read_source(store).clips, links, strict=True):
        page = (report / link).read_text()
        assert clip.short in words(page)
    assert len(list((report / "thumbs").iterdir())) == 9


def test_a_thumbnail_shows_onset_apex_flow_strain_and_the_dynamic_image(report):
    html = (report / "index.html").read_text()
    assert ">onset</span><span>apex</span><span>flow</span><span>strain</span><span>dynamic</span>" in html
    image = np.asarray(Image.open(sorted((report / "thumbs").iterdir())[0]))
    onset, apex, flow, _, dynamic = np.split(image, 5, axis=1)
    assert is_face(onset)
    assert is_face(apex)
    assert not is_face(flow)
    assert abs(np.median(dynamic.astype(float)) - 128) < 4


def test_the_command_to_build_again_makes_the_recipe_of_the_store(tmp_path):
    values = {
        "mrn.af": "2..12/32",
        "flow.engine": "opencv",
        "flow.scale_step": "0.5",
        "systems": "mrn,ruan",
        "ruan.af": "8",
    }
    recipe = with_values(BUILT_IN["demo"], values)
    path = make_store(tmp_path / "my store.zarr", clips=1, recipe=plain(recipe))
    command = shlex.split(rebuild(overview(path, DEFAULT), path.name))
    assert command[:2] == ["mer-pipe", "build"]
    assert command[command.index("--store") + 1] == "my store.zarr"
    told = dict(value.split("=", 1) for flag, value in itertools.pairwise(command) if flag == "--set")
    told["systems"] = command[command.index("--only") + 1]
    again = with_values(BUILT_IN["default"], told)
    assert plain(again) | {"name": ""} == plain(recipe) | {"name": ""}


def test_text_of_the_store_is_never_markup(tmp_path):
    wild = "<img src=x onerror=alert(1)>\"'</script>"
    path = make_store(
        tmp_path / "wild.zarr", clips=1, edit={0: {"label": wild, "aus": wild, "source": wild}}, notes=[wild]
    )
    for out in (write_report(path, tmp_path / "r"), write_report(path, tmp_path / "r.html", single_file=True)):
        pages = [out, *out.parent.glob("r/clips/*.html")]
        for page in pages:
            html = page.read_text()
            assert "<img src=x" not in html
        assert wild in words(out.read_text())


def test_a_clip_id_cannot_lead_out_of_the_report(tmp_path):
    path = make_store(tmp_path / "x.zarr", clips=2, edit={0: {"sample": "demo/../../../etc/passwd"}})
    out = write_report(path, tmp_path / "r").parent
    names = sorted(p.name for p in (out / "clips").iterdir())
    assert names == ["0001-etc-passwd.html", "0002-sub01-EP02_01.html"]


def test_no_page_names_an_address(report):
    for path in report.rglob("*"):
        if path.suffix in (".html", ".css", ".js"):
            assert not re.findall(r"\b(?:https?|wss?|ftp):|[\"'(]//\w", path.read_text()), path


def test_the_first_page_warns_of_random_weights_only_where_there_are_features(report, tmp_path):
    told = "Features are from random weights (random:0)"
    assert told in words((report / "index.html").read_text())
    other = make_store(tmp_path / "f.zarr", clips=1, only=("crop", "flow_onset"))
    assert told not in words(write_report(other, tmp_path / "r").read_text())


# What stands out


def test_each_rule_finds_its_clip(store):
    found = {clip.row: {flag.word for flag in clip.flags} for clip in read_source(store).clips}
    assert "no motion" in found[1]
    assert {"huge motion", "warned"} <= found[2]
    assert "warned" not in set.union(*(found[row] for row in found if row != 2))
    assert found[3] == {"head moves"}
    assert found[4] == {"no motion"}
    assert [row for row, words in found.items() if not words] == [0, 5, 6, 7, 8]


def test_motion_is_measured_in_px_of_the_flow():
    flow = np.zeros((100, 100, 2), np.float32)
    flow[:50] = (3, 4)
    m = measure(flow, None, ())
    assert (m.mean, m.high, m.unit) == (2.5, 5.0, "px")
    assert m.shift == pytest.approx(2.5)


def test_without_a_flow_motion_is_told_in_grey_levels():
    crops = np.zeros((2, 8, 8, 3), np.uint8)
    crops[1] = 7
    m = measure(None, crops, ("onset", "apex"))
    assert (m.mean, m.unit, m.same) == (7.0, "grey levels", False)
    assert flags([{}], [m]) == [[]]


def test_the_flow_to_a_magnified_apex_does_not_pass_for_motion(tmp_path, monkeypatch):
    from tests.report import made_store

    leading, spec, stage = made_store.SPECS["flow_onset/flow"]
    told = type(spec)(spec.dims, spec.dtype, spec.unit, about="flow from onset to magnified")
    monkeypatch.setitem(made_store.SPECS, "flow_onset/flow", (leading, told, stage))
    clips = read_source(make_store(tmp_path / "m.zarr", clips=1, kinds={0: "huge"})).clips
    assert clips[0].measures.unit == "grey levels"


def test_a_clip_unlike_the_rest_needs_a_rest():
    few, many = [Measures(m, m, 0.0) for m in (0.2, 0.2, 2.0)], [Measures(m, m, 0.0) for m in (*[0.2] * 9, 2.0)]
    assert all("unlike the rest" not in {f.word for f in fs} for fs in flags([{}] * 3, few))
    assert {f.word for f in flags([{}] * 10, many)[-1]} == {"unlike the rest"}


def test_an_apex_that_is_the_onset_is_told():
    (found,) = flags([{"onset": 5, "apex": 5, "offset": 9}], [Measures()])
    assert [f.word for f in found] == ["apex at the end"]


def test_tears_are_announced_from_the_first_af_that_moves_too_far():
    assert tearing_from((2, 4, 8), Measures(1.0, 3.5)) == 4
    assert tearing_from((2, 3), Measures(1.0, 3.5)) is None


# One clip


def test_marks_lie_on_the_eyes_of_the_crop():
    transform = np.array([[0.004, 0.0, -0.1], [0.0, 0.004, -0.2]])
    assert np.allclose(in_square(np.array([[100.0, 120.0]]), transform, 224), [[0.3 * 224, 0.28 * 224]])


def test_marks_fit_what_the_crop_stage_does_to_the_pixels():
    from mer_pipe.stages.crop import crop

    frame = np.zeros((120, 160, 3), np.uint8)
    frame[50, 90] = 255
    turn = np.deg2rad(20)
    transform = np.array([[np.cos(turn), -np.sin(turn), 0.0], [np.sin(turn), np.cos(turn), 0.0]]) / 100
    transform[:, 2] = (0.5, 0.5) - transform[:, :2] @ (85.0, 55.0)
    bright = crop(frame[None], transform, 100)[0][..., 0].astype(float)
    y, x = (np.mgrid[:100, :100] * bright).sum((1, 2)) / bright.sum()
    assert np.allclose(in_square(np.array([[90.0, 50.0]]), transform, 100), [[x + 0.5, y + 0.5]], atol=0.15)


def test_a_page_shows_each_af_the_difference_to_the_apex_and_the_onset_as_af_0(report):
    html = sorted((report / "clips").iterdir())[0].read_text()
    labels = re.findall(r"<span>(AF [^<]+)</span>", html)
    assert labels == ["AF 0, onset", "AF 1, apex", "AF 2", "AF 4", "AF 8"]
    assert html.count('class="change"') == 5


def test_the_difference_to_the_apex_is_gray_at_the_apex_itself(report):
    html = sorted((report / "clips").iterdir())[0].read_text()
    apex = re.search(r'src="data:image/\w+;base64,([^"]+)" alt="AF 1, apex, difference', html)[1]
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(apex))).convert("RGB")).astype(int)
    assert np.abs(image - 128).max() <= 2


def test_every_figure_says_what_good_looks_like(report):
    html = sorted((report / "clips").iterdir())[0].read_text()
    assert html.count("<figure") == html.count("<b>Good: </b>") == 12


def test_the_curve_puts_the_apex_where_it_lies_between_the_marks():
    html = curve("m", [0, 1, 2, 1, 0], {"onset": 0, "apex": 1.0, "offset": 4}, "px", "step")
    xs = [float(x) for x in re.findall(r'<line x1="([\d.]+)"[^>]*class="mark"', html)]
    assert (xs[1] - xs[0]) / (xs[2] - xs[0]) == pytest.approx(0.25, abs=0.01)
    text = words(next(iter([html])))
    assert "apex" in text


def test_68_landmarks_are_drawn_as_parts_of_a_face():
    landmarks = np.random.default_rng(0).random((68, 2)) * 100
    onset, transform = np.zeros((112, 112, 3), np.uint8), np.array([[0.01, 0, 0], [0, 0.01, 0]])
    body, about = alignment_figure(onset, transform, {"landmarks": landmarks, "eyes": None}, Look())
    drawn = [len(points.split()) for points in re.findall(r'points="([^"]+)"', body)]
    assert drawn == [17, 5, 5, 4, 5, 6, 6, 12, 8]
    assert sum(drawn) == body.count("<circle") == 68
    assert "One px here is 0.89 px of the frame." in about


# Privacy


@pytest.mark.parametrize("single", [False, True])
def test_a_shareable_report_holds_no_picture_of_a_face(store, report, tmp_path, single):
    own = [(report / "index.html").read_text(), *(p.read_text() for p in (report / "clips").iterdir())]
    assert sum(map(is_face, pictures_in(*own))) > 9 * 10  # the check can tell
    out = write_report(store, tmp_path / ("r.html" if single else "r"), single_file=single, shareable=True)
    pages = [out.read_text()] if single else [p.read_text() for p in out.parent.rglob("*.html")]
    thumbs = [] if single else [np.asarray(Image.open(p)) for p in (out.parent / "thumbs").iterdir()]
    shown = [*pictures_in(*(re.sub(r"--wheel: url\([^)]*\)", "", page) for page in pages)), *thumbs]
    assert len(shown) >= 9 * 5
    assert not any(map(is_face, shown))
    assert all("Without faces." in words(page) for page in pages if 'id="verdict"' in page)
    assert not any("difference to the apex" in page and "<figure" in page for page in pages if 'class="change"' in page)


def test_a_shareable_report_keeps_flow_strain_and_the_curve(store, tmp_path):
    out = write_report(store, tmp_path / "r", shareable=True).parent
    html = sorted((out / "clips").iterdir())[0].read_text()
    titles = re.findall(r"<h3>([^<]+)</h3>", html)
    assert titles == ["Alignment", "Flow from onset to apex", "Optical strain", "Flow from offset to apex", "Motion over time",
                      "Flow of the magnified clip", "Strain of the magnified clip"]  # fmt: skip


def test_the_plain_report_says_that_it_contains_faces_under_licence(report):
    assert "Contains faces of people, under the licence of the database." in words((report / "index.html").read_text())


def test_cells_keep_the_mean_motion_and_lose_the_contours():
    field = np.random.default_rng(0).random((100, 120, 2)).astype(np.float32)
    coarse = cells(field, 10)
    assert coarse.shape == field.shape
    assert np.allclose(coarse.mean((0, 1)), field.mean((0, 1)), atol=1e-5)
    assert len(np.unique(coarse[..., 0])) == 100


# Damage and places


def test_a_damaged_entry_is_a_named_hole_and_everything_else_is_there(tmp_path):
    path = make_store(tmp_path / "d.zarr", clips=4)
    shard = shard_of(path, "strain/strain")
    one = SIDE * SIDE * 4 + 4  # bytes of a clip, and its checksum
    flip_byte(shard, 2 * one + 100)
    before = tree_bytes(path)
    out = write_report(path, tmp_path / "r").parent
    pages = sorted((out / "clips").iterdir())
    holes = ["Hole: strain/strain" in words(page.read_text()) for page in pages]
    assert holes == [False, False, True, False]
    assert "Optical strain" in words(pages[1].read_text())
    assert "Flow from onset to apex" in words(pages[2].read_text())
    index = (out / "index.html").read_text()
    assert index.count('data-flag="hole"') == 1
    assert "1 damaged" in words(index)
    assert "strain: hole" in words(index)
    assert tree_bytes(path) == before


def test_a_damaged_shard_index_makes_a_hole_in_every_clip(tmp_path):
    path = make_store(tmp_path / "d.zarr", clips=3)
    flip_byte(shard_of(path, "crop/image"), -2)
    out = write_report(path, tmp_path / "r").parent
    assert all("Hole: crop/image" in words(page.read_text()) for page in (out / "clips").iterdir())
    assert "3 damaged" in words((out / "index.html").read_text())


def test_a_damaged_list_of_clips_is_an_error_that_says_what_to_do(tmp_path):
    path = make_store(tmp_path / "d.zarr", clips=3)
    flip_byte(path / "label" / "c" / "0", -1)
    with pytest.raises(StoreError, match="list of clips cannot be read.*Build it again"):
        write_report(path, tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_a_store_of_one_stage_has_a_report(tmp_path):
    for only in (("crop",), ("motion",), ("flow_onset", "align"), ("interpolate",)):
        out = write_report(make_store(tmp_path / f"{only[0]}.zarr", only=only), tmp_path / f"r{only[0]}")
        assert "4 usable" in words(out.read_text())


def test_values_that_are_not_finite_stop_no_report(tmp_path):
    path = make_store(tmp_path / "n.zarr", clips=2, kinds={0: "broken"})
    for shareable in (False, True):
        out = write_report(path, tmp_path / f"r{shareable}", shareable=shareable).parent
        text = words((out / "clips" / "0001-sub01-EP01_01.html").read_text())
        assert "Optical strain" in text
        assert not re.search(r"\b(nan|inf)\b", text.lower())


def test_a_report_never_changes_the_store_nor_lies_in_it(store, tmp_path):
    before = tree_bytes(store)
    with pytest.raises(StoreError, match="inside the store"):
        write_report(store, store / "report")
    with pytest.raises(StoreError, match="inside the store"):
        write_report(store, store)
    assert tree_bytes(store) == before


def test_a_report_replaces_a_report_and_nothing_else(tmp_path):
    path = make_store(tmp_path / "d.zarr", clips=2)
    out = write_report(path, tmp_path / "r").parent
    (out / "thumbs" / "old.webp").write_bytes(b"old")
    assert write_report(path, out).parent == out
    assert not (out / "thumbs" / "old.webp").exists()
    work = tmp_path / "thesis"
    work.mkdir()
    (work / "index.html").write_text("mine")
    with pytest.raises(StoreError, match="not a report"):
        write_report(path, work)
    with pytest.raises(StoreError, match="not a report"):
        write_report(path, work / "index.html", single_file=True)
    with pytest.raises(StoreError, match="is no file"):
        write_report(path, work, single_file=True)
    assert (work / "index.html").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d.zarr", "r", "thesis"]


def test_the_same_store_gives_the_same_report(store, report, tmp_path):
    again = write_report(store, tmp_path / "r", default=DEFAULT).parent
    assert tree_bytes(again) == tree_bytes(report)


def test_a_single_file_holds_everything(store, tmp_path):
    out = write_report(store, tmp_path / "r.html", single_file=True)
    html = out.read_text()
    assert html.count('<script type="text/x-clip"') == 9
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]', html)
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]


# Drift


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("drift") / "old.zarr", clips=4)


def test_a_store_does_not_drift_from_itself(base, tmp_path):
    drift = compare(make_store(tmp_path / "new.zarr", clips=4), base)
    assert drift.nothing
    assert (drift.same, drift.recipe, drift.versions) == (4, {}, {})


def test_drift_tells_the_clip_the_array_and_by_how_much(base, tmp_path):
    drift = compare(make_store(tmp_path / "new.zarr", clips=4, bump={2: 0.5}), base)
    assert list(drift.clips) == ["demo/sub01/EP03_01"]
    assert drift.same == 3
    feature, flow, offset, motion = drift.clips["demo/sub01/EP03_01"]
    assert (flow.path, flow.share, flow.largest, flow.mean) == ("flow_onset/flow", 0.5, 0.5, 0.25)
    assert [c.path for c in (feature, offset, motion)] == ["features_mrn/feature", "flow_offset/flow", "motion/motion"]
    assert drift.arrays == ()


def test_drift_tells_clips_that_came_and_went_and_edited_annotations(base, tmp_path):
    edit = {1: {"apex": 21, "label": "surprise"}}
    drift = compare(make_store(tmp_path / "new.zarr", clips=5, skip=(0,), edit=edit), base)
    assert (drift.added, drift.removed) == (("demo/sub02/EP02_01",), ("demo/sub01/EP01_01",))
    assert [c.what for c in drift.clips["demo/sub01/EP02_01"]] == ["label: others → surprise", "apex: 20 → 21"]


def test_drift_compares_the_afs_that_both_have(base, tmp_path):
    drift = compare(make_store(tmp_path / "new.zarr", clips=4, afs=(2.0, 8.0)), base)
    assert drift.arrays == ("magnify/image: af 4 is gone",)
    assert not drift.clips


def test_drift_tells_the_recipe_and_stage_versions(base, tmp_path):
    recipe = plain(with_values(BUILT_IN["demo"], {"flow.warps": 5}))
    drift = compare(make_store(tmp_path / "new.zarr", clips=4, recipe=recipe, only=("crop",)), base)
    assert drift.recipe == {"flow.warps": ("2", "5")}
    assert drift.versions["stage strain"] == ("1", "absent")
    assert "strain/strain is gone" in drift.arrays


def test_damage_counts_as_drift_of_the_clip(base, tmp_path):
    path = make_store(tmp_path / "new.zarr", clips=4)
    flip_byte(shard_of(path, "strain/strain"), 100)
    # The digest beside the file is still the old one: only reading finds it, as verify does.
    drift = compare(path, make_store(tmp_path / "other.zarr", clips=4, bump={3: 1.0}, edit={0: {"frames": 1}}))
    assert "demo/sub02/EP01_01" in drift.clips


def test_the_report_against_another_store_lists_the_change_and_flags_the_clip(base, tmp_path):
    new = make_store(tmp_path / "new.zarr", clips=4, bump={2: 0.5})
    out = write_report(new, tmp_path / "r", against=base).parent
    index = (out / "index.html").read_text()
    assert "1 of 4 common clips changed, 3 are equal in every value; 0 new, 0 gone." in words(index)
    assert "flow_onset/flow: 50 % of the values differ, by 0.25 px on average, 0.5 at most" in words(index)
    assert index.count('data-flag="changed"') == 1
    assert "changed : flow_onset/flow: 50 %" in words((out / "clips" / "0003-sub01-EP03_01.html").read_text())


# Head motion


def test_the_heads_motion_is_told_on_the_first_page_and_on_every_clips(report):
    first = words((report / "index.html").read_text())
    assert "head motion 0.20 px (at most 0.95) from onset to apex; median of the clips" in first
    head = words((report / "clips" / "0004-sub02-EP01_01.html").read_text())
    assert "head motion 0.95 px and 0.05 from onset to apex" in head.replace("°", "")


def test_a_clip_that_is_warned_of_twice_tells_both(tmp_path):
    path = make_store(tmp_path / "w.zarr", clips=2, kinds={1: "flat"})
    told = [flag.why for flag in read_source(path).clips[1].flags if flag.word == "warned"]
    assert len(told) == 2
    assert told[0].startswith("moves 20.0 px")
    assert told[1].startswith("the apex frame has a contrast of 0.4")


# Methods


def test_the_methods_paragraph_tells_the_numbers_of_the_recipe_and_cites_what_it_names(store):
    recipe = plain(with_values(BUILT_IN["default"], {"flow.attachment": 0.123, "mrn.af": "2..12/32", "crop.size": 256}))
    text, keys = paragraph(recipe, overview(store))
    for told in ("0.123", "2..12/32", "256 × 256 px", "MediaPipe", "AF is the total displacement factor"):
        assert told in text
    assert {"zach2007tvl1", "lugaresi2019mediapipe", "wu2012evm", "shreve2011strain"} <= set(keys)
    entries = bibtex(keys)
    assert [re.match(r"@\w+{(\w+),", e)[1] for e in entries.strip().split("\n\n")] == keys
    assert entries.count("{") == entries.count("}")


def test_the_methods_paragraph_leaves_out_what_the_store_does_not_hold(tmp_path):
    seen = overview(make_store(tmp_path / "c.zarr", only=("crop",)))
    text, keys = paragraph(DEFAULT, seen)
    assert "optical flow" not in text
    assert "zach2007tvl1" not in keys
    assert paragraph("toy", seen)[0].startswith("4 clips were taken from")


def test_every_method_and_engine_has_its_words(store):
    for name, values in {
        "oh2018learning": {"magnify.method": "learned"},
        "wu2012evm": {"magnify.method": "eulerian"},
        "wadhwa2013phase": {"magnify.method": "phase"},
        "kroeger2016dis": {"magnify.method": "mer"},
        "lucas1981iterative": {"register.method": "affine"},
        "timm2011eyes": {"align.method": "cascade"},
        "bilen2016dynamic": {"dynamic.method": "approximate"},
        "fernando2017rankpooling": {"dynamic.method": "svr"},
    }.items():
        text, keys = paragraph(plain(with_values(BUILT_IN["default"], values)), overview(store))
        assert name in keys, text
    for name in MAGNIFIERS:
        text, keys = paragraph(plain(with_values(BUILT_IN["default"], {"magnify.method": name})), overview(store))
        assert "The apex was magnified against the onset" in text
        assert all(f"{key}," in bibtex(keys) for key in keys)
    for name in CLIP_MAGNIFIERS:
        text, _ = paragraph(plain(with_values(BUILT_IN["default"], {"msmmt.magnifier": name})), overview(store))
        assert ("Hz" in text) == (name in ("eulerian", "phase"))
    text, _ = paragraph(plain(with_values(BUILT_IN["default"], {"align.method": "none"})), overview(store))
    assert "Frames were taken as faces" in text


def test_grids_are_written_as_a_recipe_reads_them():
    for text in ("2..13", "2..12/32", "2,4,8", "6"):
        af = with_values(BUILT_IN["default"], {"mrn.af": text}).mrn.af
        assert grid(af) == text


def test_markup_is_built_of_escaped_text():
    assert h("p", "a < b", h("b", "&"), None, class_="x", data_n=1, hidden=True, title='"') == (
        '<p class="x" data-n="1" hidden title="&quot;">a &lt; b<b>&amp;</b></p>'
    )
