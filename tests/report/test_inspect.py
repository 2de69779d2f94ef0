"""What inspect says of a store whose contents are known, and which panels it draws."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from mer_pipe import cli
from mer_pipe.report import pictures
from mer_pipe.report.inspect import (
    as_json,
    clip_facts,
    clip_strip,
    overview,
    render,
    render_clip,
    render_stage,
    stage_facts,
)
from mer_pipe.report.terminal import bars, human
from mer_pipe.store.publish import ArrayPlan, publish
from mer_pipe.types import ArraySpec, MerError, StoreError

CLIPS = ("demo/sub01/EP01_01", "demo/sub01/EP02_04f", "demo/sub02/EP01_01")
FIRST = CLIPS[0]
SIDE = 112  # panels are drawn one to one
AFS = (2.0, 2 + 10 / 31, 8.0)
SYSTEMS = ("aman", "mrn", "ruan", "msmmt")

IMAGE = ArraySpec(("y", "x", "channel"), "uint8", "grey level")
FLOW = ArraySpec(("y", "x", "component"), "float32", "px")


def image(clip, *code):
    """A picture of one colour that no text holds and that tells clip and place."""
    return np.full((SIDE, SIDE, 3), (40 + 10 * clip, 250 - 10 * sum(code), 3 + sum(code)), np.uint8)


def flow(u, v):
    return np.broadcast_to(np.array([u, v], np.float32), (SIDE, SIDE, 2)).copy()


def contents():
    """group/name -> leading axes, spec, dtype, systems, about, stage, and the value of a clip at a place."""
    frames, marks = tuple(range(6)), ("onset", "apex", "offset")
    square, wide = ArraySpec(("y", "x"), "float32", "px/px"), ArraySpec(("y", "x", "channel"), "float32")
    maps = ArraySpec(("feature", "row", "column"), "float32")
    return {
        "align/transform": ({}, ArraySpec(("row", "column"), "float64"), SYSTEMS, "", "align",
                            lambda c, p: np.array([[0.5, 0, -0.25], [0, 0.5, -0.125]])),
        "crop/image": ({"mark": marks}, IMAGE, SYSTEMS, "aligned face, RGB", "crop", lambda c, p: image(c, p[0])),
        "magnify/image": ({"af": AFS}, IMAGE, ("mrn",), "", "flow_warp", lambda c, p: image(c, 5 + p[0])),
        "interpolate/image": ({}, ArraySpec(("frame", "y", "x", "channel"), "uint8"), ("aman",), "TIM", "interpolate",
                              lambda c, p: np.stack([image(c, 10 + i) for i in range(4)])),
        "gray/image": ({}, ArraySpec(("y", "x"), "uint8"), ("ruan",), "luma of the apex at AF 6", "gray",
                       lambda c, p: np.arange(SIDE * SIDE, dtype=np.uint32).reshape(SIDE, SIDE).astype(np.uint8)),
        "flow_onset/flow": ({}, FLOW, ("ruan",), "flow from onset to apex", "flow", lambda c, p: flow(2 * (c == 0), 0)),
        "flow_offset/flow": ({}, FLOW, ("ruan",), "flow from offset to magnified", "flow", lambda c, p: flow(0, 1)),
        "strain/strain": ({}, square, ("ruan",), "", "strain", lambda c, p: np.full((SIDE, SIDE), 0.03, np.float32)),
        "dynamic/image": ({}, wide, ("msmmt",), "", "dynamic",
                          lambda c, p: np.tile(np.float32([-0.01, 0.0, 0.01]), (SIDE, SIDE, 1))),
        "motion/motion": ({}, ArraySpec(("y", "x", "channel"), "float32", "px, px, px/px"), ("msmmt",), "", "motion",
                          lambda c, p: np.tile(np.float32([-7, 0, 0.5]), (SIDE, SIDE, 1))),
        "features_mrn/feature": ({"af": AFS}, ArraySpec(("feature",), "float32"), ("mrn",), "pool1024", "features",
                                 lambda c, p: np.ones(1024, np.float32)),
        "features_aman/feature": ({"frame": frames, "af": AFS}, maps, ("aman",), "layer3", "features",
                                  lambda c, p: np.full((8, 14, 14), p[0] + 1, np.float32)),
    }  # fmt: skip


def make_store(path, weights="random:7", only=None, clips=CLIPS, **facts):
    cells, plans = {}, []
    for name, (leading, spec, systems, about, stage, value) in contents().items():
        group, _, output = name.partition("/")
        if only and group not in only:
            continue
        shape = tuple(len(values) for values in leading.values())
        keys = []
        for clip in range(len(clips)):
            row = []
            for place in np.ndindex(*shape):
                key = f"{name}{clip}{place}"
                cells[key] = {output: value(clip, place)}
                row.append((key, output))
            keys.append(tuple(row))
        told = {"systems": list(systems), "stage": stage, "stage_version": 1} | ({"long_name": about} if about else {})
        plans.append(ArrayPlan(group, output, leading, spec, spec.dtype, tuple(keys), told))
    rows = [
        {
            "sample": clip,
            "database": "demo",
            "subject": clip.rpartition("/")[0],
            "clip": clip.rpartition("/")[2],
            "emotion": "repression" if i else "happiness",
            "label": ("happiness", "others", "")[i % 3],
            "aus": "6+12",
            "onset": 46,
            "apex": 59,
            "offset": 86,
            "frames": 41,
            "fps": 200.0,
            "repairs": "apex guessed" if i == 1 else "",
            "source": "sheet=coding.xlsx",
        }
        for i, clip in enumerate(clips)
    ]
    recipe = {
        "name": "mine",
        "mrn": {"af": list(AFS)},
        "flow": {"engine": "native"},
        "features": {"weights": weights, "dtype": "float16"},
    }
    told = {
        "database": "demo",
        "recipe": recipe,
        "notes": ["a note"],
        "excluded": [{"id": "demo/sub03/EP09_09", "reason": "apex 'x' is no number", "fix": "correct it"}],
        "failed": [{"sample": "demo/sub04/EP05_05", "stage": "align", "reason": "no face was found", "fix": ""}],
    }
    publish(path, rows, plans, told | facts, lambda key: cells[key])
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("inspect") / "demo.zarr")


def text(renderable, width=160):
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(renderable)
    return console.export_text()


def area(sheet, colour):
    """Panels' worth of one colour in a strip."""
    return (sheet == np.array(colour, np.uint8)).all(-1).sum() / SIDE**2


