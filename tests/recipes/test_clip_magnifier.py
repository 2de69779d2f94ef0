"""MSMMT's clip by each way to magnify it: the stage that the recipe's words stand for."""

from __future__ import annotations

import pytest

from mer_pipe.recipes import BUILT_IN, find_models, with_values
from mer_pipe.recipes.wiring import Models, clip_magnifier, magnifier
from mer_pipe.stages.magnify import EulerianClip, FlowWarpClip, Learned, MerClip, PhaseClip, Pixel
from mer_pipe.types import RecipeError, Weights


def test_the_papers_way_is_the_default_and_takes_the_clips_own_frame_rate():
    assert clip_magnifier(BUILT_IN["default"], 100.0) == EulerianClip(fps=100.0)


def test_phase_shares_the_band_of_the_eulerian_filter():
    values = {"msmmt.magnifier": "phase", "evm.af": 5, "evm.low": 1, "evm.high": 9, "magnify.phase.blur": 0.5}
    recipe = with_values(BUILT_IN["default"], values)
    assert clip_magnifier(recipe, 100.0) == PhaseClip(af=5.0, low=1.0, high=9.0, fps=100.0, blur=0.5)


@pytest.mark.parametrize(("name", "made"), [("mer", MerClip(af=7.0, noise_floor=0.1)), ("flow", FlowWarpClip(af=7.0))])
def test_methods_without_a_band_take_the_parameters_of_the_pairs(name, made):
    recipe = with_values(BUILT_IN["default"], {"msmmt.magnifier": name, "evm.af": 7, "magnify.mer.noise_floor": 0.1})
    assert clip_magnifier(recipe, 100.0) == made


def test_a_way_that_does_not_exist_is_told():
    with pytest.raises(RecipeError, match="did you mean phase"):
        with_values(BUILT_IN["default"], {"msmmt.magnifier": "phases"})


def test_every_method_of_pairs_has_its_stage():
    models = Models(None, Weights("0" * 64), Weights("random:0"))
    for name, stage in (("mer", "magnify.mer"), ("flow", "magnify.flow"), ("phase", "magnify.phase"),
                        ("eulerian", "magnify.eulerian"), ("learned", "magnify.learned")):  # fmt: skip
        recipe = with_values(BUILT_IN["default"], {"magnify.method": name})
        assert magnifier(recipe.magnify, models).name == stage
    assert magnifier(with_values(BUILT_IN["default"], {"magnify.method": "pixel"}).magnify, models) == Pixel()


def test_the_learned_magnifier_in_bfloat16_is_asked_for_by_the_recipe_and_judged_before_the_build():
    recipe = with_values(BUILT_IN["demo"], {"magnify.method": "learned", "magnify.precision": "bfloat16"})
    assert magnifier(recipe.magnify, find_models(recipe)) == Learned(precision="bfloat16")
    with pytest.raises(RecipeError, match="did you mean bfloat16"):
        with_values(BUILT_IN["demo"], {"magnify.precision": "bfloat"})
