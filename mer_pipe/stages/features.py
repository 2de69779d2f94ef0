"""ResNet-18 features of images."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from mer_pipe.types import ArraySpec, ClipError, RecipeError, Stage, Weights

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
) -> np.ndarray:
    """Return ResNet-18 features of RGB images, computed in float32, one image at a time.

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

    Returns
    -------
    (n, 256, y/16, x/16), (n, 1024) or (n, 512), >= 0. A result does not depend on the images beside it, to the byte.

    Raises
    ------
    ClipError : the array is no stack of RGB images of a usable size, or a feature is too large for float16.
    ModelError : the checkpoint is no ResNet-18.
    RecipeError : unknown output or dtype, or a std that is not positive.
    """
    import torch

    from mer_pipe.stages import _folded

    _check(output, dtype, mean, std)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or not len(images):
        raise ClipError(f"features need (n, y, x, 3) uint8, not {images.shape} {images.dtype}", "Pass RGB images.")
    if images.shape[1] % 32 or images.shape[2] % 32 or 0 in images.shape:
        raise ClipError(
            f"images of {images.shape[1]} x {images.shape[2]} px do not divide by 32",
            "Crop to a multiple of 32.",
        )
    net = _folded.load(weights)
    shift, scale = (torch.tensor(v, dtype=torch.float32)[None, :, None, None] for v in (mean, std))
    results = []
    with torch.inference_mode():
        # One at a time: 224 x 224 activations stay in a 2 MB cache, and no kernel is chosen by the size of the batch.
        for image in images:
            # A permuted (y, x, c) array is channels_last already.
            pixels = torch.from_numpy(np.ascontiguousarray(image))[None].permute(0, 3, 1, 2)
            x = net.layer3((pixels.float() / 255 - shift) / scale)
            if output == "pool512":
                x = net.layer4(x).mean(dim=(2, 3))
            elif output == "pool1024":
                x = torch.nn.functional.adaptive_avg_pool2d(x, 2).flatten(1)
            results.append(x[0].contiguous().numpy())
    result = np.stack(results)
    largest = np.abs(result).max()
    if not largest <= np.finfo(dtype).max:
        raise ClipError(f"a feature of {largest:.3g} does not fit {dtype}", "Use dtype float32, or check the weights.")
    return result.astype(dtype)


def _check(output: str, dtype: str, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
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
    """

    name: ClassVar[str] = "features"
    version: ClassVar[int] = 2
    stacks: ClassVar[tuple[str, ...]] = ("image",)

    weights: Weights = field(kw_only=True)
    output: str = "layer3"
    dtype: str = "float16"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        _check(self.output, self.dtype, self.mean, self.std)

    @property
    def returns(self) -> dict[str, ArraySpec]:
        about = f"ResNet-18 {self.output}"
        if self.output == "layer3":
            spec = ArraySpec(("feature", "row", "column"), self.dtype, low=0, shape=(256, None, None), about=about)
        else:
            spec = ArraySpec(("feature",), self.dtype, low=0, shape=(int(self.output[4:]),), about=about)
        return {"feature": spec}

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        return {"feature": features(image, self.weights, self.output, self.dtype, self.mean, self.std)}