# The overview


def test_the_overview_counts_clips_classes_and_subjects(store):
    seen = overview(store)
    assert (seen.clips, seen.database, seen.recipe, seen.repaired) == (3, "demo", "mine", 1)
    assert list(seen.classes.items()) == [("happiness", 1), ("others", 1), ("", 1)]
    assert seen.subjects == {"demo/sub01": 2, "demo/sub02": 1}
    assert seen.systems == ("aman", "mrn", "ruan", "msmmt")


def test_the_overview_names_what_is_not_in_the_store_and_why(store):
    seen = overview(store)
    assert [(e["id"], e["reason"]) for e in seen.excluded] == [("demo/sub03/EP09_09", "apex 'x' is no number")]
    assert [(e["id"], e["stage"]) for e in seen.failed] == [("demo/sub04/EP05_05", "align")]
    shown = text(render(seen))
    assert "3 clips usable, 1 excluded, 1 failed" in shown
    assert "excluded: apex 'x' is no number. correct it" in shown
    assert "failed in align: no face was found" in shown


def test_the_overview_lists_every_array_in_the_order_of_the_pipeline(store):
    arrays = {array.path: array for array in overview(store).arrays}
    assert set(arrays) == set(contents())
    assert list(arrays)[:4] == ["align/transform", "crop/image", "magnify/image", "features_mrn/feature"]
    features = arrays["features_aman/feature"]
    assert features.axes == {"sample": 3, "frame": 6, "af": 3, "feature": 8, "row": 14, "column": 14}
    assert features.grid == {"frame": list(range(6)), "af": list(AFS)}
    assert (arrays["strain/strain"].units, arrays["strain/strain"].systems) == ("px/px", ("ruan",))


