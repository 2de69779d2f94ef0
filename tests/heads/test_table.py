"""The table of a store: labelled clips in order, classes and action units as indices, and nothing dropped silently."""

from __future__ import annotations

import numpy as np
import pytest

from mer_pipe.heads.head import Need
from mer_pipe.heads.table import read_table, read_units
from mer_pipe.types import StoreError
from tests.report.made_store import flip_byte, make_store

VECTOR = Need("features_mrn/feature", "mrn")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Clips 2 and 5 have no label."""
    edit = {
        0: {"aus": "R12 or R14", "label": "surprise"},
        1: {"aus": "4?+ref(7B)+17"},
        3: {"aus": "4+7+17", "label": "anger"},
        4: {"aus": "((("},
        5: {"aus": "26"},
        6: {"database": "samm", "subject": "samm/006"},
    }
    path = tmp_path_factory.mktemp("table") / "made.zarr"
    return make_store(path, 7, only=("features_mrn", "magnify", "crop"), edit=edit)


def test_clips_without_a_label_are_left_out_and_named(store):
    table = read_table(store)
    assert table.rows.tolist() == [0, 1, 3, 4, 6]
    assert len(table) == 5
    assert table.left_out == ("demo/sub01/EP03_01", "demo/sub02/EP03_01")
    assert table.notes[-1] == ("2 of 7 clips have no label and are left out: demo/sub01/EP03_01, demo/sub02/EP03_01")


def test_labels_index_into_the_sorted_classes(store):
    table = read_table(store)
    assert table.inputs.classes == ("anger", "happiness", "others", "surprise")
    assert [table.inputs.classes[label] for label in table.labels] == [
        *("surprise", "others", "anger", "others", "happiness"),
    ]
    assert table.samples[2] == "demo/sub02/EP01_01"
    assert table.subjects == ("demo/sub01", "demo/sub01", "demo/sub02", "demo/sub02", "samm/006")
    assert table.databases == ("demo", "demo", "demo", "demo", "samm")


def test_units_are_columns_in_ascending_order(store):
    table = read_table(store)
    assert table.inputs.units == (4, 6, 7, 12, 17)  # 26 is of a clip that is left out
    assert table.units.dtype == np.float32
    assert table.units.tolist() == [
        [0, 0, 0, 1, 0],
        [0, 0, 0, 0, 1],
        [1, 0, 1, 0, 1],
        [0, 0, 0, 0, 0],
        [0, 1, 0, 1, 0],
    ]


def test_units_that_cannot_be_read_are_a_note(store):
    (note,) = (note for note in read_table(store).notes if "action units" in note)
    assert note.startswith("demo/sub02/EP02_01 counts as without action units: ")


@pytest.mark.parametrize(
    ("cell", "units"),
    [
        ("4+7", {4, 7}),
        ("R12 or R14", {12}),
        ("6+12 or 14", {6, 12}),
        ("17+(14 or 15)", {17, 14}),
        ("((12 or 14)+4) or 9", {12, 4}),
        ("ref(7B)+43", {43}),
        ("4?+17", {17}),
        ("14+soft focus", {14}),
        ("A/L12", {12}),
        ("?", set()),
        ("", set()),
    ],
)
def test_of_alternatives_the_first_reading_counts(cell, units):
    assert read_units(cell) == units


def test_inputs_tell_shapes_coordinates_and_recipe(store):
    inputs = read_table(store, (Need("magnify/image", "mrn"), Need("crop/image", "all"), VECTOR)).inputs
    assert inputs.shapes == {
        "magnify/image": (3, 112, 112, 3),
        "crop/image": (3, 112, 112, 3),
        "features_mrn/feature": (16,),
    }
    assert inputs.coordinates == {
        "magnify/image": {"af": (2.0, 4.0, 8.0)},
        "crop/image": {"mark": ("onset", "apex", "offset")},
        "features_mrn/feature": {},  # an array that is named like its axis is no coordinate
    }
    assert inputs.recipe["name"] == "demo"


def test_an_array_that_is_not_there_names_the_build_that_makes_it(store):
    with pytest.raises(StoreError) as caught:
        read_table(store, (VECTOR, Need("dynamic/image", "msmmt"), Need("gray/image", "ruan")))
    assert "has no dynamic/image and no gray/image" in caught.value.message
    command = f"mer-pipe build --dataset demo --only aman,mrn,uamrn,ruan,msmmt --store {store}"
    assert caught.value.fix.startswith(command)


def test_the_build_that_is_named_keeps_what_the_store_has(tmp_path):
    make_store(tmp_path / "few.zarr", 2, only=("features_mrn",), recipe={"systems": ["mrn"]}, database="samm")
    with pytest.raises(StoreError, match="--dataset samm --only mrn,ruan "):
        read_table(tmp_path / "few.zarr", (VECTOR, Need("gray/image", "ruan")))


def test_a_store_without_labels_is_an_empty_table(tmp_path):
    make_store(tmp_path / "none.zarr", 3, only=("gray",), edit={0: {"label": ""}, 1: {"label": ""}})
    table = read_table(tmp_path / "none.zarr")
    assert (len(table), table.inputs.classes, table.inputs.units) == (0, (), ())
    assert table.units.shape == (0, 0)
    assert len(table.left_out) == 3


def test_a_damaged_column_is_an_error(tmp_path):
    make_store(tmp_path / "made.zarr", 3, only=("gray",))
    flip_byte(tmp_path / "made.zarr/label/c/0", 9)
    with pytest.raises(StoreError, match=r"label cannot be read.*mer-pipe verify"):
        read_table(tmp_path / "made.zarr")


def test_there_is_no_table_of_a_store_that_is_not_there(tmp_path):
    with pytest.raises(StoreError, match="there is no store"):
        read_table(tmp_path / "nowhere.zarr")
