"""What a recipe makes of a clip, and what of it is published."""

from __future__ import annotations

import dataclasses

import pytest

from mer_pipe.recipes import BUILT_IN, find_models, wire, with_values
from mer_pipe.recipes.recipe import Recipe
from mer_pipe.types import Frames, ModelError, RecipeError, Sample

SAMPLE = Sample("x", "s", "c", Frames(("a", "b", "c"), (1, 2, 3)), 0, 1, 2, 200.0)


def graph(recipe: Recipe):
    return wire(recipe, find_models(recipe), SAMPLE, lambda position: "0")


def test_the_gap_of_a_dynamic_image_is_published_beside_it():
    products = {(p.group, p.name): p for p in graph(BUILT_IN["demo"]).products}
    assert products["dynamic", "gap"].systems == products["dynamic", "image"].systems == ("msmmt",)


def test_features_in_bfloat16_have_other_keys_and_tell_how_near_they_are():
    near = with_values(BUILT_IN["demo"], {"features.precision": "bfloat16"})
    plain, rounded = graph(BUILT_IN["demo"]), graph(near)
    for name in ("features_mrn", "features_aman"):
        stages = plain.nodes[name].stage, rounded.nodes[name].stage
        assert [stage.parameters()["precision"] for stage in stages] == ["float32", "bfloat16"]
    told = {p.node: p.about for p in rounded.products if p.node.startswith("features")}
    assert told.keys() == {"features_mrn", "features_aman"}
    for about in told.values():
        assert "in bfloat16: cosine to float32 of 0.9999" in about
    assert not any(p.about for p in plain.products if p.node.startswith("features"))


def test_nothing_is_measured_for_systems_without_features():
    near = with_values(BUILT_IN["demo"], {"features.precision": "bfloat16"})
    assert find_models(dataclasses.replace(near, systems=("msmmt",))).agreement == {}
    assert find_models(dataclasses.replace(near, systems=("mrn",))).agreement.keys() == {"pool1024"}


def test_weights_that_bfloat16_does_not_carry_are_refused_before_a_clip_is_touched(monkeypatch):
    from mer_pipe.stages import _precision

    monkeypatch.setattr(_precision, "GATE", 0.9999999)
    _precision.agreement.cache_clear()
    near = with_values(BUILT_IN["demo"], {"features.precision": "bfloat16"})
    with pytest.raises(ModelError, match=r"cosine of 0\.9999\d\d to float32, less than 0\.9999999"):
        find_models(near)
    with pytest.raises(RecipeError, match="features.precision='half'"):
        with_values(BUILT_IN["demo"], {"features.precision": "half"})


def test_without_registration_keys_are_those_of_the_releases_before_it():
    """Crop 1, AlignCascade 1 and format 1 made these; a change here would remake every database."""
    made = graph(BUILT_IN["demo"])
    assert not {"register", "crop_aligned"} & set(made.nodes)
    assert made.cell("crop", (1.0,)).key == "cb34998afb077c4849c1566ffc96a50a06592a8e653a7257fd908c7ecbe85456"
    assert made.cell("crop_msmmt", (1.0,)).key == "af6fe7ea0ab9beeeeb610ba4502780c85cc981fab4253dfac90e6760a489f32e"


def test_with_registration_every_crop_is_still_one_resample_of_a_raw_frame():
    plain = graph(BUILT_IN["demo"])
    moved = graph(with_values(BUILT_IN["demo"], {"register.method": "similarity"}))
    assert moved.cell("crop_aligned", (1.0,)).key == plain.cell("crop", (1.0,)).key  # common work is shared
    for name in ("crop", "crop_msmmt"):
        sources = moved.cell(name, (1.0,)).sources
        assert set(sources) == {"frame", "transform"}
        assert sources["frame"].position == 1
        assert sources["transform"].key == moved.cell("register", (1.0,)).key
    assert {p.path for p in moved.products} - {p.path for p in plain.products} == {
        "register/head",
        "register/transform",
    }


def test_a_registration_that_does_not_exist_is_refused_with_the_nearest():
    with pytest.raises(RecipeError, match=r"register.method='similar' is unknown \(did you mean similarity\?\)"):
        with_values(BUILT_IN["demo"], {"register.method": "similar"})


def test_values_that_only_go_together_may_come_in_any_order():
    values = {"crop.size": 112, "systems": ("ruan", "msmmt")}
    for given in (values, dict(reversed(values.items()))):
        assert with_values(BUILT_IN["default"], given).crop.size == 112
    with pytest.raises(RecipeError, match="not a multiple of 32"):
        with_values(BUILT_IN["default"], {"crop.size": 112})
    for given in ({"crop": 3, "crop.size": 112}, {"crop": 3}):
        with pytest.raises(RecipeError, match="crop"):
            with_values(BUILT_IN["default"], given)
