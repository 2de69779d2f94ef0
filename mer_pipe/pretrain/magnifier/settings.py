"""Every number that can change what is trained."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mer_pipe.types import RecipeError

PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class Settings:
    """How the magnifier is trained.

    Attributes
    ----------
    width : channels of the decoder's blocks, a multiple of 8; 64 as published. Codes have half, the first layer a quarter.
    steps : of the optimizer.
    every : steps after which is validated and a checkpoint is written; textures and faces are drawn anew.
    batch, size : scenes a step, and their side in px, a multiple of 4.
    lr, adam_lr : highest learning rates, of Muon and of the layers that Adam trains (see `optimizer`); they rise over
        `warm_up` steps, stay, and over the last share `fall` of all steps fall in a straight line to 0. So trainings of
        different lengths are the same until the shorter one's fall.
    average : decay of the average of the weights, which is what is kept.
    ssim : weight of 1 - SSIM of the lumas beside the L1 distance of the images (on -1..1).
    codes : weight of the L1 distances of texture and shape codes (Oh et al., ECCV 2018: 0.1).
    twins : scenes of a batch that have a recoloured twin, by which the codes are trained.
    least, most : motion of the target in px, at its strongest point; drawn between them, half of the time on a log scale.
    af : highest AF, from 1.
    reach : longest magnified motion, px.
    noise : highest standard deviation of the noise, grey levels.
    precision : "float32"; "bfloat16" (mixed, by autocast); "auto": bfloat16 on a GPU that has it, else float32.
    seed : of everything that is drawn.

    Raises
    ------
    RecipeError : a value is out of range.
    """

    width: int = 32
    steps: int = 14_000
    every: int = 500
    batch: int = 8
    size: int = 64
    lr: float = 0.005
    adam_lr: float = 1e-3
    warm_up: int = 500
    fall: float = 0.3
    average: float = 0.999
    ssim: float = 0.1
    codes: float = 0.1
    twins: int = 2
    least: float = 0.04
    most: float = 1.0
    af: float = 14.0
    reach: float = 13.0
    noise: float = 3.0
    precision: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise RecipeError(f"precision cannot be {self.precision!r}", f"choose one of {', '.join(PRECISIONS)}")
        if self.width < 8 or self.width % 8:
            raise RecipeError(f"width {self.width} is no multiple of 8", "try 32, or 64 as published")
        if self.size < 16 or self.size % 4:
            raise RecipeError(f"size {self.size} is no multiple of 4 from 16 on", "try 64")
        for name in ("steps", "every", "batch"):
            if getattr(self, name) < 1:
                raise RecipeError(f"{name} cannot be {getattr(self, name)}", "give 1 or more")
        for name in ("lr", "adam_lr", "least", "most", "reach"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise RecipeError(f"{name} cannot be {getattr(self, name)}", "give a positive number")
        for name in ("warm_up", "ssim", "codes", "twins", "noise", "seed"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise RecipeError(f"{name} cannot be {getattr(self, name)}", "give 0 or more")
        if not 0 <= self.fall <= 1:
            raise RecipeError(f"fall {self.fall} is outside 0..1", "try 0.3: the last three tenths of the steps")
        if not 0 <= self.average < 1:
            raise RecipeError(f"average {self.average} is outside 0..1", "try 0.999; 0 keeps the last weights")
        if not 1 <= self.af < math.inf or self.least > self.most:
            raise RecipeError(
                f"motions of {self.least} to {self.most} px at AF 1 to {self.af} cannot be drawn",
                "give least below most, and an AF of 1 or more",
            )

    @property
    def rounds(self) -> int:
        """Rounds of `every` steps; the last may be shorter."""
        return math.ceil(self.steps / self.every)


def changed(settings: Settings, values: Mapping[str, str]) -> Settings:
    """The settings with some set by words, as ``--set reach=10`` does; RecipeError for an unknown name or a bad number."""
    numbers: dict[str, Any] = {}
    for name, word in values.items():
        if name not in Settings.__dataclass_fields__:
            near = difflib.get_close_matches(name, list(Settings.__dataclass_fields__), 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise RecipeError(f"{name} is no setting{hint}", f"settings: {', '.join(Settings.__dataclass_fields__)}")
        kind = type(getattr(settings, name))
        try:
            numbers[name] = kind(word)
        except ValueError:
            raise RecipeError(f"{name}={word} is no {kind.__name__}", f"it is {getattr(settings, name)} now") from None
    return replace(settings, **numbers)
