"""`mer-pipe train` and `evaluate`: what they write, what they say, and one line for what cannot be."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from mer_pipe.heads import HEADS, head_of
from mer_pipe.heads.printed import PRINTED
from mer_pipe.types import RecipeError
from tests.heads.made_store import make_store

TOY = "tests.heads.made_store:Toy"
QUICK = ("--set", "training.epochs=3", "--set", "training.batch=8", "--workers", "0")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store") / "made.zarr", subjects=3)


def test_a_run_is_trained_shown_and_evaluated(mer, store, tmp_path):
    out = tmp_path / "run"
    code, said, _ = mer("train", "--head", TOY, "--store", store, "--out", out, "--views", "--seeds", 2, *QUICK)
    assert code == 0
    assert "Toy, 259 parameters" in said
    assert "18 clips of 3 subjects, 3 classes (happiness, others, surprise)" in said
    assert "3 folds of 6..6 test clips, 2 seeds, on cpu" in said
    assert f"mer-pipe evaluate {out}" in said
    code, said, _ = mer("evaluate", out, "--per-class", "--pictures", tmp_path / "pictures")
    assert code == 0
    assert "largest class  3 classes" in said
    assert "0.333" in said
    assert "±" in said
    assert "precision" in said
    for name in ("run-confusion.png", "run-attention.png"):
        picture = np.asarray(Image.open(tmp_path / "pictures" / name))
        assert picture.std() > 5
    assert "# Toy on casme2" in (out / "README.md").read_text()


def test_the_numbers_are_the_same_as_json(mer, store, tmp_path):
    out = tmp_path / "run"
    code, said, err = mer("train", "--head", TOY, "--store", store, "--out", out, "--json", *QUICK)
    assert (code, err) == (0, "")
    first = json.loads(said)
    code, said, _ = mer("evaluate", out, "--json")
    assert json.loads(said) == first
    assert first[0]["clips"] == 18
    assert first[0]["acc"]["mean"] == pytest.approx(first[0]["per_seed"][0]["acc"])
    assert sum(map(sum, first[0]["per_seed"][0]["confusion"])) == 18


def test_a_dry_run_writes_nothing(mer, store, tmp_path):
    code, said, _ = mer("train", "--head", TOY, "--store", store, "--out", tmp_path / "run", "-n")
    assert code == 0
    assert "nothing was trained: -n" in said
    assert not (tmp_path / "run").exists()


def test_a_grid_makes_a_run_of_each_and_the_table_tells_what_differs(mer, store, tmp_path):
    grid = ("--grid", "width=4", "--grid", "width=8", "--grid", "training.lr=0.01", "--grid", "training.lr=0.02")
    code, said, _ = mer("train", "--head", TOY, "--store", store, "--out", tmp_path / "grid", *grid, *QUICK)
    assert code == 0
    assert sorted(p.name for p in (tmp_path / "grid").iterdir()) == [
        f"width={w},training.lr={lr}" for w in (4, 8) for lr in (0.01, 0.02)
    ]
    code, said, _ = mer("evaluate", tmp_path / "grid")
    head = said.splitlines()[0].split()
    assert head == ["head", "on", "training.lr", "width", "Acc", "UF1", "UAR"]
    assert said.count("casme2, loso") == 4


def test_settings_come_from_a_file_and_set_wins(mer, store, tmp_path):
    (tmp_path / "mine.yaml").write_text("width: 4\ntraining: {epochs: 2, batch: 8}\n")
    command = (
        "train",
        "--head",
        TOY,
        "--store",
        store,
        "--out",
        tmp_path / "run",
        "--settings",
        tmp_path / "mine.yaml",
    )
    code, _, _ = mer(*command, "--set", "width=5", "--workers", 0)
    assert code == 0
    settings = json.loads((tmp_path / "run/run.json").read_text())["settings"]
    assert (settings["width"], settings["training"]["epochs"]) == (5, 2)


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (("--set", "widht=3"), "unknown key 'widht' (did you mean width?)"),
        (("--set", "training.epochs=many"), "training.epochs='many' is not an integer"),
        (("--set", "width"), "--set width has no value"),
        (("--grid", "width"), "--grid width has no value"),
        (("--protocol", "cde"), "protocol cde needs several databases, and the store holds casme2 alone"),
        (("--protocol", "kfold", "--folds", "9"), "3 subjects cannot be dealt to 9 folds"),
        (("--device", "cuda:77"), "device 'cuda:77' cannot be used"),
        (("--backend", "teleport"), "there is no backend 'teleport'"),
        (("--settings", "absent.yaml"), "there is no file absent.yaml"),
    ],
)
def test_what_cannot_be_is_one_line(mer, store, tmp_path, extra, told):
    code, _, err = mer("train", "--head", TOY, "--store", store, "--out", tmp_path / "run", *extra)
    assert code == 1
    assert err.startswith("mer-pipe: ")
    assert told in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ("mrm", "there is no head 'mrm' (did you mean mrn?)"),
        ("nowhere:Head", "head 'nowhere:Head' cannot be made"),
        ("pathlib:Path", "pathlib:Path is no head"),
    ],
)
def test_a_head_that_is_not_there_is_told(mer, store, head, told):
    code, _, err = mer("train", "--head", head, "--store", store)
    assert code == 1
    assert told in err


def test_a_folder_that_is_no_run_is_told(mer, tmp_path):
    code, _, err = mer("evaluate", tmp_path)
    assert code == 1
    assert "is no training run" in err


@pytest.mark.parametrize("name", list(HEADS))
def test_every_head_says_what_it_is_and_reads(name):
    head = head_of(name)
    assert head.name == name
    assert head.title
    assert head.needs
    assert hash(head) == hash(head_of(name)), "frozen: a run is named by its settings"
    with pytest.raises(RecipeError):
        type(head)(training=type(head.training)(epochs=-1))


def test_printed_figures_are_shares_of_known_heads():
    for row in PRINTED:
        assert row.head in HEADS
        for value in (row.acc, row.uf1, row.uar):
            assert value is None or 0.3 < value < 1


def test_printed_accuracies_of_uamrn_are_whole_clips():
    """81.06 of 247 clips and so on: the papers pool, as we do."""
    for row in PRINTED:
        if row.head == "uamrn":
            assert abs(row.acc * row.clips - round(row.acc * row.clips)) < 0.02
