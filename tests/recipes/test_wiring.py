"""What a recipe makes of a clip, and what of it is published."""

from __future__ import annotations

from mer_pipe.recipes import BUILT_IN, find_models, wire
from mer_pipe.recipes.recipe import Recipe
from mer_pipe.types import Frames, Sample

SAMPLE = Sample("x", "s", "c", Frames(("a", "b", "c"), (1, 2, 3)), 0, 1, 2, 200.0)


def graph(recipe: Recipe):
    return wire(recipe, find_models(recipe), SAMPLE, lambda position: "0")


def test_the_gap_of_a_dynamic_image_is_published_beside_it():
    products = {(p.group, p.name): p for p in graph(BUILT_IN["demo"]).products}
    assert products["dynamic", "gap"].systems == products["dynamic", "image"].systems == ("msmmt",)
