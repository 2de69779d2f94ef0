"""A recipe: every number that can change a result, in sections; the built-in recipes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mer_pipe.stages.align import AlignLandmarks, AlignNone
from mer_pipe.stages.crop import Crop
from mer_pipe.stages.dynamic import Dynamic
from mer_pipe.stages.features import PRECISIONS
from mer_pipe.stages.flow import Tvl1
from mer_pipe.stages.magnify import Eulerian, EulerianClip, FlowWarp, Mer, Phase
from mer_pipe.stages.register import MODELS
from mer_pipe.stages.strain import Strain
from mer_pipe.types import RecipeError

SYSTEMS = ("aman", "mrn", "uamrn", "ruan", "msmmt")
ALIGNERS = ("mediapipe", "cascade", "none")
MAGNIFIERS = ("mer", "flow", "phase", "eulerian", "learned", "pixel")
CLIP_MAGNIFIERS = ("eulerian", "phase", "mer", "flow")


def _choice(name: str, value: str, options: tuple[str, ...]) -> None:
    if value not in options:
        raise RecipeError(f"{name}={value!r} is unknown{nearest(value, options)}", f"take one of {', '.join(options)}")


def nearest(name: str, options: Iterable[str]) -> str:
    """ " (did you mean X?)" for a mistyped name, or ""."""
    near = difflib.get_close_matches(name, list(options), 1)
    return f" (did you mean {near[0]}?)" if near else ""


@dataclass(frozen=True)
class AlignRecipe:
    """How the face is found on the onset frame and laid into the square.

    Attributes
    ----------
    method : "mediapipe" (68 landmarks), "cascade" (eyes only, needs no model file) or "none" (frames are faces already).
    points : landmarks that are laid on the eye places: "eyes", "inner_eyes" or "eye_corners" (mediapipe only).
    eye_distance, eye_height : where the eyes land, as parts of the square's side.
    fit : for "none": how a frame that is not square is laid into the square.
    """

    method: str = "mediapipe"
    points: str = "eyes"
    eye_distance: float = AlignLandmarks.eye_distance
    eye_height: float = AlignLandmarks.eye_height
    fit: str = AlignNone.fit

    def __post_init__(self) -> None:
        _choice("align.method", self.method, ALIGNERS)


@dataclass(frozen=True)
class RegisterRecipe:
    """Whether crops follow the head's own motion within a clip.

    Attributes
    ----------
    method : "none" (the onset's transform serves all frames), or the motion that is followed: "translation",
        "similarity" or "affine".
    """

    method: str = "none"

    def __post_init__(self) -> None:
        _choice("register.method", self.method, ("none", *MODELS))


@dataclass(frozen=True)
class MagnifyRecipe:
    """How onset and apex become one image an amplification factor.

    Attributes
    ----------
    method : "mer", "flow", "phase", "eulerian", "learned" or "pixel".
    weights : checkpoint file of "learned"; empty for the weights in the package.
    precision : of "learned": "float32" or "bfloat16"; the latter only for weights whose pictures hardly change by it, and
        faster only where the processor has it (`mer-pipe doctor`).
    mer, flow, phase, eulerian : parameters of those methods.
    """

    method: str = "mer"
    weights: str = ""
    precision: str = "float32"
    mer: Mer = Mer()
    flow: FlowWarp = FlowWarp()
    phase: Phase = Phase()
    eulerian: Eulerian = Eulerian()

    def __post_init__(self) -> None:
        _choice("magnify.method", self.method, MAGNIFIERS)
        _choice("magnify.precision", self.precision, PRECISIONS)


@dataclass(frozen=True)
class AmanRecipe:
    """AMAN (Wei et al., ICASSP 2022): TIM frames, each magnified against the first.

    Attributes
    ----------
    frames : length of the interpolated clip. The paper takes 11 of 20 frames at a fixed interval; both ends of the same
        curve are kept by interpolating to 11 at once.
    af : amplification factors, k = 9 in the paper.
    """

    frames: int = 11
    af: tuple[float, ...] = tuple(float(a) for a in range(1, 10))


@dataclass(frozen=True)
class MrnRecipe:
    """MRN and UAMRN (Wei et al., ICPR and Entropy 2022): the apex magnified over a grid of AFs.

    Attributes
    ----------
    af : the paper's range 2..13 in steps of one. Its code takes 32 values from 2 to 12: "2..12/32", recipe "mrn32".
    """

    af: tuple[float, ...] = tuple(float(a) for a in range(2, 14))


@dataclass(frozen=True)
class RuanRecipe:
    """The dual branch (Ruan et al., ACM MM 2022): gray magnified apex, flows from onset and offset.

    Attributes
    ----------
    af : factor of the gray image.
    target : where both flows end: "apex" (the paper on CASME II) or "magnified" (the paper on SAMM).
    """

    af: float = 6.0
    target: str = "apex"

    def __post_init__(self) -> None:
        _choice("ruan.target", self.target, ("apex", "magnified"))


@dataclass(frozen=True)
class MsmmtRecipe:
    """MSMMT (Wang et al., 2022): magnified clip, its dynamic image, and u, v, strain.

    Attributes
    ----------
    size : side of its images; a multiple of 64, so that the quarter scale is a multiple of a ViT's 16.
    magnifier : how its clip is magnified: "eulerian" (the paper), "phase", "mer" or "flow", by `evm.af`. The first two
        filter in time by the `evm` section; the last three take their other parameters from `magnify`.
    """

    size: int = 256
    magnifier: str = "eulerian"

    def __post_init__(self) -> None:
        _choice("msmmt.magnifier", self.magnifier, CLIP_MAGNIFIERS)
        if self.size % 64 or self.size < 64:
            raise RecipeError(f"msmmt.size {self.size} is not a multiple of 64", "take 256 or 384")


@dataclass(frozen=True)
class FeaturesRecipe:
    """ResNet-18 features.

    Attributes
    ----------
    weights : a checkpoint file with torchvision's ResNet-18 names, or "random:SEED" for seeded random values.
    dtype : of the stored features, "float16" or "float32".
    precision : of the network, "float32" or "bfloat16"; the latter only for weights that keep a cosine of 0.9999 to float32,
        and faster only where the processor has it (`mer-pipe doctor`).
    """

    weights: str = "random:0"
    dtype: str = "float16"
    precision: str = "float32"

    def __post_init__(self) -> None:
        _choice("features.precision", self.precision, PRECISIONS)


@dataclass(frozen=True)
class Recipe:
    """All choices of a build. See each section; every value can be set by its dotted name (`align.method`).

    Attributes
    ----------
    name : of the recipe; never part of a key.
    systems : the published systems whose inputs are made.
    dataset : options of the database's adapter (class_set, apex_policy, ...).
    """

    name: str = "default"
    systems: tuple[str, ...] = SYSTEMS
    dataset: Mapping[str, Any] = field(default_factory=dict)
    align: AlignRecipe = AlignRecipe()
    crop: Crop = Crop()
    register: RegisterRecipe = RegisterRecipe()
    magnify: MagnifyRecipe = MagnifyRecipe()
    aman: AmanRecipe = AmanRecipe()
    mrn: MrnRecipe = MrnRecipe()
    ruan: RuanRecipe = RuanRecipe()
    msmmt: MsmmtRecipe = MsmmtRecipe()
    evm: EulerianClip = EulerianClip()
    flow: Tvl1 = Tvl1()
    strain: Strain = Strain()
    dynamic: Dynamic = Dynamic()
    features: FeaturesRecipe = FeaturesRecipe()

    def __post_init__(self) -> None:
        for system in self.systems:
            _choice("systems", system, SYSTEMS)
        if not self.systems:
            raise RecipeError("no system is asked for", f"choose of {', '.join(SYSTEMS)}")
        if self.crop.size % 32 and set(self.systems) & {"aman", "mrn", "uamrn"}:
            below = self.crop.size // 32 * 32
            told = f"crop.size={self.crop.size} is not a multiple of 32, as the features of aman, mrn and uamrn need"
            raise RecipeError(told, f"take {below or 32} or {below + 32}, or build other systems with --only")


BUILT_IN: dict[str, Recipe] = {
    "default": Recipe(),
    # Its aligner needs no download, so the demo is the same everywhere.
    "demo": Recipe(name="demo", align=AlignRecipe(method="cascade")),
    "mrn32": Recipe(name="mrn32", mrn=MrnRecipe(af=tuple(2 + 10 * i / 31 for i in range(32)))),
}
