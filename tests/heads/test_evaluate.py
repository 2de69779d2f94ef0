"""The table of runs, from predictions written by hand: pooling, seeds, what differs, what is missing, the papers' rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mer_pipe.heads.evaluate import table
from mer_pipe.heads.metrics import metrics
from mer_pipe.heads.runs import Predictions, Run, create, find_runs, stem
from mer_pipe.types import TrainingError

TRUTH = {"casme2/01": "aab", "casme2/02": "abb", "casme2/03": "b"}
SAID = {"casme2/01": "aaa", "casme2/02": "abb", "casme2/03": "a"}


def made(path: Path, said: dict[str, str], seeds=(0,), head: str = "mrn", classes: str = "ab", **settings) -> Run:
    clips = [
        {"sample": f"{subject}/{i}", "subject": subject, "database": subject.split("/")[0], "label": label}
        for subject, labels in TRUTH.items()
        for i, label in enumerate(labels)
    ]
    folds = [{"name": s, "train": [], "test": [i for i, c in enumerate(clips) if c["subject"] == s]} for s in TRUTH]
    facts = {
        "head": head,
        "title": head.upper(),
        "settings": {"af": [2.0, 3.0], "training": {"lr": 0.1}, **settings},
        "protocol": "loso",
        "shuffled_labels": False,
        "store": {"contents": "0" * 64, "database": "casme2", "recipe": "demo"},
        "classes": list(classes),
        "axes": {},
        "cautions": [],
        "clips": clips,
        "left_out": [],
        "folds": folds,
    }
    run = create(path, facts)
    for seed in seeds:
        for number, fold in enumerate(folds):
            if fold["name"] in said:
                samples = tuple(clips[i]["sample"] for i in fold["test"])
                truth, predicted = tuple(TRUTH[fold["name"]]), tuple(said[fold["name"]])
                found = Predictions(fold["name"], seed, samples, truth, predicted, ((0.5, 0.5),) * len(truth), 1)
                run.save(number, found, ())
    return run


def test_predictions_of_all_folds_are_pooled(tmp_path):
    row = table([made(tmp_path / "run", SAID)])[0]
    whole = metrics("".join(TRUTH.values()), "".join(SAID.values()))
    assert (row.acc.mean, row.uf1.mean, row.uar.mean) == (whole.acc, whole.uf1, whole.uar)
    folds = [metrics(TRUTH[s], SAID[s]).uf1 for s in TRUTH]
    assert row.uf1.mean != pytest.approx(np.mean(folds))
    assert row.acc.spread is None
    assert (row.clips, row.subjects, row.classes) == (7, 3, 2)


def test_a_seed_that_lacks_a_fold_is_not_counted_and_a_run_without_a_whole_seed_is_refused(tmp_path):
    run = made(tmp_path / "run", SAID)
    made(tmp_path / "run", {s: SAID[s] for s in list(SAID)[:2]}, seeds=(1,))
    assert table([run])[0].seeds == (0,)
    short = made(tmp_path / "short", {"casme2/01": "aaa"})
    with pytest.raises(TrainingError, match="seed 0 lacks 2 of 3 folds, casme2/02 first"):
        table([short])


def test_the_table_tells_how_runs_of_one_head_differ_and_not_how_heads_do(tmp_path):
    runs = [
        made(tmp_path / "a", SAID, af=[1.0]),
        made(tmp_path / "b", SAID, training={"lr": 0.2}),
        made(tmp_path / "c", SAID, head="aman", width=3),
    ]
    told = [row.settings for row in table(runs)]
    assert told == [{"af": [1.0], "training.lr": 0.1}, {"af": [2.0, 3.0], "training.lr": 0.2}, {}]


def test_the_papers_row_stands_beside_a_run_of_its_protocol_and_classes_alone(tmp_path):
    assert table([made(tmp_path / "two", SAID)])[0].theirs is None
    row = table([made(tmp_path / "five", SAID, classes="abcde")])[0]
    assert row.theirs.acc == 0.8106


def test_folders_of_runs_are_found_in_order(tmp_path):
    for name in ("b", "a"):
        made(tmp_path / "grid" / name, SAID)
    assert [run.path.name for run in find_runs([tmp_path / "grid"])] == ["a", "b"]


def test_a_subjects_name_cannot_leave_the_runs_folder():
    assert stem(3, "casme2/../../etc") == "003-casme2_.._.._etc"


def test_another_format_is_not_guessed_at(tmp_path):
    run = made(tmp_path / "run", SAID)
    text = (run.path / "run.json").read_text().replace('"format_version": 1', '"format_version": 2')
    (run.path / "run.json").write_text(text)
    with pytest.raises(TrainingError, match="run format 2, newer than this mer-pipe"):
        find_runs([run.path])
