"""Learned magnification: the encoder-decoder network of Oh et al. (ECCV 2018), with the weights shipped or one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from mer_pipe.stages.magnify.frames import check_pair, checked_factors
from mer_pipe.stages.magnify.levels import grey_levels
from mer_pipe.types import ArraySpec, RecipeError, Stage, Weights

PRECISIONS = ("float32", "bfloat16")

SHIPPED = "sha256:2922f6c4c874b81674a72e1d0bee04a1105cb96703d42442779c81b3b7ac4630"
"""Digest of the weights in the package; the card beside them tells how they were made."""


def shipped() -> Weights:
    """The weights in the package; their bytes are compared with `SHIPPED` when they are loaded."""
    return Weights(SHIPPED, str(Path(__file__).with_name("weights") / "learned.safetensors"))


def learned(
    reference: np.ndarray,
    target: np.ndarray,
    af: Sequence[float],
    weights: Weights | None = None,
    precision: str = "float32",
    device: str = "cpu",
) -> np.ndarray:
    """`target` with its motion since `reference` multiplied by the network: (af, y, x, c).

    The checkpoint's dialect is recognised from its tensors (`dialects.recognise`). Frames whose sizes are not multiples
    of 4 are padded by reflection and cropped back; gray frames pass as three equal channels, and the luma of the result
    is returned. AF 1 is the network's rendering of the target, not its values.

    Parameters
    ----------
    reference, target : uint8, or float32 in 0..255, (y, x, 1) or (y, x, 3), alike. The result has their type.
    af : total displacement factors, >= 0; turned into AF - 1 where the dialect was trained on the excess.
    weights : checkpoint file and digest; None for those in the package.
    precision : "float32", or "bfloat16" for what is computed for each AF: faster on processors that have it, and only for
        weights whose images keep an SSIM of 0.9995 to those in float32 on fixed pairs.
    device : "cpu"; "cuda" or "cuda:<n>"; "auto": a GPU where there is one. Devices differ by rounding, and float32 is
        float32 on each.

    Raises
    ------
    ClipError : the frames differ in size or type, or are no such images.
    RecipeError : a factor is negative or not finite, the precision is unknown or not for this device, or there is no such
        device.
    ModelError : the checkpoint is absent, altered, unsafe, of no known dialect, or too far from itself in bfloat16.
    """
    check_pair(reference, target)
    factors = checked_factors(af)
    check_precision(precision)
    import torch

    place = _device(device)
    network = _loaded(weights or shipped(), precision, place)
    height, width, channels = target.shape
    # A GPU might use TF32, whose 10 bits would lose motions of a fraction of a pixel.
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        frames = (torch.from_numpy(padded(frame)).to(place) for frame in (reference, target))
        images = network(*frames, factors)
    out = np.stack([image.cpu().numpy() for image in images])[:, :height, :width]
    if channels == 1:
        luma = out.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
        return grey_levels(luma, target.dtype)[..., None]
    return np.ascontiguousarray(out)


def check_precision(precision: str) -> None:
    """Raise RecipeError unless the network can be computed in `precision`."""
    if precision not in PRECISIONS:
        raise RecipeError(f"precision cannot be {precision!r}", f"choose one of {', '.join(PRECISIONS)}")


def bfloat16_difference(weights: Weights | None = None) -> float:
    """Return 1 - SSIM between images in bfloat16 and in float32 on four fixed pairs, at the worst AF of 2, 6 and 13.

    Measured once a process for each checkpoint.

    Raises
    ------
    ModelError : it is above 0.0005, or the checkpoint cannot be used.
    """
    from mer_pipe.stages.magnify import _learned_precision

    return _learned_precision.difference(weights or shipped())


def _loaded(weights: Weights, precision: str, place):
    if place.type == "cpu":
        from mer_pipe.stages.magnify import _packed

        if precision == "bfloat16":
            bfloat16_difference(weights)
        return _packed.load(weights, precision)
    if precision != "float32":
        raise RecipeError(f"precision {precision} is for the CPU, not for {place}", "take float32")
    from mer_pipe.stages.magnify import network

    return network.on_device(weights, place)


def _device(name: str):
    import torch

    try:
        place = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
        torch.empty(1, device=place)
    except (RuntimeError, AssertionError) as error:
        raise RecipeError(f"there is no device {name!r} here: {str(error).splitlines()[0][:120]}", "try auto") from None
    return place


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
    version: ClassVar[int] = 3
    along: ClassVar[str | None] = "af"

    weights: Weights = field(default_factory=shipped)
    precision: str = "float32"

    def __post_init__(self) -> None:
        check_precision(self.precision)

    @property
    def returns(self) -> dict[str, ArraySpec]:
        """One magnified frame for each AF."""
        about = "target frame, its motion since the reference times AF"
        return {"image": ArraySpec(("y", "x", "channel"), "uint8", "grey level", 0, 255, about=about)}

    def __call__(self, *, reference: np.ndarray, target: np.ndarray, af: tuple[float, ...]) -> dict[str, np.ndarray]:
        return {"image": learned(reference, target, af, self.weights, self.precision)}