def test_sizes_are_those_of_the_files(store):
    seen = overview(store)
    on_disk = sum(p.stat().st_size for p in store.rglob("*") if p.is_file())
    assert seen.bytes == on_disk
    crop = next(array for array in seen.arrays if array.path == "crop/image")
    assert crop.bytes == sum(p.stat().st_size for p in (store / "crop/image").rglob("*") if p.is_file())
    assert crop.bytes > 3 * 3 * SIDE * SIDE * 3


def test_what_differs_from_a_default_is_told_by_dotted_name(store):
    default = {"name": "default", "mrn": {"af": [2.0]}, "flow": {"engine": "native"}, "features": {"dtype": "float16"}}
    seen = overview(store, default)
    assert seen.differs == {"mrn.af": list(AFS)}
    assert "mrn.af=[2, 2.32258, 8]" in text(render(seen))
    same = default | {"mrn": {"af": list(AFS)}}
    assert "differs in nothing from the default recipe" in " ".join(text(render(overview(store, same))).split())
    assert overview(store).differs is None


def test_random_weights_are_told_loudly_and_only_where_there_are_features(store, tmp_path):
    assert overview(store).random_weights == "random:7"
    assert "FEATURES ARE FROM RANDOM WEIGHTS (seed 7)" in text(render(overview(store)))
    trained = overview(make_store(tmp_path / "a.zarr", weights="sha256:" + "ab" * 32))
    assert trained.random_weights == ""
    assert trained.models == {"features.weights": "sha256:" + "ab" * 32}
    assert "RANDOM" not in text(render(trained))
    assert overview(make_store(tmp_path / "b.zarr", only=("crop",))).random_weights == ""


def test_library_versions_are_shown_on_request(store):
    assert "opencv-contrib-python" not in text(render(overview(store)))
    assert np.__version__ in text(render(overview(store), libraries=True))


def test_the_overview_is_plain_json(store):
    told = json.loads(json.dumps(as_json(overview(store)), allow_nan=False))
    assert told["clips"] == 3
    assert told["arrays"][1]["grid"] == {"mark": ["onset", "apex", "offset"]}
    assert told["libraries"]["numpy"] == np.__version__


def test_brackets_in_names_are_shown_as_they_are(tmp_path):
    odd = make_store(tmp_path / "odd.zarr", clips=("demo/[red]s1/c[1]",), only=("crop",))
    assert "demo/[red]s1" in text(render(overview(odd)))
    assert "demo/[red]s1/c[1]" in text(render_clip(clip_facts(odd, "c[1]")))


def test_the_overview_reads_no_array(store, tmp_path):
    copy = shutil.copytree(store, tmp_path / "copy.zarr")
    shards = [p for name in contents() for p in (copy / name / "c").rglob("*") if p.is_file()]
    assert len(shards) == len(contents())
    for shard in shards:
        shard.write_bytes(b"\xff" * shard.stat().st_size)
    assert as_json(overview(copy)) == as_json(overview(store)) | {"path": str(copy)}
    arrays = clip_facts(copy, FIRST)["arrays"]
    assert set(arrays) == set(contents())
    assert all("checksum" in array["damaged"].lower() for array in arrays.values())
    assert "damaged" in text(render_clip(clip_facts(copy, FIRST)))


def test_there_must_be_a_store(tmp_path):
    with pytest.raises(StoreError, match="there is no store"):
        overview(tmp_path / "none.zarr")


@pytest.mark.parametrize(
    ("size", "want"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (999_600, "1 MB"), (123_456_789, "123 MB")]
)
def test_sizes_are_told_in_three_digits(size, want):
    assert human(size) == want


