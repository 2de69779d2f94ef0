"""Which class a clip is exported under, and that none vanishes."""

from __future__ import annotations

import pytest

from mer_pipe.export.classes import choose
from mer_pipe.export.clips import Clip
from mer_pipe.export.settings import THREE, ExportError


def clips(*told: tuple[str, str, str]) -> list[Clip]:
    """Clips of (database, emotion, label)."""
    return [
        Clip(row, {"sample": f"{database}/s/{row}", "database": database, "emotion": emotion, "label": label})
        for row, (database, emotion, label) in enumerate(told)
    ]


def named(classes) -> dict[int, str]:
    return {row: classes.names[index] for row, index in classes.index.items()}


def test_the_stores_labels_stay_and_count_alphabetically():
    found = choose(clips(("casme2", "surprise", "surprise"), ("casme2", "disgust", "disgust")))
    assert found.names == ("disgust", "surprise")
    assert named(found) == {0: "surprise", 1: "disgust"}


def test_surprise_is_2_even_where_nothing_is_positive():
    """STSTNet and HTNet take 0, 1, 2 for negative, positive and surprise."""
    found = choose(clips(("smic", "surprise", "surprise"), ("smic", "negative", "negative")))
    assert found.names == THREE
    assert found.index == {0: 2, 1: 0}


def test_three_classes_are_those_of_each_database():
    """MEGC 2019: repression is negative in CASME II, contempt in SAMM; SMIC is labelled so already."""
    told = [
        ("casme2", "repression", "repression"), ("casme2", "happiness", "happiness"), ("samm", "Contempt", "contempt"),
        ("smic", "positive", "positive"), ("demo", "disgust", "disgust"),
    ]  # fmt: skip
    assert list(named(choose(clips(*told), "3")).values()) == [
        "negative",
        "positive",
        "negative",
        "positive",
        "negative",
    ]


def test_a_label_that_is_one_of_the_three_outweighs_the_emotion():
    """The list of MEGC 2019 labels some clips otherwise than the class map would."""
    assert named(choose(clips(("casme2", "others", "negative")), "3")) == {0: "negative"}


def test_objective_classes_are_mapped_by_their_emotions():
    assert named(choose(clips(("samm", "Anger", "II")), "3")) == {0: "negative"}


def test_what_falls_out_is_listed_with_its_reason():
    found = choose(clips(("casme2", "others", "others"), ("casme2", "fear", ""), ("casme2", "", ""),
                         ("casme2", "surprise", "surprise")), "3")  # fmt: skip
    assert [(left.sample, left.reason) for left in found.left_out] == [
        ("casme2/s/0", "emotion 'others' is in none of the three classes"),
        ("casme2/s/1", "emotion 'fear' is in none of the three classes"),
        ("casme2/s/2", "has no emotion"),
    ]
    assert named(found) == {3: "surprise"}


def test_a_clip_without_a_label_is_left_out():
    found = choose(clips(("folder", "", ""), ("folder", "smile", "smile")))
    assert [(left.sample, left.reason) for left in found.left_out] == [("folder/s/0", "has no label")]


def test_a_database_without_three_classes_is_named():
    with pytest.raises(ExportError, match=r"casme has no set of three classes \(4dme, .*Leave --classes out"):
        choose(clips(("casme", "tense", "tense")), "3")


def test_a_store_without_labels_is_refused():
    with pytest.raises(ExportError, match="no clip of the store has a class"):
        choose(clips(("folder", "", "")))
