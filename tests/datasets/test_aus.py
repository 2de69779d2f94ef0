"""Action units: every form the sheets hold, and the same value back from its own text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_pipe.datasets.aus import ActionUnits, Either, Remark, Unit, parse, units
from mer_pipe.types import DatasetError

# cell, canonical text, definite units, units with alternatives
CELLS = [
    ("4+7", "4+7", {4, 7}, {4, 7}),
    (4, "4", {4}, {4}),
    ("L10", "L10", {10}, {10}),
    ("AU12 + AU06", "12+6", {6, 12}, {6, 12}),
    ("r12", "R12", {12}, {12}),
    ("１２＋４", "12+4", {4, 12}, {4, 12}),
    ("12;4, 5 & 6", "12+4+5+6", {4, 5, 6, 12}, {4, 5, 6, 12}),
    ("R12 or R14", "R12 or R14", set(), {12, 14}),
    ("L12/R12", "L12 or R12", {12}, {12}),
    ("(R6 or R12)+R15", "(R6 or R12)+R15", {15}, {6, 12, 15}),
    ("R14A or 17A or 24A", "R14A or 17A or 24A", set(), {14, 17, 24}),
    ("6+12 or 14", "6+12 or 14", set(), {6, 12, 14}),
    ("(4+7) or (4+9)", "4+7 or 4+9", {4}, {4, 7, 9}),
    ("((1 or 2)+4) or 5", "(1 or 2)+4 or 5", set(), {1, 2, 4, 5}),
    ("10A/B", "10A/B", {10}, {10}),
    ("10A/B12", "10A or B12", set(), {10, 12}),
    ("A/L12", "A/L12", {12}, {12}),
    ("ref(7B)+43", "ref(7B)+43", {43}, {43}),
    ("7B+ ref(43)", "7B+ref(43)", {7}, {7}),
    ("L12 + 61", "L12+61", {12, 61}, {12, 61}),
    ("R14+17+soft focus", "R14+17+soft focus", {14, 17}, {14, 17}),
    ("1+4(k)", "1+4?", {1}, {1}),
    ("1+(4)", "1+4?", {1}, {1}),
    ("1+4 ?", "1+4?", {1}, {1}),
    ("?", "?", set(), set()),
    ("NULL", "", set(), set()),
    ("", "", set(), set()),
    (None, "", set(), set()),
]


@pytest.mark.parametrize(("cell", "text", "definite", "possible"), CELLS)
def test_the_forms_of_the_sheets_are_read(cell, text, definite, possible):
    read = parse(cell)
    assert str(read) == text
    assert units(cell) == definite
    assert units(cell, with_alternatives=True) == possible
    assert parse(text) == read


def test_sides_intensities_and_marks_are_kept():
    assert parse("A/L12").items == (Unit(12, side="A/L"),)
    assert parse("ref(7B)+10a/b").items == (Unit(7, intensity="B", reference=True), Unit(10, intensity="A/B"))
    assert parse("ref(7B)+4(k)").units(with_doubtful=True) == {4, 7}
    assert parse("R14+17+soft focus").remarks() == ("soft focus",)
    assert parse("4+(7+12)").items == (Unit(4), Unit(7, uncertain=True), Unit(12, uncertain=True))


@pytest.mark.parametrize(
    ("cell", "where"),
    [
        ("1+2 +", "the end stands where a unit is expected"),
        ("+4", r"'\+4' at character 1"),
        ("(4+7", r"'\(4\+7' at character 1 is not closed"),
        ("4+7)", r"'\)' at character 4 is not expected"),
        ("4 7", "'7' at character 3"),
        ("4+999", "'999' at character 3 is no action unit"),
        ("0", "is no action unit"),
        ("4..7", r"'\.\.7' at character 2 is not understood"),
        ("12F", "'F' at character 3"),
        ("=4+7", "is not understood"),
        ("ref(", "the end"),
        ("()", "where a unit is expected"),
        ("(" * 50 + "4" + ")" * 50, "nested too deeply"),
        ("4+" * 400 + "4", "801 characters"),
    ],
)
def test_what_cannot_be_read_is_quoted_with_its_place(cell, where):
    with pytest.raises(DatasetError, match=where) as caught:
        parse(cell)
    assert repr(cell[:20])[1:-1] in str(caught.value)


_SIDES = st.sampled_from(["", "", "", "L", "R", "A/L", "B", "M"])
_LETTERS = st.sampled_from(["", "", "A", "E", "A/B"])
_UNITS = st.builds(Unit, st.integers(1, 99), _SIDES, _LETTERS, st.booleans(), st.booleans())
_REMARKS = st.sampled_from(["?", "soft focus", "blink", "ref", "orbit"]).map(Remark)


def _either(inner):
    reading = st.lists(inner, min_size=1, max_size=3).filter(lambda r: len(r) > 1 or not isinstance(r[0], Either))
    return st.lists(reading.map(tuple), min_size=2, max_size=3).map(lambda r: Either(tuple(r)))


_ITEMS = st.recursive(st.one_of(_UNITS, _UNITS, _REMARKS), _either, max_leaves=8)
_CELLS = st.lists(_ITEMS, max_size=4).map(lambda items: ActionUnits(tuple(items)))


@given(_CELLS)
@settings(max_examples=200, deadline=None)
def test_the_canonical_text_gives_the_same_value_back(value):
    assert parse(str(value)) == value
    assert value.units() <= value.units(with_alternatives=True) <= set(range(1, 100))


@given(st.text("0123456789+or()/?ABLRk ref", max_size=30))
@settings(max_examples=400, deadline=None)
def test_any_text_is_read_or_refused_and_never_changes_on_the_way(text):
    try:
        value = parse(text)
    except DatasetError:
        return
    assert parse(str(value)) == value