@pytest.mark.parametrize("width", [80, 160])
def test_every_width_shows_whole_names_axes_types_and_units(store, width):
    for shown in (text(render(overview(store)), width), text(render_clip(clip_facts(store, FIRST)), width)):
        words = shown.split()
        assert set(words) >= {*contents(), "y=112", "px/px"}
        assert any(word.startswith("float32") for word in words)
        assert max(map(len, shown.splitlines())) <= width


def test_a_grid_of_afs_is_told_by_its_values(store):
    assert "af=2,2.32,8 × y=112" in text(render(overview(store)))


# One clip


def test_magnify_shows_onset_apex_and_every_af(store):
    sheet, title = clip_strip(store, FIRST)
    assert title == "demo/sub01/EP01_01 · happiness · AU 6+12 · onset 46, apex 59, offset 86"
    for code in (0, 1, 5, 6, 7):
        assert area(sheet, image(0, code)[0, 0]) == 1
    assert area(sheet, image(0, 2)[0, 0]) == 0


def test_an_emotion_outside_its_class_is_told_with_both(store):
    assert "repression (others)" in clip_strip(store, CLIPS[1])[1]
    assert "· repression ·" in clip_strip(store, CLIPS[2])[1]


def test_afs_are_chosen_as_captions_show_them(store):
    sheet, _ = clip_strip(store, FIRST, "magnify", (2.32,))
    assert area(sheet, image(0, 6)[0, 0]) == 1
    assert area(sheet, image(0, 5)[0, 0]) == area(sheet, image(0, 7)[0, 0]) == 0


def test_an_absent_af_is_refused_with_those_there(store):
    with pytest.raises(StoreError, match=r"magnify has no AF 4, 9\. It holds 2, 2\.32, 8"):
        clip_strip(store, FIRST, af=(2, 4, 9))
    with pytest.raises(StoreError, match="crop has no AF axis"):
        clip_strip(store, FIRST, "crop", af=(2,))


def test_crop_shows_the_three_marks_and_interpolate_its_frames(store):
    sheet, _ = clip_strip(store, FIRST, "crop")
    assert [area(sheet, image(0, mark)[0, 0]) for mark in range(3)] == [1, 1, 1]
    sheet, _ = clip_strip(store, FIRST, "interpolate")
    assert [area(sheet, image(0, 10 + i)[0, 0]) for i in range(4)] == [1, 1, 1, 1]


def test_flow_shows_the_frames_it_joins_the_flow_and_the_key(store):
    sheet, _ = clip_strip(store, FIRST, "flow_onset")
    assert area(sheet, image(0, 0)[0, 0]) == area(sheet, image(0, 1)[0, 0]) == 1
    assert area(sheet, (255, 0, 0)) >= 1  # 2 px to the right at a scale of 2 px
    assert any_block(sheet, pictures.flow_key(SIDE))


def test_flow_from_the_offset_to_the_magnified_apex_shows_those_two(store):
    sheet, _ = clip_strip(store, FIRST, "flow_offset")
    assert area(sheet, image(0, 2)[0, 0]) == 1
    assert area(sheet, image(0, 1)[0, 0]) == area(sheet, image(0, 0)[0, 0]) == 0
    gray = contents()["gray/image"][-1](0, ())
    assert any_block(sheet, pictures.image_picture(gray))


def test_strain_dynamic_and_motion_are_drawn_on_their_scales(store):
    assert area(clip_strip(store, FIRST, "strain")[0], (249, 250, 124)) == 1
    assert area(clip_strip(store, FIRST, "dynamic")[0], (1, 128, 255)) == 1
    motion, _ = clip_strip(store, FIRST, "motion")
    assert area(motion, pictures.flow_picture(flow(-7, 0), 7.0)[0, 0]) >= 1
    assert any_block(motion, pictures.flow_key(SIDE))
    assert area(motion, (249, 250, 124)) == 1


def test_features_of_frames_and_afs_are_rows_and_columns_on_one_scale(store):
    sheet, _ = clip_strip(store, FIRST, "features_aman")
    # Frames 0, 2, 3 and 5 of 6 have the values 1, 3, 4 and 6 on a scale of 7; three AFs each.
    for value in (1, 3, 4, 6):
        colour = pictures.heat_picture(np.full((1, 1), value), 7.0)[0, 0]
        assert area(sheet, colour) == 3
    assert area(clip_strip(store, FIRST, "features_aman", (8,))[0], colour) == 1


