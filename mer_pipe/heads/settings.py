"""Checks of the settings that several heads have. Bad ones are RecipeErrors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mer_pipe.types import RecipeError

if TYPE_CHECKING:
    from mer_pipe.heads.head import Inputs


def one_of(name: str, value: str, options: Sequence[str]) -> None:
    """RecipeError unless the setting `name` is one of its options."""
    if value not in options:
        raise RecipeError(f"{name}={value!r} is unknown", f"take one of {', '.join(options)}")


def at_least(name: str, value: float, low: float) -> None:
    """RecipeError unless the setting `name` is a number not below `low`."""
    if not value >= low:
        raise RecipeError(f"{name}={value} is below {low}")


def factor_positions(inputs: Inputs, array: str, af: Sequence[float]) -> tuple[int, ...]:
    """Where the amplification factors lie on the "af" axis of a store's array, in the array's order.

    Parameters
    ----------
    inputs : of the store.
    array : its name, as "features_mrn/vector".
    af : the factors to take, in any order; none means all of the store's. Six digits are enough to name one: the grid of
        32 values holds 2.322580..., which is written 2.32258.

    Raises
    ------
    RecipeError : a factor is not in the store, or is named twice.
    """
    stored = [float(value) for value in inputs.coordinates[array]["af"]]
    if not af:
        return tuple(range(len(stored)))
    found = []
    for factor in af:
        at = [i for i, value in enumerate(stored) if math.isclose(value, factor, rel_tol=1e-5)]
        if not at:
            told = ", ".join(f"{value:g}" for value in stored)
            raise RecipeError(f"af={factor:g} is not in {array}", f"take some of {told}, or build a store that has it")
        if at[0] in found:
            raise RecipeError(f"af={factor:g} is named twice", "name every factor once")
        found.append(at[0])
    return tuple(sorted(found))
