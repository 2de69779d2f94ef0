"""Votes to labels, against distributions worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mer_pipe.pretrain import votes
from mer_pipe.types import RecipeError
from tests.pretrain.sheets import VOTES, cast

# votes, and by mode what they must become: shares by emotion, or the reason why there are none.
BY_HAND = [
    (
        cast(neutral=10),
        {"majority": {"neutral": 1}, "crossentropy": {"neutral": 1}, "multi_target": {"neutral": 1}},
    ),
    # The single vote goes first: 7 of 9 are left as 7 of 9 for happiness, more than three quarters.
    (
        cast(happiness=7, contempt=2, anger=1),
        {"majority": {"happiness": 1}, "crossentropy": {"happiness": 1}, "multi_target": {"happiness": 1}},
    ),
    # 6 of 10 is a majority but not three quarters: fear comes in too. 4 of 10 is more than 30 %.
    (
        cast(surprise=6, fear=4),
        {
            "majority": {"surprise": 1},
            "crossentropy": {"surprise": 0.6, "fear": 0.4},
            "multi_target": {"surprise": 0.6, "fear": 0.4},
        },
    ),
    # Half is no majority.
    (
        cast(neutral=5, sadness=5),
        {
            "majority": votes.DISAGREED,
            "crossentropy": {"neutral": 0.5, "sadness": 0.5},
            "multi_target": {"neutral": 0.5, "sadness": 0.5},
        },
    ),
    # 4 + 3 of 9 hold more than three quarters; the two votes for anger are below 30 % and come too late.
    (
        cast(neutral=4, sadness=3, anger=2, fear=1),
        {
            "majority": votes.DISAGREED,
            "crossentropy": {"neutral": 4 / 7, "sadness": 3 / 7},
            "multi_target": {"neutral": 4 / 7, "sadness": 3 / 7},
        },
    ),
    # Equals come together: 4, then both twos, hold 8 of 8. Only the 4 reaches 30 %, and it holds just half.
    (
        cast(neutral=4, sadness=2, anger=2, fear=1, unknown=1),
        {
            "majority": votes.DISAGREED,
            "crossentropy": {"neutral": 0.5, "sadness": 0.25, "anger": 0.25},
            "multi_target": votes.DISAGREED,
        },
    ),
    # Five emotions of two votes each are too many.
    (
        cast(neutral=2, sadness=2, anger=2, fear=2, disgust=2),
        dict.fromkeys(("majority", "crossentropy", "multi_target"), votes.DISAGREED),
    ),
    # "unknown" comes second and is dropped; neutral alone still holds more than half in crossentropy.
    (
        cast(neutral=6, unknown=4),
        {"majority": {"neutral": 1}, "crossentropy": {"neutral": 1}, "multi_target": {"neutral": 1}},
    ),
    # Equal to "unknown": half is not more than half. 30 % of the votes take both, and the emotion is first.
    (
        cast(neutral=5, unknown=5),
        {"majority": votes.DISAGREED, "crossentropy": votes.DISAGREED, "multi_target": {"neutral": 1}},
    ),
    (
        cast(unknown=7, neutral=3),
        dict.fromkeys(("majority", "crossentropy", "multi_target"), votes.UNKNOWN),
    ),
    (cast(NF=10), dict.fromkeys(("majority", "crossentropy", "multi_target"), votes.NO_FACE)),
    # Nothing but single votes: nothing is left.
    (
        [1] * 10,
        dict.fromkeys(("majority", "crossentropy", "multi_target"), votes.DISAGREED),
    ),
]


@pytest.mark.parametrize("mode", ["majority", "crossentropy", "multi_target"])
@pytest.mark.parametrize(("row", "wanted"), BY_HAND)
def test_votes_become_the_labels_worked_out_by_hand(row, wanted, mode):
    (shares,), (reason,) = votes.targets(np.array([row]), mode)
    if isinstance(wanted[mode], str):
        assert reason == wanted[mode]
        assert not shares.any()
    else:
        assert not reason
        np.testing.assert_allclose(shares, [wanted[mode].get(name, 0) for name in VOTES[:8]], rtol=1e-6)


def test_many_rows_give_what_each_gives_alone():
    rows = np.array([row for row, _ in BY_HAND] * 3)
    together, reasons = votes.targets(rows, "crossentropy")
    for row, share, reason in zip(rows, together, reasons, strict=True):
        (alone,), (why,) = votes.targets(row[None], "crossentropy")
        assert reason == why
        np.testing.assert_array_equal(share, alone)


def test_drawn_labels_come_as_often_as_their_shares():
    (share,), _ = votes.targets(np.array([cast(surprise=6, fear=4)]), "probability")
    drawn = votes.drawn(np.repeat(share[None], 4000, 0), np.random.default_rng(0))
    assert set(drawn.ravel().tolist()) == {0.0, 1.0}
    np.testing.assert_array_equal(drawn.sum(1), 1)
    np.testing.assert_allclose(drawn.mean(0), share, atol=4 * np.sqrt(0.24 / 4000))
    assert not drawn[:, share == 0].any()


def test_an_unknown_mode_is_refused():
    with pytest.raises(RecipeError, match="choose one of majority|Choose one of majority"):
        votes.targets(np.zeros((1, 10), int), "vote")