def test_a_vector_of_features_is_one_panel_an_af(store):
    sheet, _ = clip_strip(store, FIRST, "features_mrn")
    assert (sheet == (249, 250, 124)).all(-1).sum() == 3 * 128 * 128


def test_a_stage_without_a_picture_tells_what_it_holds(store):
    with pytest.raises(StoreError, match=r"align has no picture; it holds transform \[\[ 0.5 .*-0.25 .*magnify"):
        clip_strip(store, FIRST, "align")


def test_an_unknown_stage_is_refused_with_the_nearest(store):
    with pytest.raises(StoreError, match=r"no stage 'flow_onst' \(did you mean flow_onset\?\).*align, crop, magnify"):
        clip_strip(store, FIRST, "flow_onst")


@pytest.mark.parametrize("name", ["demo/sub01/EP02_04f", "sub01/EP02_04f", "EP02_04f"])
def test_a_clip_may_be_named_by_the_end_of_its_id(store, name):
    assert clip_facts(store, name)["sample"] == "demo/sub01/EP02_04f"


def test_an_end_that_names_two_clips_is_refused_with_both(store):
    with pytest.raises(StoreError, match="'EP01_01' names 2 clips.*demo/sub01/EP01_01, demo/sub02/EP01_01"):
        clip_facts(store, "EP01_01")


def test_a_part_of_a_name_is_no_end_of_an_id(store):
    with pytest.raises(StoreError, match="no clip '4f'.*Did you mean demo/sub01/EP02_04f"):
        clip_facts(store, "4f")


def test_a_mistyped_clip_is_answered_with_the_nearest(store):
    with pytest.raises(StoreError, match=r"no clip 'sub01/EP02_40f'.*Did you mean demo/sub01/EP02_04f"):
        clip_facts(store, "sub01/EP02_40f")
    with pytest.raises(StoreError, match="The store holds demo/sub01/EP01_01"):
        clip_facts(store, "zzz")


def test_an_excluded_or_failed_clip_is_answered_with_its_reason(store):
    with pytest.raises(StoreError, match="demo/sub03/EP09_09 is not in the store, excluded: apex 'x' is no number"):
        clip_strip(store, "EP09_09")
    with pytest.raises(StoreError, match="it failed in align: no face was found"):
        clip_facts(store, "demo/sub04/EP05_05")


def test_facts_hold_coordinates_and_the_range_of_every_array(store):
    told = clip_facts(store, CLIPS[1])
    assert (told["onset"], told["fps"], told["repairs"]) == (46, 200.0, "apex guessed")
    assert set(told["arrays"]) == set(contents())
    features = told["arrays"]["features_aman/feature"]
    assert (features["min"], features["mean"], features["max"]) == (1, 3.5, 6)
    assert features["axes"] == {"frame": 6, "af": 3, "feature": 8, "row": 14, "column": 14}
    json.dumps(told, allow_nan=False)
    shown = text(render_clip(told))
    assert "apex guessed" in shown
    assert "features_aman/feature" in shown


def test_a_store_of_one_system_is_shown_without_the_others(tmp_path):
    small = make_store(tmp_path / "small.zarr", only=("strain",))
    sheet, _ = clip_strip(small, FIRST, "strain")
    assert area(sheet, (249, 250, 124)) == 1
    with pytest.raises(StoreError, match="no stage 'magnify'.*It holds strain"):
        clip_strip(small, FIRST)


