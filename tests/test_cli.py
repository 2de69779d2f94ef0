"""The command line on real frames: what it makes, what it says, and that bad input costs one line and one clip."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import openpyxl
import pytest

import mer_pipe
from mer_pipe import cli
from mer_pipe.datasets import demo

SMALL = [
    "--recipe", "demo", "--set", "mrn.af=2,4", "--set", "ruan.af=4", "--set", "aman.af=1,2", "--set", "aman.frames=3",
    "--workers", "0",
]  # fmt: skip


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """A demo of two faces with two short clips each."""
    root = tmp_path_factory.mktemp("database") / "demo"
    demo.generate(root, subjects=2, clips=2, frames=(12, 14))
    return root


@pytest.fixture(scope="module")
def first_build(database, tmp_path_factory):
    """That demo built once, with its cache."""
    place = tmp_path_factory.mktemp("first")
    command = [sys.executable, "-m", "mer_pipe.cli", "build", "--dataset", "casme2", "--root", str(database),
               "--store", str(place / "out.zarr"), "--cache", str(place / "cache"), *SMALL]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture
def place(first_build, tmp_path):
    """A copy of the built store and its cache, to change at will."""
    shutil.copytree(first_build, tmp_path / "place", copy_function=os.link)
    return tmp_path / "place"


def asked(database: Path, place: Path, *more: str) -> list[object]:
    return ["--dataset", "casme2", "--root", database, "--store", place / "out.zarr", "--cache", place / "cache",
            *SMALL[:-2], *more]  # fmt: skip


def clip_folder(database: Path) -> Path:
    return sorted((database / "CASME2_RAW_selected").glob("*/*"))[0]


def change_sheet(root: Path, change) -> None:
    path = next(root.glob("*.xlsx"))
    book = openpyxl.load_workbook(path)
    change(book.active)
    book.save(path)


def test_a_build_goes_through_every_stage_into_one_store(first_build, database):
    tree = mer_pipe.open(first_build / "out.zarr")
    assert set(tree.children) == {
        "align", "scene", "crop", "travel", "magnify", "features_mrn", "interpolate", "features_aman", "gray",
        "flow_onset", "flow_offset", "strain", "dynamic", "motion",
    }  # fmt: skip
    assert tree["crop/image"].shape == (4, 3, 224, 224, 3)
    assert tree["magnify/image"].dims == ("sample", "af", "y", "x", "channel")
    assert tree["features_mrn/vector"].shape == (4, 2, 1024)
    assert tree["features_aman/map"].shape == (4, 3, 2, 256, 14, 14)
    assert tree["dynamic/image"].shape == (4, 256, 256, 3)
    assert tree["motion/motion"].dtype == np.float16
    assert set(tree["subject"].values) == {"casme2/sub01", "casme2/sub02"}


def test_nothing_in_a_store_tells_where_the_database_or_its_sheet_lies(mer, database, place):
    sheet = next(database.glob("*.xlsx"))
    code, _, err = mer("build", *asked(database, place, "--set", f"dataset.sheet={sheet}", "--workers", "0"))
    assert code == 0, err
    recipe = mer_pipe.open(place / "out.zarr").attrs["recipe"]
    assert recipe["dataset"]["sheet"].startswith(f"{sheet.name} sha256:")
    for path in (place / "out.zarr").rglob("*"):
        if path.is_file():
            assert str(database).encode() not in path.read_bytes(), path


def test_the_demo_adapter_and_the_casme2_adapter_make_the_same_arrays(mer, database, place):
    code, _, err = mer("build", "--dataset", "demo", "--root", database, "--store", place / "demo.zarr",
                       "--cache", place / "cache", *SMALL,
                       *(v for k in ("subjects=2", "clips=2", "frames=12,14") for v in ("--set", f"dataset.{k}")))  # fmt: skip
    assert code == 0, err
    one, other = mer_pipe.open(place / "out.zarr"), mer_pipe.open(place / "demo.zarr")
    for path in ("magnify/image", "flow_onset/flow", "features_aman/map", "dynamic/image"):
        np.testing.assert_array_equal(one[path].values, other[path].values)


def test_status_says_what_is_missing_and_exits_4_until_nothing_is(mer, database, place):
    assert mer("status", *asked(database, place))[0] == 0
    code, out, _ = mer("status", *asked(database, place, "--set", "mrn.af=2,3,4"), "--json")
    assert code == 4
    stages = json.loads(out)["stages"]
    assert {name: s["missing"] for name, s in stages.items() if s["missing"]} == {"magnify": 4, "features_mrn": 4}


def test_explain_names_the_parameter_that_changed(mer, database, place):
    code, out, _ = mer("explain", *asked(database, place, "--set", "strain.sigma=3"))
    assert code == 0
    assert "strain  strain.sigma 2.0 -> 3.0" in out
    assert "motion  strain is strain_evm now" in out or "motion  strain_evm changed" in out


def test_a_dry_run_makes_nothing(mer, database, place):
    before = sorted(place.rglob("*"))
    code, out, _ = mer("build", *asked(database, place, "--set", "mrn.af=2,3,4"), "-n")
    assert code == 0
    assert "nothing was made" in out
    assert sorted(p for p in place.rglob("*") if "digests" not in str(p)) == [
        p for p in before if "digests" not in str(p)
    ]


def test_an_apex_edit_in_the_sheet_redoes_only_what_reads_the_apex(mer, database, place, tmp_path):
    root = shutil.copytree(database, tmp_path / "edited")

    def move(sheet):
        row = next(r for r in sheet.iter_rows() if isinstance(r[4].value, int))
        row[4].value += 1

    change_sheet(root, move)
    code, out, _ = mer("build", *asked(root, place, "--workers", "0"), "--json")
    assert code == 0
    assert json.loads(out)["made"] == {
        "travel": 1, "magnify": 2, "features_mrn": 2, "gray": 1, "flow_onset": 1, "flow_offset": 1, "strain": 1,
        "flow_evm": 1, "strain_evm": 1, "motion": 1,
    }  # fmt: skip


def test_a_label_edit_in_the_sheet_remakes_nothing(mer, database, place, tmp_path):
    root = shutil.copytree(database, tmp_path / "edited")

    def rename(sheet):
        row = next(r for r in sheet.iter_rows() if isinstance(r[4].value, int))
        row[8].value = "repression"

    change_sheet(root, rename)
    code, out, _ = mer("build", *asked(root, place, "--workers", "0"), "--json")
    assert code == 0
    assert json.loads(out)["made"] == {}
    assert "repression" in mer_pipe.open(place / "out.zarr")["label"].values


def test_a_truncated_frame_fails_its_clip_with_one_line_and_the_rest_are_published(mer, database, place, tmp_path):
    root = shutil.copytree(database, tmp_path / "broken")
    frame = sorted(clip_folder(root).glob("*.jpg"))[2]
    frame.write_bytes(frame.read_bytes()[:2000])
    code, out, _ = mer("build", *asked(root, place, "--workers", "0"))
    assert code == 3
    lines = [line for line in out.splitlines() if "failed" in line]
    assert len(lines) == 1
    assert clip_folder(root).name in lines[0]
    assert "crop" in lines[0]
    assert frame.name in lines[0]
    assert len(mer_pipe.open(place / "out.zarr")["sample"]) == 3


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda root: next(clip_folder(root).glob("*.jpg")).unlink(), "missing"),
        (lambda root: change_sheet(root, lambda s: s["E2"].__setattr__("value", 9999)), "apex"),
        (lambda root: change_sheet(root, lambda s: s["B2"].__setattr__("value", "../../../etc")), "etc"),
        (lambda root: shutil.rmtree(clip_folder(root)), "folder"),
    ],
    ids=["a frame in the sheet is absent", "the apex is outside the clip", "a name climbs out", "the clip is absent"],
)
def test_a_bad_row_excludes_its_clip_and_says_why(mer, database, place, tmp_path, harm, told):
    root = shutil.copytree(database, tmp_path / "harmed")
    harm(root)
    code, out, _ = mer("build", *asked(root, place, "--workers", "0"))
    assert code == 0
    lines = [line for line in out.splitlines() if line.startswith("excluded")]
    assert len(lines) == 1
    assert told in lines[0]
    tree = mer_pipe.open(place / "out.zarr")
    assert len(tree["sample"]) == 3
    assert len(tree.attrs["excluded"]) == 1


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--set", "magnify.metod=flow"], "unknown key 'magnify.metod' (did you mean method?)"),
        (["--set", "magnify.method=fase"], "magnify.method='fase' is unknown"),
        (["--set", "mrn.af=two"], "mrn.af='two' is not a list of numbers"),
        (["--set", "crop.size=223"], "223"),
        (["--set", "crop"], "--set crop has no value"),
        (["--set", "dataset.class_set=11"], "11"),
        (["--only", "amam"], "systems='amam' is unknown (did you mean aman?)"),
        (["--recipe", "nowhere.yaml"], "there is no recipe 'nowhere.yaml'"),
        (["--set", "features.weights=nowhere.pt"], "nowhere.pt"),
        (["--set", "magnify.method=learned", "--set", "magnify.weights=nowhere.pth"], "nowhere.pth"),
        (["--set", "align.method=mediapipe", "--landmarker", "nowhere.task"], "nowhere.task"),
    ],
)
def test_wrong_words_get_one_line_that_says_what_and_what_to_do(mer, database, place, args, told):
    code, out, err = mer("build", *asked(database, place, *args))
    assert code == 1
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert err.startswith("mer-pipe: ")
    assert told in err


def test_a_wrong_database_and_a_wrong_root_are_told(mer, tmp_path):
    assert "did you mean casme2" in mer("build", "--dataset", "casmeii", "--root", tmp_path)[2].lower()
    code, _, err = mer("build", "--dataset", "casme2", "--root", tmp_path)
    assert code == 1
    assert len(err.strip().splitlines()) == 1


def test_a_pickled_payload_in_a_checkpoint_is_refused_and_does_not_run(mer, database, place, tmp_path):
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "payload_ran"),)

    (tmp_path / "evil.pt").write_bytes(pickle.dumps({"state_dict": Payload()}))
    more = ["--set", f"features.weights={tmp_path / 'evil.pt'}", "--workers", "0"]
    code, _, err = mer("build", *asked(database, place, *more))
    assert code == 1
    assert len([line for line in err.splitlines() if line.startswith("mer-pipe: ")]) == 1
    assert not (tmp_path / "payload_ran").exists()


def test_a_yaml_recipe_is_read_and_kept_in_the_store(mer, database, place, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "base: demo\nmrn: {af: [2, 4]}\nruan: {af: 4}\naman: {af: '1,2', frames: 3}\nmagnify: {method: eulerian}\n"
    )
    code, _, err = mer("build", "--dataset", "casme2", "--root", database, "--store", place / "mine.zarr",
                       "--cache", place / "cache", "--recipe", tmp_path / "mine.yaml", "--only", "mrn",
                       "--workers", "0")  # fmt: skip
    assert code == 0, err
    recipe = mer_pipe.open(place / "mine.zarr").attrs["recipe"]
    assert recipe["name"] == "mine"
    assert recipe["magnify"]["method"] == "eulerian"


def test_inspect_draws_a_strip_and_verify_finds_a_flipped_bit(mer, place, tmp_path):
    code, out, _ = mer("inspect", place / "out.zarr", "sub01/" + first_clip(place), "-o", tmp_path / "strip.png")
    assert code == 0
    assert (tmp_path / "strip.png").read_bytes()[:4] == b"\x89PNG"
    code, out, _ = mer("inspect", place / "out.zarr", "--json")
    assert json.loads(out)
    assert mer("verify", place / "out.zarr")[0] == 0
    shard = next(p for p in (place / "out.zarr/strain/strain/c").rglob("*") if p.is_file())
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.unlink()  # the copy shares its blocks with the first build
    shard.write_bytes(data)
    code, out, _ = mer("verify", place / "out.zarr")
    assert code == 4
    assert "strain/strain/c/0/0/0 differs" in out


def first_clip(place: Path) -> str:
    return str(mer_pipe.open(place / "out.zarr")["clip"].values[0])


def test_gc_keeps_what_the_latest_build_reads(mer, database, place):
    shutil.rmtree(place / "cache/journal")  # it speaks of the store that this one is a copy of
    mer("build", *asked(database, place, "--workers", "0"))
    code, out, _ = mer("gc", "--cache", place / "cache", "--json")
    assert code == 0
    assert json.loads(out)["entries"] == 0
    mer("build", *asked(database, place, "--set", "strain.sigma=3", "--workers", "0"))
    code, out, _ = mer("gc", "--cache", place / "cache", "--json", "-n")
    assert json.loads(out)["entries"] == 12  # strain, strain_evm and motion of four clips, as they were
    assert json.loads(mer("gc", "--cache", place / "cache", "--json")[1])["removed"]
    assert mer("status", *asked(database, place, "--set", "strain.sigma=3"))[0] == 0


def test_every_verb_has_help_and_the_first_line_fits(mer):
    for verb in cli.cli.commands:
        code, out, _ = mer(verb, "-h")
        assert code == 0
        assert out.startswith(f"Usage: mer-pipe {verb}")
    assert "Did you mean build" in mer("biuld")[2]


def test_help_imports_nothing_heavy():
    code = (
        "import sys, mer_pipe.cli; print([m for m in ('numpy','cv2','torch','zarr','rich','dask') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_doctor_finds_this_machine_fit(mer):
    code, out, _ = mer("doctor")
    assert code == 0, out
    assert "system libraries" in out


def test_datasets_and_models_are_listed(mer, database):
    assert "casme2" in mer("datasets")[1]
    out = mer("datasets", "show", "casme2", "--root", database)[1]
    assert "casme2: 4 clips of 2 subjects, 0 excluded" in out
    assert "face_landmarker" in mer("models")[1]


def test_a_users_corrections_are_applied_and_told(mer, database, tmp_path):
    clip = clip_folder(database).name
    (tmp_path / "mine.csv").write_text(
        f"subject,clip,field,becomes,reason\nsub01,{clip},emotion,surprise,coded again by two coders\n"
    )
    code, out, err = mer("datasets", "show", "casme2", "--root", database, "--corrections", tmp_path / "mine.csv")
    assert code == 0, err
    assert "coded again by two coders" in out
    code, _, err = mer("status", "--dataset", "casme2", "--root", database, "--corrections", tmp_path / "absent.csv")
    assert code == 1
    assert "absent.csv" in err


@pytest.mark.slow
def test_real_stages_give_the_same_bytes_in_this_process_and_on_one_and_two_workers(mer, database, tmp_path):
    found = {}
    for workers in ("0", "1", "2"):
        place = tmp_path / workers
        code, _, err = mer("build", *asked(database, place, "--workers", workers))
        assert code == 0, err
        entries = {p.name: p.read_bytes() for p in (place / "cache/entries").rglob("*.npz")}
        store = {p.relative_to(place): p.read_bytes() for p in (place / "out.zarr").rglob("*") if p.is_file()}
        found[workers] = entries, store
    assert found["0"] == found["1"] == found["2"]
