"""TV-L1 optical flow between two images."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mer_pipe.stages.gray import gray
from mer_pipe.types import ArraySpec, ClipError, MachineError, RecipeError, Stage

if TYPE_CHECKING:
    import torch

ENGINES = ("native", "torch", "opencv")


def tvl1(onset: np.ndarray, apex: np.ndarray, engine: str = "native", **parameters: float | int | bool) -> np.ndarray:
    """Return the TV-L1 optical flow that carries `onset` onto `apex`: apex(x + f(x)) = onset(x).

    Parameters
    ----------
    onset, apex : (y, x) or (y, x, channel) uint8 of one size, channel 1 or 3 (RGB, taken to BT.601 luma).
    engine :
        "native"  our solver: Chambolle-Pock on the TV-L1 energy, both norms rounded off at 0 (Huber), and a global gain
                  and bias fitted along the way, so that a change of light is no motion.
        "torch"   the same solver in torch, for a GPU: torch's current one, or without any, correctly but slowly, the
                  CPU. Its mean distance from "native" is below 1e-3 px. `tvl1_pairs` solves many pairs at once.
        "opencv"  cv2.optflow.DualTVL1OpticalFlow with OpenCV's defaults: the reference that most published
                  micro-expression code uses.
    parameters : the other fields of `Tvl1`, by name.

    Returns
    -------
    (y, x, 2) float32, u (right) and v (down) in px.

    Raises
    ------
    ClipError : the images differ in size, or are not uint8 images.
    RecipeError : unknown engine, a parameter out of range, or one that the engine does not have.

    Source: Zach, Pock, Bischof, DAGM 2007; Sanchez, Meinhardt-Llopis, Facciolo, IPOL 2013; Chambolle, Pock, JMIV 2011.
    """
    return Tvl1(engine, **parameters)(source=onset, target=apex)["flow"]


def tvl1_pairs(
    sources: np.ndarray,
    targets: np.ndarray,
    device: str = "auto",
    batch: int = 32,
    **parameters: float | int | bool,
) -> np.ndarray:
    """Return the flows of many pairs of images by the engine "torch", a batch at a time.

    Parameters
    ----------
    sources, targets : (n, y, x) or (n, y, x, channel) uint8 of one shape, channel 1 or 3 (RGB).
    device : "cpu", "cuda", "cuda:1" ..., or "auto": torch's current GPU where there is one, else the CPU.
    batch : pairs solved together. It bounds the memory: about 25 MB a pair of 224 x 224 px on the CPU.
    parameters : the other fields of `Tvl1`, by name.

    Returns
    -------
    (n, y, x, 2) float32, u and v in px. On the CPU the bytes of a pair depend neither on the other pairs nor on `batch`
    or the threads.

    Raises
    ------
    ClipError : the stacks differ in shape, or hold no uint8 images.
    RecipeError : a parameter out of range, or no device of that name.
    MachineError : the device is not there.
    MemoryError : the GPU has no room for a batch.
    """
    stage = Tvl1("torch", **parameters)
    sources, targets = np.asarray(sources), np.asarray(targets)
    if sources.ndim not in (3, 4) or targets.shape != sources.shape:
        raise ClipError(
            f"stacks of {sources.shape} and {targets.shape} are no pairs of images",
            "Pass two (n, y, x, 3) uint8 arrays.",
        )
    if batch < 1:
        raise RecipeError(f"a batch of {batch} pairs is none", "Take at least 1.")
    if not len(sources):
        return np.empty((0, *sources.shape[1:3], 2), np.float32)
    _check_images(sources[0], targets[0])
    return stage.solved(sources, targets, device, batch)


@dataclass(frozen=True)
class Tvl1(Stage):
    """TV-L1 flow of two images: `source` and `target` (y, x, channel) uint8 to (y, x, 2) px. See `tvl1`.

    Attributes
    ----------
    engine : "native", "torch" or "opencv".
    attachment : lambda, the weight of the data term for grey levels 0..255.
    scale_step : size of a pyramid level over the next finer one; opencv only. OpenCV's default is 0.8; Ruan et al. (ACM
        MM 2022) use 0.5. The other pyramids always halve.
    tolerance : difference, in grey levels, below which the data term is quadratic: about the noise; not opencv.
    huber : gradient of the flow, in px per px, below which its penalty is quadratic; not opencv.
    presmooth : sigma, in px, of the Gaussian over both images; not opencv.
    warps : linearisations at the finest level, one more at the others; not opencv.
    iterations : Chambolle-Pock steps a linearisation; not opencv.
    illumination : fit target = (source - bias) / gain for the whole image before comparing; not opencv.
    """

    name: ClassVar[str] = "flow"
    version: ClassVar[int] = 1

    engine: str = "native"
    attachment: float = 0.15
    scale_step: float | None = None
    tolerance: float = 0.6
    huber: float = 0.03
    presmooth: float = 0.8
    warps: int = 2
    iterations: int = 25
    illumination: bool = True

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise RecipeError(f"flow has no engine {self.engine!r}", f"Choose one of {', '.join(ENGINES)}.")
        foreign = _OWN if self.engine == "opencv" else ("scale_step",)
        for entry in fields(self):
            if entry.name in foreign and getattr(self, entry.name) != entry.default:
                raise RecipeError(f"the {self.engine} flow has no parameter {entry.name}", "Leave it at its default.")
        step = 0.8 if self.scale_step is None else self.scale_step
        if not (self.attachment > 0 and 0 < step < 1 and min(self.tolerance, self.huber, self.presmooth) >= 0):
            raise RecipeError(f"a parameter of {self} is out of range")
        if self.warps < 1 or self.iterations < 1:
            raise RecipeError(f"flow needs at least one warp and one iteration, not {self.warps} and {self.iterations}")

    @property
    def returns(self) -> dict[str, ArraySpec]:
        about = "u (right), v (down) that carry source onto target"
        return {"flow": ArraySpec(("y", "x", "component"), "float32", "px", shape=(None, None, 2), about=about)}

    def __call__(self, source: np.ndarray, target: np.ndarray) -> dict[str, np.ndarray]:
        _check_images(source, target)
        if self.engine == "opencv":
            return {"flow": _opencv(source, target, self.attachment, self.scale_step)}
        if self.engine == "torch":
            return {"flow": self.solved(source[None], target[None])[0]}
        from mer_pipe.stages import _pyramid

        return {"flow": _pyramid.flow(source, target, **self._settings())}

    def solved(self, sources: np.ndarray, targets: np.ndarray, device: str = "auto", batch: int = 1) -> np.ndarray:
        """The flows of stacks of images by the engine "torch", as `tvl1_pairs`."""
        import torch

        from mer_pipe.stages import _tvl1_batches
        from mer_pipe.stages._tvl1_torch import Settings

        place = _device(device)
        try:
            return _tvl1_batches.flow(sources, targets, place, batch, Settings(**self._settings()))
        except torch.cuda.OutOfMemoryError as error:
            raise MemoryError(f"{place} has no room for {batch} pairs at once") from error

    def _settings(self) -> dict[str, float | int | bool]:
        return {name: getattr(self, name) for name in ("attachment", *_OWN)}


_OWN = ("tolerance", "huber", "presmooth", "warps", "iterations", "illumination")
"""The parameters that our solver alone has, native or in torch."""


def _device(name: str) -> torch.device:
    import torch

    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if there else "cpu"
    try:
        place = torch.device(name)
    except RuntimeError:
        raise RecipeError(f"torch knows no device {name!r}", "Take auto, cpu or cuda.") from None
    if place.type not in ("cpu", "cuda"):
        raise RecipeError(f"flow is not solved on {name!r}", "Take auto, cpu or cuda.")
    if place.type == "cuda" and (place.index or 0) >= there:
        raise MachineError(f"device {name} is not there: torch sees {there} GPUs", "Take device=cpu or auto.")
    if place.type == "cuda" and place.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return place


def _check_images(source: np.ndarray, target: np.ndarray) -> None:
    for image in (source, target):
        channels = image.shape[2] if image.ndim == 3 else 1
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or channels not in (1, 3) or 0 in image.shape:
            raise ClipError(f"{image.shape} {image.dtype} is no image", "Pass uint8 (y, x, 3).")
    if source.shape != target.shape:
        raise ClipError(f"images of {source.shape} and {target.shape} have no flow", "Crop both alike.")


def _opencv(source: np.ndarray, target: np.ndarray, attachment: float, scale_step: float | None) -> np.ndarray:
    import cv2

    solver = cv2.optflow.DualTVL1OpticalFlow_create()
    solver.setLambda(attachment)
    if scale_step is not None:
        solver.setScaleStep(scale_step)
    return solver.calc(*(image if image.ndim == 2 else gray(image) for image in (source, target)), None)
