"""Protocols: nobody is on both sides, the composite, databases apart, parts of subjects, inner validation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mer_pipe.heads.protocols import inner_split, make_folds
from mer_pipe.types import TrainingError

SUBJECTS = ["casme2/01", "casme2/01", "casme2/02", "samm/01", "samm/01", "samm/02"]
DATABASES = [name.partition("/")[0] for name in SUBJECTS]
LABELS = [0, 1, 0, 1, 0, 1]


def test_loso_tests_every_clip_once_and_never_trains_on_its_subject():
    folds = make_folds("loso", SUBJECTS, DATABASES, LABELS)
    assert [fold.name for fold in folds] == ["casme2/01", "casme2/02", "samm/01", "samm/02"]
    assert sorted(i for fold in folds for i in fold.test) == list(range(6))
    for fold in folds:
        assert {SUBJECTS[i] for i in fold.test} == {fold.name}
        assert fold.name not in {SUBJECTS[i] for i in fold.train}
        assert sorted(fold.train + fold.test) == list(range(6))


def test_two_people_with_one_name_in_two_databases_are_two_folds():
    assert len(make_folds("cde", SUBJECTS, DATABASES, LABELS)) == 4


def test_lodo_leaves_one_database_out():
    folds = make_folds("lodo", SUBJECTS, DATABASES, LABELS)
    assert [(fold.name, fold.test) for fold in folds] == [("casme2", (0, 1, 2)), ("samm", (3, 4, 5))]


@pytest.mark.parametrize("protocol", ["cde", "lodo"])
def test_protocols_over_databases_refuse_a_single_one(protocol):
    with pytest.raises(TrainingError, match="holds casme2 alone"):
        make_folds(protocol, SUBJECTS[:3], DATABASES[:3], LABELS[:3])


@given(
    counts=some.lists(some.integers(2, 9), min_size=3, max_size=20),
    folds=some.integers(2, 3),
    seed=some.integers(0, 99),
)
def test_kfold_deals_whole_subjects_evenly(counts, folds, seed):
    subjects = [f"d/{i:02d}" for i, count in enumerate(counts) for _ in range(count)]
    labels = [i % 2 for i in range(len(subjects))]
    made = make_folds("kfold", subjects, ["d"] * len(subjects), labels, folds, seed)
    assert len(made) == folds
    assert sorted(i for fold in made for i in fold.test) == list(range(len(subjects)))
    for fold in made:
        assert not {subjects[i] for i in fold.test} & {subjects[i] for i in fold.train}
    sizes = [len(fold.test) for fold in made]
    assert max(sizes) - min(sizes) <= max(counts)


def test_one_subject_alone_cannot_be_left_out():
    with pytest.raises(TrainingError, match="of one subject, d/1"):
        make_folds("loso", ["d/1"] * 3, ["d"] * 3, [0, 1, 0])


def test_a_store_without_labels_is_told():
    with pytest.raises(TrainingError, match="no labelled clip"):
        make_folds("loso", [], [], [])


def test_a_fold_that_would_train_on_one_class_is_refused_by_name():
    with pytest.raises(TrainingError, match="fold d/1: its 2 training clips are all of one class"):
        make_folds("loso", ["d/1", "d/1", "d/2", "d/2"], ["d"] * 4, [0, 1, 1, 1])


def test_the_inner_split_keeps_test_subjects_out_of_both_sides():
    subjects = [f"d/{i // 4:02d}" for i in range(40)]
    labels = [i % 3 for i in range(40)]
    for fold in make_folds("loso", subjects, ["d"] * 40, labels):
        inner = inner_split(fold, subjects, labels, 0.2, seed=0)
        assert sorted(inner.train + inner.test) == list(fold.train)
        held, trained = ({subjects[i] for i in side} for side in (inner.test, inner.train))
        assert len(held) == 2
        assert not held & trained
        assert fold.name not in held | trained


def test_the_inner_split_follows_its_seed_alone():
    subjects = [f"d/{i // 4:02d}" for i in range(40)]
    labels = [i % 3 for i in range(40)]
    fold = make_folds("loso", subjects, ["d"] * 40, labels)[0]
    splits = {inner_split(fold, subjects, labels, 0.2, seed).test for seed in range(8)}
    assert len(splits) > 3
    assert inner_split(fold, subjects, labels, 0.2, 1) == inner_split(fold, subjects, labels, 0.2, 1)


def test_an_unknown_protocol_is_told():
    with pytest.raises(TrainingError, match="no protocol 'losso'"):
        make_folds("losso", SUBJECTS, DATABASES, LABELS)
