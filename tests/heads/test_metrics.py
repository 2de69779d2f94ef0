"""Metrics: hand-computed values, what is undefined, pooling, order, intervals."""

from __future__ import annotations

import numpy as np
import pytest

from mer_pipe.heads.metrics import from_confusion, intervals, metrics


def test_hand_computed_figures():
    found = metrics(list("aaabbc"), list("aabbbc"))
    assert found.confusion.tolist() == [[2, 1, 0], [0, 2, 0], [0, 0, 1]]
    assert found.acc == pytest.approx(5 / 6)
    # F1: a 2*2/(3+2), b 2*2/(2+3), c 1; recall: 2/3, 1, 1.
    assert found.uf1 == pytest.approx((0.8 + 0.8 + 1) / 3)
    assert found.uar == pytest.approx((2 / 3 + 1 + 1) / 3)
    assert len(found) == 6


def test_figures_agree_with_scikit_learn():
    from sklearn.metrics import balanced_accuracy_score, f1_score

    rng = np.random.default_rng(1)
    for _ in range(20):
        truth = rng.integers(0, 4, 60)
        said = np.where(rng.random(60) < 0.5, truth, rng.integers(0, 4, 60))
        found = metrics(truth.tolist(), said.tolist())
        assert found.uf1 == pytest.approx(f1_score(truth, said, average="macro"))
        assert found.uar == pytest.approx(balanced_accuracy_score(truth, said))


def test_exchanging_truth_and_prediction_keeps_uf1_and_turns_uar_into_macro_precision():
    truth, said = list("aaaabbbbcc"), list("aabbbbbbca")
    right, wrong = metrics(truth, said), metrics(said, truth)
    assert wrong.uf1 == pytest.approx(right.uf1)
    assert wrong.uar == pytest.approx(np.mean(right.precision))
    assert wrong.uar != pytest.approx(right.uar)


def test_pooled_uf1_is_not_the_mean_over_folds():
    folds = [("aab", "aab"), ("ab", "aa"), ("bb", "ba"), ("a", "b")]
    pooled = metrics("".join(t for t, _ in folds), "".join(p for _, p in folds))
    mean = np.mean([metrics(t, p).uf1 for t, p in folds])
    assert pooled.uf1 == pytest.approx((2 * 3 / (4 + 5) + 2 * 2 / (4 + 3)) / 2)
    assert abs(mean - pooled.uf1) > 0.05


def test_a_class_that_never_occurs_is_left_out_and_one_that_is_only_said_costs_uf1():
    assert metrics("ab", "ab", classes="abc").uf1 == 1
    found = metrics("aab", "aac", classes="abc")
    assert found.uf1 == pytest.approx((1 + 0 + 0) / 3)
    assert found.uar == pytest.approx((1 + 0) / 2)
    assert np.isnan(found.recall[2])
    assert found.as_json()["per_class"]["c"]["recall"] is None


@pytest.mark.parametrize(("truth", "said"), [("ab", "a"), ("", "")])
def test_lists_that_cannot_be_compared_are_refused(truth, said):
    with pytest.raises(ValueError, match="cannot be compared"):
        metrics(truth, said)


def test_an_unknown_class_is_refused():
    with pytest.raises(ValueError, match="'z' is none of"):
        metrics("az", "aa", classes="ab")


def test_intervals_hold_the_figure_and_shrink_with_more_subjects():
    rng = np.random.default_rng(0)

    def people(count: int) -> np.ndarray:
        return np.stack([np.diag([4, 4]) + rng.integers(0, 3, (2, 2)) for _ in range(count)])[None]

    few, many = people(5), people(80)
    wide, narrow = intervals(few)["acc"], intervals(many)["acc"]
    for span, counts in ((wide, few), (narrow, many)):
        assert span[0] <= from_confusion(counts[0].sum(0), ("a", "b")).acc <= span[1]
    assert narrow[1] - narrow[0] < 0.5 * (wide[1] - wide[0])
    assert intervals(few) == intervals(few), "the draw has its own seed"


def test_clips_of_one_subject_are_drawn_together():
    """One subject all right, one all wrong: by subject the accuracy can be 0 or 1; by clip it hardly could."""
    stack = np.array([[[[20, 0], [0, 0]], [[0, 20], [0, 0]]]])
    assert intervals(stack)["acc"] == (0.0, 1.0)


def test_several_seeds_narrow_nothing_by_themselves():
    one = np.array([[[[9, 1], [2, 8]], [[5, 5], [4, 6]], [[7, 3], [1, 9]]]])
    for name, span in intervals(np.repeat(one, 3, 0)).items():
        assert span == pytest.approx(intervals(one)[name])
