"""Trees of pictures, read back by loops that do what STSTNet's and HTNet's do."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from mer_pipe.export.plan import prepare
from mer_pipe.export.settings import ExportError, Settings, read_scaling
from tests.export import reading
from tests.report.made_store import make_store

SIDE, SIZE = 112, 28


def blocks(motion: np.ndarray) -> np.ndarray:
    """The mean over 4 x 4 cells: what a picture of 28 px stands for, without our own code."""
    return motion.reshape(SIZE, SIDE // SIZE, SIZE, SIDE // SIZE, 3).mean(axis=(1, 3))


def values(row: dict[str, str], levels: np.ndarray) -> np.ndarray:
    """u, v, strain from a picture's levels in that order, as the docs tell to read them."""
    offset, step = ([float(row[f"{name}_{what}"]) for name in ("u", "v", "strain")] for what in ("offset", "step"))
    return np.array(offset) + np.array(step) * levels


def test_ststnet_leaves_each_subject_out_once(store, exported):
    out, _ = exported("pictures")
    told = reading.rows(out)
    folds = reading.ststnet(out / "norm_u_v_os")
    assert set(folds) == {"sub01", "sub02", "sub03"}
    for subject, parts in folds.items():
        test = {name for name, _, _ in parts["u_test"]}
        train = {name for name, _, _ in parts["u_train"]}
        assert test == {row["file"] for row in told if row["fold"] == subject}
        assert not test & train
        assert test | train == {row["file"] for row in told}


def test_ststnet_finds_the_class_of_every_clip(exported):
    out, _ = exported("pictures", classes="3")
    index = {row["file"]: int(row["class"]) for row in reading.rows(out)}
    for parts in reading.ststnet(out / "norm_u_v_os").values():
        for name, label, picture in (*parts["u_train"], *parts["u_test"]):
            assert label == index[name]
            assert picture.shape == (SIZE, SIZE, 3)
            assert picture.dtype == np.uint8


@pytest.mark.parametrize(("scaling", "order"), [("minmax", "rgb"), ("fixed:4,0.1", "bgr")])
def test_pictures_are_the_stores_motion_within_half_a_level(store, exported, scaling, order):
    out, _ = exported("pictures", layout="flat", scaling=read_scaling(scaling), order=order)
    truth = reading.motion_of(store)
    told = reading.rows(out)
    assert len(told) == 6
    for row in told:
        seen = cv2.imread(str(out / "pictures" / row["file"])).astype(float)  # blue, green, red
        levels = seen if order == "bgr" else seen[..., ::-1]
        want = blocks(truth[row["sample"]])
        step = np.array([float(row[f"{name}_step"]) for name in ("u", "v", "strain")])
        assert (np.abs(values(row, levels) - want) <= step / 2 * (1 + 1e-6)).all()


def test_the_sidecar_tells_what_8_bits_cost(store, exported):
    out, _ = exported("pictures", layout="flat")
    told = json.loads((out / "export.json").read_text())["pictures"]
    truth, worst = reading.motion_of(store), np.zeros(3)
    for row in reading.rows(out):
        levels = cv2.imread(str(out / "pictures" / row["file"]))[..., ::-1].astype(float)
        worst = np.maximum(worst, np.abs(values(row, levels) - blocks(truth[row["sample"]])).max(axis=(0, 1)))
    bits = told["eight_bits"]
    np.testing.assert_allclose([bits[name]["largest_error"] for name in ("u", "v", "strain")], worst, rtol=1e-6)
    assert [bits[name]["unit"] for name in bits] == ["px", "px", "px/px"]
    assert all(bits[name]["clipped"] == 0 for name in bits)


def test_the_docs_tell_how_to_read_px_back(store, exported, monkeypatch):
    page = (Path(__file__).parents[2] / "docs/how-to/export.md").read_text(encoding="utf-8")
    code = re.search(r"^```python\n(.*?)^```", page, re.S | re.M).group(1)
    out, _ = exported("pictures", out="flat", layout="flat", scaling=read_scaling("fixed:4,0.1"))
    monkeypatch.chdir(out.parent)
    names: dict = {}
    exec(code, names)
    want = blocks(reading.motion_of(store)[names["row"]["sample"]])
    np.testing.assert_allclose(names["motion"][..., :2], want[..., :2], atol=4 / 127 / 2 * 1.001)
    np.testing.assert_allclose(names["motion"][..., 2], want[..., 2], atol=0.1 / 255 / 2 * 1.001)


def test_clipped_motion_is_counted(exported):
    out, _ = exported("pictures", layout="flat", scaling=read_scaling("fixed:0.5,1"))
    u = json.loads((out / "export.json").read_text())["pictures"]["eight_bits"]["u"]
    assert u["clipped"] > 0
    assert u["clipped_by_at_most"] > 0.5


def test_the_sidecar_tells_what_opencv_gives_for_each_order(exported):
    for order, want in (("rgb", ["strain", "v", "u"]), ("bgr", ["u", "v", "strain"])):
        out, _ = exported("pictures", out=order, layout="flat", order=order)
        assert json.loads((out / "export.json").read_text())["pictures"]["cv2.imread"] == want


