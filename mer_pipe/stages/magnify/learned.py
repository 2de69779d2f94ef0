"""Learned magnification: the encoder-decoder network of Oh et al. (ECCV 2018), with weights from the user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mer_pipe.stages.magnify.frames import check_pair, checked_factors
from mer_pipe.types import ArraySpec, Stage, Weights


def learned(reference: np.ndarray, target: np.ndarray, af: Sequence[float], weights: Weights) -> np.ndarray:
    """`target` with its motion since `reference` multiplied by the network: uint8 (af, y, x, c).

    The checkpoint's dialect is recognised from its tensors (`dialects.recognise`). Frames whose sizes are not multiples
    of 4 are padded by reflection and cropped back; gray frames pass as three equal channels, and the luma of the result
    is returned. AF 1 is the network's rendering of the target, not its bytes.

    Parameters
    ----------
    reference, target : uint8 (y, x, 1) or (y, x, 3).
    af : total displacement factors, >= 0; turned into AF - 1 where the dialect was trained on the excess.
    weights : checkpoint file and digest.

    Raises
    ------
    ClipError : the frames differ in size or are not uint8 images.
    RecipeError : a factor is negative or not finite.
    ModelError : the checkpoint is absent, altered, unsafe or of no known dialect.
    """
    check_pair(reference, target)
    factors = checked_factors(af)
    import torch

    from mer_pipe.stages.magnify.network import load

    network = load(weights)
    height, width, channels = target.shape
    with torch.inference_mode():
        images = network(torch.from_numpy(padded(reference)), torch.from_numpy(padded(target)), factors)
    out = np.stack([image.numpy() for image in images])[:, :height, :width]
    if channels == 1:
        luma = out.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
        return np.rint(luma).astype(np.uint8)[..., None]
    return np.ascontiguousarray(out)


def padded(frame: np.ndarray) -> np.ndarray:
    """`frame` with 3 channels, reflected below and to the right up to the next multiple of 4, and to 8 px at least."""
    if frame.shape[2] == 1:
        frame = np.repeat(frame, 3, axis=2)
    grow = [(0, max(8, -(-size // 4) * 4) - size) for size in frame.shape[:2]]
    for axis, amount in enumerate(grow):
        widths = [amount if i == axis else (0, 0) for i in range(3)]
        frame = np.pad(frame, widths, mode="reflect" if frame.shape[axis] > 1 else "edge")
    return np.array(frame, order="C")  # a copy, for torch warns about frames that it must not write to


@dataclass(frozen=True)
class Learned(Stage):
    """Frame pair to magnified frames by `learned`. Inputs: reference, target uint8 (y, x, c), and `af`."""

    name: ClassVar[str] = "magnify.learned"
    version: ClassVar[int] = 1
    along: ClassVar[str | None] = "af"

    weights: Weights

    @property
    def returns(self) -> dict[str, ArraySpec]:
        """One magnified frame for each AF."""
        about = "target frame, its motion since the reference times AF"
        return {"image": ArraySpec(("y", "x", "channel"), "uint8", "grey level", 0, 255, about=about)}

    def __call__(self, *, reference: np.ndarray, target: np.ndarray, af: tuple[float, ...]) -> dict[str, np.ndarray]:
        return {"image": learned(reference, target, af, self.weights)}
