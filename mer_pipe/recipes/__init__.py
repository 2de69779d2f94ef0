"""Recipes: what to build and how. `wire` turns one and a clip into a graph."""

from mer_pipe.recipes.recipe import BUILT_IN, SYSTEMS, Recipe
from mer_pipe.recipes.text import differences, plain, read_recipe, read_yaml, with_values
from mer_pipe.recipes.wiring import Models, find_models, wire

__all__ = [
    "BUILT_IN",
    "SYSTEMS",
    "Models",
    "Recipe",
    "differences",
    "find_models",
    "plain",
    "read_recipe",
    "read_yaml",
    "wire",
    "with_values",
]