def any_block(sheet, panel):
    """Whether a panel lies in a strip, pixel for pixel."""
    high, wide = panel.shape[:2]
    rows = np.flatnonzero((panel != 255).any(-1).any(1))
    row = int(rows[len(rows) // 3])
    windows = np.lib.stride_tricks.sliding_window_view(sheet[:, :, 0], wide, axis=1)
    for y, x in np.argwhere((windows == panel[row, :, 0]).all(-1)):
        if np.array_equal(sheet[y - row : y - row + high, x : x + wide], panel):
            return True
    return False


def test_a_histogram_counts_every_value_between_the_ends(store):
    arrays = clip_facts(store, FIRST)["arrays"]
    for array in arrays.values():
        assert sum(array["histogram"]) == np.prod(list(array["axes"].values()))
    dynamic = arrays["dynamic/image"]["histogram"]  # a third each of -0.01, 0 and 0.01
    third = SIDE * SIDE
    assert (dynamic[0], dynamic[8], dynamic[15]) == (third, third, third)
    assert arrays["gray/image"]["histogram"] == [SIDE * SIDE // 16] * 16


@pytest.mark.parametrize(
    ("counts", "want"), [([0, 1, 1000], " ▁█"), ([4, 8], "▄█"), ([0, 0], "  "), ([5], "█"), ([], ""), ([7, 7], "██")]
)
def test_bars_are_as_high_as_their_counts_and_never_blank_for_some(counts, want):
    assert bars(counts) == want


# One stage


def test_a_stage_tells_what_made_it_and_how_far_its_values_reach(store):
    (flow,) = stage_facts(store, "flow_onset").arrays  # 2 px in the first clip, none in the others
    assert (flow.stored.stage, flow.stored.version, flow.stored.units) == ("flow", 1, "px")
    assert flow.most == (2.0, FIRST)
    assert flow.least == (0.0, FIRST)
    assert flow.means == (0.0, 1.0)
    assert flow.mean == pytest.approx(1 / 3)
    shown = " ".join(text(render_stage(stage_facts(store, "flow_onset"))).split())
    assert "made by flow, version 1" in shown
    assert f"largest 2 in {FIRST}" in shown


def test_a_damaged_clip_of_a_stage_is_named_and_the_others_are_read(store, tmp_path):
    copy = shutil.copytree(store, tmp_path / "copy.zarr")
    (shard,) = (p for p in (copy / "flow_onset/flow/c").rglob("*") if p.is_file())
    data = bytearray(shard.read_bytes())
    data[1000] ^= 0xFF
    shard.write_bytes(data)
    (flow,) = stage_facts(copy, "flow_onset").arrays
    assert list(flow.damaged) == [FIRST]
    assert flow.most == (0.0, CLIPS[1])
    json.dumps(as_json(stage_facts(copy, "flow_onset")), allow_nan=False)


def test_an_unknown_stage_of_a_store_is_refused_with_the_nearest(store):
    with pytest.raises(StoreError, match="did you mean strain"):
        stage_facts(store, "strian")


# The verb


def inspect(*args):
    done = CliRunner().invoke(cli.cli, ["inspect", *map(str, args)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


@pytest.mark.parametrize(("name", "magic"), [("a.png", b"\x89PNG"), ("a.GIF", b"GIF89a")])
def test_the_suffix_decides_between_strip_and_film(store, tmp_path, name, magic):
    assert name in inspect(store, FIRST, "--af", "2,8", "-o", tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(magic)


def test_one_stage_is_told_as_text_and_as_json(store):
    assert "flow, version 1" in inspect(store, "--stage", "flow_onset")
    assert json.loads(inspect(store, "--stage", "flow_onset", "--json"))["stage"] == "flow_onset"


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--show"], "needs a clip"),
        ([FIRST, "-o", "a.jpg"], "names no kind of picture"),
        ([FIRST, "--compare", "demo", "demo", "-o", "a.gif"], r"End its name in \.png"),
        ([FIRST, "--compare", "demo", "demo", "--stage", "crop"], "about magnify"),
        ([FIRST, "--show"], "not a terminal"),
        ([FIRST, "--af", "2"], "-o strip.png, or --show"),
    ],
)
def test_what_cannot_be_shown_is_told_before_any_work(store, args, told):
    with pytest.raises(MerError, match=told):
        inspect(store, *args)
