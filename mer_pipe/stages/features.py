"""ResNet-18 features of images."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from mer_pipe.types import ArraySpec, ClipError, RecipeError, Stage, Weights

PRECISIONS = ("float32", "bfloat16")
OUTPUTS = ("layer3", "pool1024", "pool512")
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def features(
    images: np.ndarray,
    weights: Weights,
    output: str = "layer3",
    dtype: str = "float16",
    mean: tuple[float, float, float] = IMAGENET_MEAN,
    std: tuple[float, float, float] = IMAGENET_STD,
    precision: str = "float32",
) -> np.ndarray:
    """Return ResNet-18 features of RGB images, one image at a time.

    Parameters
    ----------
    images : (n, y, x, 3) uint8; y and x multiples of 32.
    weights : a checkpoint with torchvision's ResNet-18 names (ImageNet or FER+), or "random:<seed>".
    output :
        "layer3"    the map of the third stage, (256, y/16, x/16): AMAN's input.
        "pool1024"  that map averaged over 2 x 2 cells: entry 4 c + 2 row + column is channel c: MRN's input.
        "pool512"   the global average of the fourth stage: the usual ResNet-18 feature.
    dtype : "float16" or "float32", of the result.
    mean, std : of the RGB channels on the scale 0..1; the network sees (pixel / 255 - mean) / std.
    precision : "float32", or "bfloat16" for activations and weights of the network: faster on processors that have it,
        and only for weights whose features keep a cosine of 0.9999 to those in float32 on fixed images.

    Returns
    -------
    (n, 256, y/16, x/16), (n, 1024) or (n, 512), >= 0. A result does not depend on the images beside it, to the byte.

    Raises
    ------
    ClipError : the array is no stack of RGB images of a usable size, or a feature is too large for float16.
    ModelError : the checkpoint is no ResNet-18, or too far from itself in bfloat16.
    RecipeError : unknown output, dtype or precision, or a std that is not positive.
    """
    from mer_pipe.stages import _folded

    _check(output, dtype, mean, std, precision)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or not len(images):
        raise ClipError(f"features need (n, y, x, 3) uint8, not {images.shape} {images.dtype}", "Pass RGB images.")
    if images.shape[1] % 32 or images.shape[2] % 32 or 0 in images.shape:
        raise ClipError(
            f"images of {images.shape[1]} x {images.shape[2]} px do not divide by 32",
            "Crop to a multiple of 32.",
        )
    bfloat16_agreement(weights, output, mean, std, precision)
    result = _folded.load(weights, precision).outputs(images, output, mean, std)
    largest = np.abs(result).max()
    if not largest <= np.finfo(dtype).max:
        raise ClipError(f"a feature of {largest:.3g} does not fit {dtype}", "Use dtype float32, or check the weights.")
    return result.astype(dtype)


def bfloat16_agreement(
    weights: Weights,
    output: str = "layer3",
    mean: tuple[float, float, float] = IMAGENET_MEAN,
    std: tuple[float, float, float] = IMAGENET_STD,
    precision: str = "bfloat16",
) -> float:
    """Return the least cosine between features of `precision` and of float32 over eight fixed images: 1 for float32.

    Measured once a process for each set of arguments.

    Raises
    ------
    ModelError : the checkpoint is no ResNet-18, or the cosine is below 0.9999.
    """
    if precision == "float32":
        return 1.0
    from mer_pipe.stages import _precision

    return _precision.agreement(weights, output, tuple(mean), tuple(std))


def _check(output: str, dtype: str, mean: tuple[float, ...], std: tuple[float, ...], precision: str) -> None:
    if precision not in PRECISIONS:
        raise RecipeError(f"features cannot be computed in {precision!r}", f"Choose one of {', '.join(PRECISIONS)}.")
    if output not in OUTPUTS:
        raise RecipeError(f"features have no output {output!r}", f"Choose one of {', '.join(OUTPUTS)}.")
    if dtype not in ("float16", "float32"):
        raise RecipeError(f"features cannot be stored as {dtype!r}", "Choose float16 or float32.")
    if len(mean) != 3 or len(std) != 3 or not (np.isfinite(mean).all() and np.isfinite(std).all() and min(std) > 0):
        raise RecipeError(f"images cannot be normalised with mean {mean} and std {std}", "Give three numbers each.")


@dataclass(frozen=True)
class Features(Stage):
    """ResNet-18 features of a stack of images: `image` (n, y, x, 3) uint8. See `features`.

    Attributes
    ----------
    weights : the checkpoint, or "random:<seed>".
    output : "layer3", "pool1024" or "pool512".
    dtype : "float16" or "float32".
    mean, std : normalisation of the RGB channels on the scale 0..1.
    precision : of the network, "float32" or "bfloat16".
    """

    name: ClassVar[str] = "features"
    version: ClassVar[int] = 3
    stacks: ClassVar[tuple[str, ...]] = ("image",)

    weights: Weights = field(kw_only=True)
    output: str = "layer3"
    dtype: str = "float16"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    precision: str = "float32"

    def __post_init__(self) -> None:
        _check(self.output, self.dtype, self.mean, self.std, self.precision)

    @property
    def returns(self) -> dict[str, ArraySpec]:
        about = f"ResNet-18 {self.output}" + (" in bfloat16" if self.precision == "bfloat16" else "")
        if self.output == "layer3":
            spec = ArraySpec(("feature", "row", "column"), self.dtype, low=0, shape=(256, None, None), about=about)
        else:
            spec = ArraySpec(("feature",), self.dtype, low=0, shape=(int(self.output[4:]),), about=about)
        return {"feature": spec}

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        made = features(image, self.weights, self.output, self.dtype, self.mean, self.std, self.precision)
        return {"feature": made}
