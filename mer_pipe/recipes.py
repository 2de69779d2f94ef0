"""A recipe holds every number that can change a result; `wire` turns it into the graph of one clip."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from mer_pipe.pipeline.graph import Frame, Graph, Node, Product, Row, Stack, Value
from mer_pipe.stages.align import AlignCascade, AlignLandmarks, AlignNone
from mer_pipe.stages.crop import Crop
from mer_pipe.stages.dynamic import Dynamic
from mer_pipe.stages.features import Features
from mer_pipe.stages.flow import Tvl1
from mer_pipe.stages.gray import Gray
from mer_pipe.stages.interpolate import Interpolate
from mer_pipe.stages.magnify import Eulerian, EulerianClip, FlowWarp, Learned
from mer_pipe.stages.strain import Motion, Strain
from mer_pipe.types import RecipeError, Sample, Stage, Weights

SYSTEMS = ("aman", "mrn", "uamrn", "ruan", "msmmt")
ALIGNERS = ("mediapipe", "cascade", "none")
MAGNIFIERS = ("flow", "eulerian", "learned")


@dataclass(frozen=True)
class AlignRecipe:
    """How the face is found on the onset frame and laid into the square.

    Attributes
    ----------
    method : "mediapipe" (68 landmarks), "cascade" (eyes only, needs no model file) or "none" (frames are faces already).
    points : which landmarks are laid on the eye places: "eyes" or "inner_eyes" (mediapipe only).
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
class MagnifyRecipe:
    """How onset and apex become one image an amplification factor.

    Attributes
    ----------
    method : "flow", "eulerian" or "learned".
    weights : checkpoint file of "learned".
    flow, eulerian : parameters of those methods.
    """

    method: str = "flow"
    weights: str = ""
    flow: FlowWarp = FlowWarp()
    eulerian: Eulerian = Eulerian()

    def __post_init__(self) -> None:
        _choice("magnify.method", self.method, MAGNIFIERS)


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
    """

    size: int = 256

    def __post_init__(self) -> None:
        if self.size % 64 or self.size < 64:
            raise RecipeError(f"msmmt.size {self.size} is not a multiple of 64", "take 256 or 384")


@dataclass(frozen=True)
class FeaturesRecipe:
    """ResNet-18 features.

    Attributes
    ----------
    weights : a checkpoint file with torchvision's ResNet-18 names, or "random:SEED" for seeded random values.
    dtype : of the stored features, "float16" or "float32".
    """

    weights: str = "random:0"
    dtype: str = "float16"


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


BUILT_IN: dict[str, Recipe] = {
    "default": Recipe(),
    # Its aligner needs no download, so the demo is the same everywhere.
    "demo": Recipe(name="demo", align=AlignRecipe(method="cascade")),
    "mrn32": Recipe(name="mrn32", mrn=MrnRecipe(af=tuple(2 + 10 * i / 31 for i in range(32)))),
}


@dataclass(frozen=True)
class Models:
    """The model files that a recipe needs, found and digested."""

    landmarker: Weights | None
    magnifier: Weights | None
    features: Weights


def find_models(recipe: Recipe, landmarker: str | None = None) -> Models:
    """Find the recipe's model files.

    Parameters
    ----------
    landmarker : path of the MediaPipe model; None looks in the models folder, then downloads it.

    Raises
    ------
    ModelError : a file is not there or cannot be had.
    """
    from mer_pipe import models

    needs_learned = recipe.magnify.method == "learned" and set(recipe.systems) & {"aman", "mrn", "uamrn", "ruan"}
    if needs_learned and not recipe.magnify.weights:
        raise RecipeError("magnify.method=learned needs a checkpoint", "give it with --set magnify.weights=FILE")
    weights = recipe.features.weights
    return Models(
        models.find("face_landmarker", landmarker) if recipe.align.method == "mediapipe" else None,
        models.weights_from(recipe.magnify.weights) if needs_learned else None,
        Weights(weights) if weights.startswith("random:") else models.weights_from(weights),
    )


def wire(recipe: Recipe, models: Models, sample: Sample, digests: Callable[[int], str]) -> Graph:
    """The graph of one clip: the only place where stages meet."""
    r, s = recipe, sample
    clip = tuple(float(i) for i in range(s.onset, s.offset + 1))
    onset, apex, offset = ({"frame": float(i)} for i in (s.onset, s.apex, s.offset))
    magnifier = _magnifier(r.magnify, models)
    steps = tuple(float(i) for i in range(r.aman.frames))
    align = _aligner(r.align, models)
    face = {"frame": Frame(), "transform": Value("align", "transform")}

    def features(output: str) -> Features:
        return Features(output=output, weights=models.features, dtype=r.features.dtype)

    gray_target = Value("magnify", "image", {"af": r.ruan.af})
    ruan_target = gray_target if r.ruan.target == "magnified" else Value("crop", "image", apex)
    nodes = [
        Node("align", align, {"frame": Frame(s.onset)}),
        Node("crop", r.crop, face, {"frame": clip}),
        Node(
            "magnify",
            magnifier,
            {"reference": Value("crop", "image", onset), "target": Value("crop", "image", apex)},
            {"af": tuple(dict.fromkeys((*r.mrn.af, r.ruan.af)))},
        ),
        Node("features_mrn", features("pool1024"), {"image": Value("magnify", "image")}, {"af": r.mrn.af}),
        Node("interpolate", Interpolate(r.aman.frames), {"clip": Stack("crop", "image", "frame", clip)}),
        Node(
            "magnify_aman",
            magnifier,
            {"reference": Row("interpolate", "image", 0), "target": Row("interpolate", "image", "frame")},
            {"frame": steps, "af": r.aman.af},
        ),
        Node(
            "features_aman",
            features("layer3"),
            {"image": Value("magnify_aman", "image")},
            {"frame": steps, "af": r.aman.af},
        ),
        Node("gray", Gray(), {"image": gray_target}),
        Node("flow_onset", r.flow, {"source": Value("crop", "image", onset), "target": ruan_target}),
        Node("flow_offset", r.flow, {"source": Value("crop", "image", offset), "target": ruan_target}),
        Node("strain", r.strain, {"flow": Value("flow_onset", "flow")}),
        Node("crop_msmmt", Crop(r.msmmt.size), face, {"frame": clip}),
        Node("evm", replace(r.evm, fps=s.fps), {"clip": Stack("crop_msmmt", "image", "frame", clip)}),
        Node("dynamic", r.dynamic, {"clip": Value("evm", "image")}),
        Node(
            "flow_evm",
            r.flow,
            {"source": Row("evm", "image", 0), "target": Row("evm", "image", s.apex - s.onset)},
        ),
        Node("strain_evm", r.strain, {"flow": Value("flow_evm", "flow")}),
        Node("motion", Motion(), {"flow": Value("flow_evm", "flow"), "strain": Value("strain_evm", "strain")}),
    ]
    return Graph(s, nodes, _products(r, s, align), digests)


def _products(r: Recipe, s: Sample, align: Stage) -> list[Product]:
    """The arrays of the published store. Every system needs the first; `systems` says which are left out by --only."""
    once = ((),)
    steps = range(r.aman.frames)
    marks = tuple((float(i),) for i in (s.onset, s.apex, s.offset))
    grid = tuple((float(a),) for a in r.mrn.af)
    sequence = tuple((float(i), float(a)) for i in steps for a in r.aman.af)
    both = ("mrn", "uamrn")

    def array(node: str, output: str, systems: tuple[str, ...], **how: Any) -> Product:
        return Product(node, output, node, output, how.pop("leading", {}), how.pop("at", once), systems=systems, **how)

    every = [
        *(array("align", output, SYSTEMS) for output in align.returns),
        array("crop", "image", SYSTEMS, leading={"mark": ("onset", "apex", "offset")}, at=marks),
        array("magnify", "image", both, leading={"af": r.mrn.af}, at=grid),
        array("features_mrn", "feature", both, leading={"af": r.mrn.af}, at=grid),
        array("interpolate", "image", ("aman",)),
        array("features_aman", "feature", ("aman",), leading={"frame": tuple(steps), "af": r.aman.af}, at=sequence),
        array("gray", "image", ("ruan",), about=f"BT.601 luma of the apex magnified at AF {r.ruan.af:g}"),
        array("flow_onset", "flow", ("ruan",), dtype="float16", about=f"flow from onset to {r.ruan.target}"),
        array("flow_offset", "flow", ("ruan",), dtype="float16", about=f"flow from offset to {r.ruan.target}"),
        array("strain", "strain", ("ruan",), dtype="float16"),
        array("dynamic", "image", ("msmmt",), about="rank-pooled dynamic image of the magnified clip"),
        array("motion", "motion", ("msmmt",), dtype="float16", about="u, v and strain of the magnified clip"),
    ]
    return [product for product in every if set(product.systems) & set(r.systems)]


def _aligner(a: AlignRecipe, models: Models) -> Stage:
    if a.method == "none":
        return AlignNone(a.fit)
    if a.method == "cascade":
        return AlignCascade(eye_distance=a.eye_distance, eye_height=a.eye_height)
    if models.landmarker is None:
        raise RecipeError("align.method=mediapipe needs the landmark model")
    return AlignLandmarks(models.landmarker, a.points, a.eye_distance, a.eye_height)


def _magnifier(m: MagnifyRecipe, models: Models) -> Stage:
    if m.method == "learned" and models.magnifier is not None:
        return Learned(models.magnifier)
    return m.eulerian if m.method == "eulerian" else m.flow


# Reading and writing recipes


def read_recipe(name: str) -> Recipe:
    """A built-in recipe by its name, or a YAML file.

    A file holds the values that differ from the built-in recipe named by its ``base`` (``default`` when left out).

    Raises
    ------
    RecipeError : no such recipe; not YAML; an unknown name or a value of another type in it.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    path = Path(name)
    if not path.exists():
        raise RecipeError(f"there is no recipe {name!r}{_nearest(name, BUILT_IN)}", "name a YAML file or one of "
                          + ", ".join(BUILT_IN))  # fmt: skip
    import yaml

    try:
        values = yaml.safe_load(path.read_text()) or {}
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise RecipeError(f"{path.name} is not readable as YAML: {error}") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{path.name} holds no mapping of names to values")
    base = values.pop("base", "default")
    if base not in BUILT_IN:
        raise RecipeError(f"base {base!r} is not a built-in recipe", f"take one of {', '.join(BUILT_IN)}")
    return _filled(BUILT_IN[base], {"name": path.stem} | values, "")


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with some values replaced, by dotted name; text is read as the value's own type.

    Raises
    ------
    RecipeError : an unknown name, or a value that cannot be read.
    """
    for name, value in values.items():
        nested: Any = value
        for part in reversed(name.split(".")):
            nested = {part: nested}
        recipe = _filled(recipe, nested, "")
    return recipe


def plain(recipe: Recipe, models: Models | None = None) -> dict[str, Any]:
    """The recipe as plain JSON values. With `models`, file names give way to the digests of the files."""
    told = _told(recipe)
    del told["evm"]["fps"]
    if models is not None:
        told["features"]["weights"] = models.features.digest
        told["magnify"]["weights"] = models.magnifier.digest if models.magnifier else ""
        told["align"]["model"] = models.landmarker.digest if models.landmarker else ""
    return told


def _told(value: Any) -> Any:
    if is_dataclass(value):
        return {f.name: _told(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): _told(v) for k, v in value.items()}
    return [_told(v) for v in value] if isinstance(value, tuple | list) else value


def _filled(section: Any, values: Mapping[str, Any], path: str) -> Any:
    hints = typing.get_type_hints(type(section))
    known = {f.name: hints[f.name] for f in fields(section)}
    if isinstance(section, EulerianClip):
        del known["fps"]  # each clip has its own
    changed = {}
    for name, value in values.items():
        full = f"{path}.{name}" if path else str(name)
        if name not in known:
            where = f"{path} has" if path else "a recipe has"
            raise RecipeError(
                f"unknown recipe key {full!r}{_nearest(str(name), known)}", f"{where} the keys {', '.join(known)}"
            )
        old = getattr(section, name)
        if is_dataclass(old):
            if not isinstance(value, Mapping):
                inner = [f.name for f in fields(old)]
                raise RecipeError(f"{full} is a section", f"set one of its keys: {', '.join(inner)}")
            changed[name] = _filled(old, value, full)
        elif isinstance(old, Mapping):
            if not isinstance(value, Mapping):
                raise RecipeError(f"{full} is a section", f"set one of its keys, as {full}.class_set=3")
            changed[name] = {**old, **value}
        else:
            changed[name] = _read_value(known[name], value, full)
    try:
        return replace(section, **changed)
    except RecipeError:
        raise
    except (ValueError, TypeError) as error:
        raise RecipeError(f"{path or 'the recipe'}: {error}") from error


def _read_value(kind: Any, value: Any, name: str) -> Any:
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        options = [k for k in typing.get_args(kind) if k is not type(None)]
        if value is None or value == "none":
            return None
        return _read_value(options[0], value, name)
    try:
        if origin is tuple:
            inner = typing.get_args(kind)[0]
            return tuple(_read_value(inner, v, name) for v in _items(value))
        if kind is bool:
            if isinstance(value, bool):
                return value
            return {"true": True, "yes": True, "false": False, "no": False}[str(value).lower()]
        if kind is int and (isinstance(value, bool) or float(value) != int(float(value))):
            raise ValueError
        if kind in (int, float):
            if isinstance(value, bool):
                raise ValueError
            return kind(float(value))
        if kind is str and isinstance(value, str | int | float):
            return str(value)
        raise ValueError
    except (ValueError, KeyError, TypeError, OverflowError):
        wanted = "a list" if origin is tuple else getattr(kind, "__name__", str(kind))
        raise RecipeError(f"{name}={value!r} is not {wanted}", _grid_help(origin)) from None


def _items(value: Any) -> list[Any]:
    """A list as YAML gives it, or as text: "2,4,6", "2..13" in steps of one, "2..12/32" for 32 even values."""
    if isinstance(value, list | tuple):
        return list(value)
    text = str(value).strip()
    if ".." not in text:
        return [part.strip() for part in text.split(",") if part.strip()]
    first, _, rest = text.partition("..")
    last, _, count = rest.partition("/")
    low, high = float(first), float(last)
    if count:
        number = int(count)
        return [low + (high - low) * i / (number - 1) for i in range(number)] if number > 1 else [low]
    if not (high - low).is_integer() or not 0 <= high - low <= 1000:
        raise ValueError
    return [low + i for i in range(int(high - low) + 1)]


def _grid_help(origin: Any) -> str:
    return 'write "2,4,6", "2..13" (steps of one) or "2..12/32" (32 even values)' if origin is tuple else ""


def _choice(name: str, value: str, options: tuple[str, ...]) -> None:
    if value not in options:
        raise RecipeError(f"{name}={value!r} is unknown{_nearest(value, options)}", f"take one of {', '.join(options)}")


def _nearest(name: str, options: Any) -> str:
    near = difflib.get_close_matches(name, list(options), 1)
    return f" (did you mean {near[0]}?)" if near else ""


def differences(recipe: Recipe) -> dict[str, Any]:
    """What the recipe sets otherwise than the default, by dotted name: what a methods section must tell."""
    return dict(_unlike(_told(recipe), _told(Recipe()), ""))


def _unlike(new: Any, old: Any, path: str) -> Any:
    for key in new:
        full = f"{path}.{key}" if path else key
        if isinstance(new[key], dict) and isinstance(old.get(key), dict):
            yield from _unlike(new[key], old[key], full)
        elif new[key] != old.get(key):
            yield full, new[key]


__all__ = [
    "BUILT_IN",
    "SYSTEMS",
    "Models",
    "Recipe",
    "differences",
    "find_models",
    "plain",
    "read_recipe",
    "wire",
    "with_values",
]