def test_motion_is_another_source(store, exported):
    out, _ = exported("pictures", layout="flat", source="motion")
    truth = reading.of_store(store, "motion/motion")
    row = reading.rows(out)[0]
    levels = cv2.imread(str(out / "pictures" / row["file"]))[..., ::-1].astype(float)
    want = blocks(truth[row["sample"]].astype(float))
    np.testing.assert_allclose(values(row, levels), want, atol=float(row["u_step"]) / 2 * 1.001)


def test_htnet_finds_a_face_for_every_picture_and_a_picture_for_every_fold(store, exported):
    out, _ = exported("pictures", layout="htnet", classes="3")
    faces, folds = reading.htnet(out)
    apex = reading.of_store(store, "crop/image")
    of_file = {row["file"]: row["sample"] for row in reading.rows(out)}
    assert set(faces) == set(of_file)
    for name, face in faces.items():
        assert np.array_equal(face[..., ::-1], apex[of_file[name]][1])
    assert {subject: len(parts["u_test"]) for subject, parts in folds.items()} == {"sub01": 3, "sub02": 3, "sub03": 3}
    assert all(len(parts["u_train"]) == 6 for parts in folds.values())


def test_htnet_finds_people_whose_names_are_numbers(tmp_path, exported):
    """pandas reads a column of "006" as 6: SAMM alone would find none of its pictures."""
    edit = {
        clip: {"sample": f"samm/00{6 + clip // 2}/{clip}", "database": "samm", "subject": f"samm/00{6 + clip // 2}",
               "clip": str(clip), "label": "negative"}
        for clip in range(4)
    }  # fmt: skip
    samm = make_store(tmp_path / "samm.zarr", 4, only=("crop", "flow_onset", "strain"), edit=edit)
    out, _ = exported("pictures", of=samm, layout="htnet")
    faces, folds = reading.htnet(out)
    assert sorted(faces)[0] == "samm_006_clip0 .png"
    assert set(folds) == {"samm_006", "samm_007"}


def test_names_cannot_lead_out_of_the_tree(tmp_path, exported):
    edit = {
        0: {"subject": "demo/../..", "clip": "../../../etc/passwd", "label": "negative"},
        1: {"subject": "demo/sub01", "clip": "EP01_01", "label": "negative"},
        2: {"subject": "demo/SUB01", "clip": "ep01_01", "label": "surprise"},
    }
    wild = make_store(tmp_path / "wild.zarr", 3, only=("flow_onset", "strain"), edit=edit)
    before = {path for path in tmp_path.rglob("*") if "out" not in path.relative_to(tmp_path).parts}
    out, _ = exported("pictures", of=wild)
    assert {path for path in tmp_path.rglob("*") if "out" not in path.relative_to(tmp_path).parts} == before
    folds = os.listdir(out / "norm_u_v_os")
    assert len({fold.lower() for fold in folds}) == 3
    files = [row["file"] for row in reading.rows(out)]
    assert len({name.lower() for name in files}) == 3


def test_the_tree_holds_nothing_but_subjects(exported):
    """STSTNet takes every entry for a subject, so tables lie above."""
    out, _ = exported("pictures")
    assert sorted(os.listdir(out)) == ["export.json", "labels.csv", "norm_u_v_os"]
    assert sorted(os.listdir(out / "norm_u_v_os")) == ["sub01", "sub02", "sub03"]


def test_pictures_need_what_they_are_made_from(tmp_path):
    bare = make_store(tmp_path / "bare.zarr", 6, only=("motion",))
    assert [a.name for a in prepare(bare, Settings("pictures")).pictured] == ["motion/motion"]
    with pytest.raises(ExportError, match=r"no flow_onset/flow and no strain/strain\. Take --from motion"):
        prepare(bare, Settings("pictures", source="flow_onset+strain"))
    with pytest.raises(ExportError, match=r"no apex|none in crop/image"):
        prepare(bare, Settings("pictures", layout="htnet"))
    nothing = make_store(tmp_path / "nothing.zarr", 6, only=("travel",))
    with pytest.raises(ExportError, match=r"Build it for ruan"):
        prepare(nothing, Settings("pictures"))


def test_one_subject_cannot_be_left_out(tmp_path):
    alone = make_store(tmp_path / "alone.zarr", 3, only=("flow_onset", "strain"))
    with pytest.raises(ExportError, match=r"only sub01 has clips.*--layout flat"):
        prepare(alone, Settings("pictures"))
    assert len(prepare(alone, Settings("pictures", layout="flat")).entries) == 2


def test_pictures_are_never_larger_than_the_flow(store):
    with pytest.raises(ExportError, match="pictures of 113 px cannot be made of 112 px"):
        prepare(store, Settings("pictures", layout="flat", size=113))
    with pytest.raises(ExportError, match="HTNet cuts"):
        prepare(store, Settings("pictures", layout="htnet", size=56))


def test_five_classes_are_noted_for_nets_of_three(store):
    assert "have three" in prepare(store, Settings("pictures")).notes[0]
    assert not prepare(store, Settings("pictures", classes="3")).notes
    assert not prepare(store, Settings("pictures", layout="flat")).notes
