"""The only place where stages meet: a recipe and a clip become a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mer_pipe.pipeline.graph import Graph
from mer_pipe.pipeline.nodes import Frame, Node, Product, Row, Stack, Value
from mer_pipe.recipes.recipe import SYSTEMS, AlignRecipe, MagnifyRecipe, Recipe
from mer_pipe.stages.align import AlignCascade, AlignLandmarks, AlignNone
from mer_pipe.stages.crop import Crop, CropEach
from mer_pipe.stages.features import Features, bfloat16_agreement
from mer_pipe.stages.gray import Gray
from mer_pipe.stages.interpolate import Interpolate
from mer_pipe.stages.magnify import FlowWarpClip, Learned, MerClip, PhaseClip, Pixel
from mer_pipe.stages.magnify.learned import bfloat16_difference, shipped
from mer_pipe.stages.register import Register
from mer_pipe.stages.scene import Scene
from mer_pipe.stages.strain import Motion
from mer_pipe.stages.travel import Travel
from mer_pipe.types import RecipeError, Sample, Stage, Weights


@dataclass(frozen=True)
class Models:
    """The model files that a recipe needs, found and digested.

    Attributes
    ----------
    agreement : for features in bfloat16, by output: the least cosine to those in float32, as measured.
    """

    landmarker: Weights | None
    magnifier: Weights | None
    features: Weights
    agreement: Mapping[str, float] = field(default_factory=dict)


def find_models(recipe: Recipe, landmarker: str | None = None) -> Models:
    """Find the recipe's model files.

    Parameters
    ----------
    landmarker : path of the MediaPipe model; None looks in the models folder, then downloads it.

    Raises
    ------
    ModelError : a file is not there or cannot be had, or weights are too far from themselves in bfloat16.
    """
    from mer_pipe import models

    needs_learned = recipe.magnify.method == "learned" and set(recipe.systems) & {"aman", "mrn", "uamrn", "ruan"}
    learned, own = None, recipe.magnify.weights
    if needs_learned:  # a store keeps the digest alone: of the weights in the package that is enough
        learned = shipped() if own in ("", shipped().digest) else models.weights_from(own)
        if recipe.magnify.precision == "bfloat16":
            bfloat16_difference(learned)
    name = recipe.features.weights
    weights = Weights(name) if name.startswith("random:") else models.weights_from(name)
    asked = {"pool1024": {"mrn", "uamrn"}, "layer3": {"aman"}} if recipe.features.precision == "bfloat16" else {}
    return Models(
        models.find("face_landmarker", landmarker) if recipe.align.method == "mediapipe" else None,
        learned,
        weights,
        {output: bfloat16_agreement(weights, output) for output in asked if asked[output] & set(recipe.systems)},
    )


def wire(recipe: Recipe, models: Models, sample: Sample, digests: Callable[[int], str]) -> Graph:
    """The graph of one clip: the only place where stages meet."""
    r, s = recipe, sample
    clip = tuple(float(i) for i in range(s.onset, s.offset + 1))
    onset, apex, offset = ({"frame": float(i)} for i in (s.onset, s.apex, s.offset))
    magnify = magnifier(r.magnify, models)
    steps = tuple(float(i) for i in range(r.aman.frames))
    align = _aligner(r.align, models)
    face = {"frame": Frame(), "transform": Value("align", "transform")}
    crop, crop_msmmt, follow = r.crop, Crop(r.msmmt.size), []
    if r.register.method != "none":
        seen = {"onset": Value("crop_aligned", "image", onset), "image": Value("crop_aligned", "image")}
        follow = [
            Node("crop_aligned", r.crop, face, {"frame": clip}),
            Node("register", Register(r.register.method), seen | {"transform": face["transform"]}, {"frame": clip}),
        ]
        face = face | {"transform": Value("register", "transform")}
        crop, crop_msmmt = CropEach(r.crop.size), CropEach(r.msmmt.size)

    def features(output: str) -> Features:
        return Features(output=output, weights=models.features, dtype=r.features.dtype, precision=r.features.precision)

    gray_target = Value("magnify", "image", {"af": r.ruan.af})
    ruan_target = gray_target if r.ruan.target == "magnified" else Value("crop", "image", apex)
    nodes = [
        Node("align", align, {"frame": Frame(s.onset)}),
        Node("scene", Scene(), {"frame": Frame(s.onset)}),
        *follow,
        Node("crop", crop, face, {"frame": clip}),
        Node(
            "magnify",
            magnify,
            {"reference": Value("crop", "image", onset), "target": Value("crop", "image", apex)},
            {"af": tuple(dict.fromkeys((*r.mrn.af, r.ruan.af)))},
        ),
        Node("travel", Travel(), {"onset": Value("crop", "image", onset), "apex": Value("crop", "image", apex)}),
        Node("features_mrn", features("pool1024"), {"image": Value("magnify", "image")}, {"af": r.mrn.af}),
        Node("interpolate", Interpolate(r.aman.frames), {"clip": Stack("crop", "image", "frame", clip)}),
        Node(
            "magnify_aman",
            magnify,
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
        Node("crop_msmmt", crop_msmmt, face, {"frame": clip}),
        Node("evm", clip_magnifier(r, s.fps), {"clip": Stack("crop_msmmt", "image", "frame", clip)}),
        Node("dynamic", r.dynamic, {"clip": Value("evm", "image")}),
        Node(
            "flow_evm",
            r.flow,
            {"source": Row("evm", "image", 0), "target": Row("evm", "image", s.apex - s.onset)},
        ),
        Node("strain_evm", r.strain, {"flow": Value("flow_evm", "flow")}),
        Node("motion", Motion(), {"flow": Value("flow_evm", "flow"), "strain": Value("strain_evm", "strain")}),
    ]
    return Graph(s, nodes, _products(r, s, align, models.agreement), digests)


def _products(r: Recipe, s: Sample, align: Stage, agreement: Mapping[str, float]) -> list[Product]:
    """The arrays of the published store. Every system needs the first; `systems` says which are left out by --only."""
    once = ((),)
    steps = range(r.aman.frames)
    marks = tuple((float(i),) for i in (s.onset, s.apex, s.offset))
    each_mark = {"leading": {"mark": ("onset", "apex", "offset")}, "at": marks}
    registered = Register().returns if r.register.method != "none" else ()
    grid = tuple((float(a),) for a in r.mrn.af)
    sequence = tuple((float(i), float(a)) for i in steps for a in r.aman.af)
    both = ("mrn", "uamrn")
    told = {
        output: f"ResNet-18 {output} in bfloat16: cosine to float32 of {cosine:.6f} or more on the calibration images"
        for output, cosine in agreement.items()
    }

    def array(node: str, output: str, systems: tuple[str, ...], **how: Any) -> Product:
        name = how.pop("name", output)
        return Product(node, name, node, output, how.pop("leading", {}), how.pop("at", once), systems=systems, **how)

    every = [
        *(array("align", output, SYSTEMS) for output in align.returns),
        array("scene", "image", SYSTEMS),
        array("scene", "placement", SYSTEMS),
        *(array("register", output, SYSTEMS, **each_mark) for output in registered),
        array("crop", "image", SYSTEMS, **each_mark),
        *(array("travel", output, SYSTEMS) for output in Travel().returns),
        array("magnify", "image", both, leading={"af": r.mrn.af}, at=grid),
        array(
            "features_mrn",
            "feature",
            both,
            name="vector",
            leading={"af": r.mrn.af},
            at=grid,
            about=told.get("pool1024", ""),
        ),
        array("interpolate", "image", ("aman",)),
        array(
            "features_aman",
            "feature",
            ("aman",),
            name="map",
            leading={"frame": tuple(steps), "af": r.aman.af},
            at=sequence,
            about=told.get("layer3", ""),
        ),
        array("gray", "image", ("ruan",), about=f"BT.601 luma of the apex magnified at AF {r.ruan.af:g}"),
        array("flow_onset", "flow", ("ruan",), dtype="float16", about=f"flow from onset to {r.ruan.target}"),
        array("flow_offset", "flow", ("ruan",), dtype="float16", about=f"flow from offset to {r.ruan.target}"),
        array("strain", "strain", ("ruan",), dtype="float16"),
        array("dynamic", "image", ("msmmt",), about="rank-pooled dynamic image of the magnified clip"),
        array("dynamic", "gap", ("msmmt",)),
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


def magnifier(m: MagnifyRecipe, models: Models) -> Stage:
    """The stage of the recipe's method."""
    if m.method == "learned":
        if models.magnifier is None:
            raise RecipeError("magnify.method=learned needs its weights")
        return Learned(models.magnifier, m.precision)
    return {"mer": m.mer, "flow": m.flow, "phase": m.phase, "eulerian": m.eulerian, "pixel": Pixel()}[m.method]


def clip_magnifier(r: Recipe, fps: float) -> Stage:
    """The stage that magnifies MSMMT's clip."""
    evm, m = replace(r.evm, fps=fps), r.magnify
    if r.msmmt.magnifier == "phase":
        return PhaseClip(
            af=evm.af,
            low=evm.low,
            high=evm.high,
            fps=fps,
            filter=evm.filter,
            blur=m.phase.blur,
            noise_floor=m.phase.noise_floor,
        )
    if r.msmmt.magnifier == "mer":
        return MerClip(af=evm.af, **m.mer.parameters())
    if r.msmmt.magnifier == "flow":
        return FlowWarpClip(af=evm.af, **m.flow.parameters())
    return evm
