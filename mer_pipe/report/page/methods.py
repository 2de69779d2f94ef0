"""The methods paragraph of a paper, from the recipe inside the store: exact parameters, and BibTeX of what they cite."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mer_pipe.report.inspect import Overview
from mer_pipe.report.page.html import static

DATABASES = {"casme2": "yan2014casme2", "samm": "davison2018samm", "smic": "li2013smic"}
SYSTEMS = {
    "aman": ("AMAN", "wei2022aman"),
    "mrn": ("MRN", "wei2022mrn"),
    "uamrn": ("UAMRN", "wei2022uamrn"),
    "ruan": ("the dual-branch network", "ruan2022mimicking"),
    "msmmt": ("MSMMT", "wang2023msmmt"),
}


def paragraph(recipe: Any, seen: Overview) -> tuple[str, list[str]]:
    """The sentences on what the store holds, and the BibTeX keys that they cite as ``[key]``, in order.

    Parameters
    ----------
    recipe : as the store tells it; a stage whose parameters it does not tell is left out.
    seen : the store's overview.
    """
    recipe = recipe if isinstance(recipe, Mapping) else {}
    held = {array.path.partition("/")[0] for array in seen.arrays}
    made = (_source(seen), _align(recipe, held), _register(recipe, held), _interpolate(recipe, held),
            _magnify(recipe, held), _flow(recipe, held), _clip(recipe, held), _features(recipe, held),
            _software(seen))  # fmt: skip
    text = " ".join(sentence for sentence in made if sentence)
    return text, list(dict.fromkeys(re.findall(r"\[([a-z]+\d{4}[a-z0-9]*)\]", text)))


def bibtex(keys: Sequence[str]) -> str:
    """The entries of some keys, in the order given."""
    entries = {re.match(r"@\w+{([^,]+),", e)[1]: e.strip() for e in re.split(r"\n(?=@)", static("papers.bib"))}  # type: ignore[index]
    return "\n\n".join(entries[key] for key in keys) + "\n"


def grid(values: Sequence[float]) -> str:
    """Numbers as a recipe writes them: "2..13" in steps of one, "2..12/32" evenly spaced, else one by one."""
    values = [float(v) for v in values]
    steps = [b - a for a, b in itertools.pairwise(values)]
    if len(values) > 2 and max(steps) - min(steps) < 1e-9 * max(map(abs, values)):
        ends = f"{values[0]:g}..{values[-1]:g}"
        return ends if abs(steps[0] - 1) < 1e-9 else f"{ends}/{len(values)}"
    return ",".join(f"{v:g}" for v in values)


def plain(value: Any) -> str:
    """A recipe value in the words of ``--set``."""
    if isinstance(value, list | tuple):
        return grid(value) if value and all(isinstance(v, int | float) for v in value) else ",".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def rebuild(seen: Overview, store: str) -> str:
    """The command that makes what is missing of a store; FOLDER and FILE stand for what a store does not tell."""
    words = ["mer-pipe build", f"--dataset {seen.database or 'NAME'}"]
    words += [] if seen.database == "demo" else ["--root FOLDER"]
    words.append(f"--store {_quoted(store)}")
    if seen.differs is None:
        words += [f"--recipe {_quoted(seen.recipe)}"] if seen.recipe else []
    else:
        values = {**seen.differs}
        only = values.pop("systems", None)
        words += [f"--only {plain(only)}"] if only else []
        for name, value in values.items():
            # A file of the user's (a sheet, a table of corrections) is kept as its name and digest.
            words.append(f"--set {name}=FILE" if " sha256:" in str(value) else _quoted_set(name, plain(value)))
        words += [
            f"--set {name}=FILE" for name, v in seen.models.items() if v.startswith("sha256:") and ".weights" in name
        ]
    return " ".join(words)


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[\w./=,:@+-]+", text) else "'" + text.replace("'", "'\\''") + "'"


def _quoted_set(name: str, value: str) -> str:
    return "--set " + _quoted(f"{name}={value}")


def _section(write: Callable[[Mapping[str, Any], set[str]], str]) -> Callable[[Mapping[str, Any], set[str]], str]:
    """A sentence that is left out where the recipe does not tell its numbers."""

    def guarded(recipe: Mapping[str, Any], held: set[str]) -> str:
        try:
            return write(recipe, held)
        except (KeyError, TypeError, IndexError):
            return ""

    return guarded


def _source(seen: Overview) -> str:
    key = DATABASES.get(seen.database)
    cited = f" [{key}]" if key else ""
    systems = [f"{SYSTEMS[s][0]} [{SYSTEMS[s][1]}]" for s in seen.systems if s in SYSTEMS]
    served = f" for {', '.join(systems[:-1])}{' and ' if len(systems) > 1 else ''}{systems[-1]}" if systems else ""
    missing = len(seen.excluded) + len(seen.failed)
    left = f" ({missing} more were excluded or failed)" if missing else ""
    database = {"casme2": "CASME II", "samm": "SAMM", "smic": "SMIC"}.get(
        seen.database, seen.database or "the database"
    )
    clips = "clip was" if seen.clips == 1 else "clips were"
    return (
        f"{seen.clips} {clips} taken from {database}{cited}{left} and prepared{served} with mer-pipe {seen.mer_pipe}."
    )


@_section
def _align(recipe: Mapping[str, Any], held: set[str]) -> str:
    align, size = recipe["align"], recipe["crop"]["size"]
    square = f"and every frame of the clip was resampled once, with a Catmull-Rom kernel, to {size} × {size} px."
    if align["method"] == "none":
        return f"Frames were taken as faces (fit: {align['fit']}) {square}"
    how = {
        "mediapipe": "68 landmarks were found with MediaPipe [lugaresi2019mediapipe]",
        "cascade": "eye centres were found with an LBP face cascade and image gradients [timm2011eyes]",
    }[align["method"]]
    points = {"inner_eyes": "the inner eye corners", "eye_corners": "the middles of the eye corners"}.get(
        align["points"] if align["method"] == "mediapipe" else "", "the eye centres"
    )
    return (
        f"In the onset frame of each clip, {how}; a similarity transform laid {points} level at "
        f"{align['eye_height']:g} of the square's height (eye distance {align['eye_distance']:g} of its width), {square}"
    )


@_section
def _register(recipe: Mapping[str, Any], held: set[str]) -> str:
    model = recipe["register"]["method"]
    if model == "none":
        return ""
    named = {"translation": "a translation", "similarity": "a similarity", "affine": "an affine map"}[model]
    return (
        f"The head's motion since the onset, {named} fitted robustly to local motions of the face [lucas1981iterative], "
        "was taken out of the transform by which each frame was resampled."
    )


@_section
def _interpolate(recipe: Mapping[str, Any], held: set[str]) -> str:
    if not held & {"interpolate", "features_aman"}:
        return ""
    aman = recipe["aman"]
    return (
        f"Clips were interpolated in time to {aman['frames']} frames [zhou2011tim], each magnified against the first at AF "
        f"{grid(aman['af'])}."
    )


_WARPED = "by warping it along its motion, measured by dense inverse search [kroeger2016dis]"
_MAGNIFIERS = {
    "mer": f"{_WARPED} and refined by least squares [lucas1981iterative], with the mean of both frames as texture",
    "flow": _WARPED,
    "phase": "by turning the phases of a complex steerable pyramid [wadhwa2013phase]",
    "eulerian": "by linear Eulerian magnification over a Laplacian pyramid [wu2012evm]",
    "pixel": "by multiplying the change of each pixel",
}


@_section
def _magnify(recipe: Mapping[str, Any], held: set[str]) -> str:
    if not held & {"magnify", "features_mrn", "features_aman", "gray"}:
        return ""
    section = recipe["magnify"]
    method = section["method"]
    how = {**_MAGNIFIERS, "learned": "by a learned magnification network [oh2018learning]"}[method]
    told = f"weights {section['weights']}" if method == "learned" else _told(section.get(method, {}))
    told = f" ({told})" if told else ""
    factors = f" at AF {grid(recipe['mrn']['af'])}" if held & {"magnify", "features_mrn"} else ""
    gray = f" The gray image is the apex at AF {recipe['ruan']['af']:g}." if "gray" in held else ""
    return (
        f"The apex was magnified against the onset{factors} {how}{told}; AF is the total displacement factor, 1 the "
        f"identity.{gray}"
    )


@_section
def _flow(recipe: Mapping[str, Any], held: set[str]) -> str:
    if not held & {"flow_onset", "flow_offset", "strain", "motion"}:
        return ""
    flow, target = recipe["flow"], recipe["ruan"]["target"]
    if flow["engine"] == "opencv":
        flow = {name: flow[name] for name in ("engine", "attachment", "scale_step")}
    solver = (
        " solved by a primal-dual method [chambolle2011primaldual]" if flow["engine"] in ("native", "torch") else ""
    )
    where = f" from onset and from offset to the {target if target == 'apex' else 'magnified apex'}" if (
        held & {"flow_onset", "flow_offset"}
    ) else ""  # fmt: skip
    strain = (
        f" Optical strain [shreve2011strain] was taken with Gaussian derivatives of sigma {recipe['strain']['sigma']:g} px."
        if held & {"strain", "motion"}
        else ""
    )
    return f"TV-L1 optical flow [zach2007tvl1]{solver} was computed{where} ({_told(flow)}).{strain}"


@_section
def _clip(recipe: Mapping[str, Any], held: set[str]) -> str:
    if not held & {"dynamic", "motion"}:
        return ""
    evm, dynamic, size = recipe["evm"], recipe["dynamic"], recipe["msmmt"]["size"]
    method = recipe["msmmt"].get("magnifier", "eulerian")
    band = f"between {evm['low']:g} and {evm['high']:g} Hz "
    if method == "eulerian":
        how = "by Eulerian video magnification [wu2012evm]"
        told = {k: v for k, v in evm.items() if k not in ("af", "low", "high")}
    else:
        how = _MAGNIFIERS[method].replace("it along its", "each frame along its")
        told = recipe["magnify"][method] | ({"filter": evm["filter"]} if method == "phase" else {})
        band = band if method == "phase" else "against the first frame "
    text = (
        f"Clips at {size} × {size} px were magnified {how} with AF {evm['af']:g} (alpha {evm['af'] - 1:g}) {band}"
        f"({_told(told)})."
    )
    if "dynamic" in held:
        told = {"cost": dynamic["cost"]} if dynamic["method"] != "approximate" else {}
        told |= {"epsilon": dynamic["epsilon"]} if dynamic["method"] == "svr" else {}
        key = "bilen2016dynamic" if dynamic["method"] == "approximate" else "fernando2017rankpooling"
        also = "" if dynamic["method"] == "approximate" else " [bilen2016dynamic]"
        text += (
            f" Dynamic images{also} were made by rank pooling [{key}] ({_told({'method': dynamic['method'], **told})})."
        )
    return text


@_section
def _features(recipe: Mapping[str, Any], held: set[str]) -> str:
    if not held & {"features_mrn", "features_aman"}:
        return ""
    weights = recipe["features"]["weights"]
    told = f"seeded random weights ({weights}), good for trying out only" if weights.startswith("random:") else weights
    return f"Features were taken from a ResNet-18 [he2016resnet] with {told}."


def _software(seen: Overview) -> str:
    used = ", ".join(f"{name} {version}" for name, version in seen.libraries.items() if version != "absent")
    return f"Software: {used}." if used else ""


def _told(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {plain(value)}" for name, value in values.items() if value is not None)
